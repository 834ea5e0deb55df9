//! `log`: a line for the operator.

use portcullis_policy::escape;
use tokio::io::AsyncWriteExt;
use wasmtime::{Caller, Result};

use crate::abi::packed::{self, Packed};
use crate::state::State;

/// Bytes of a text that are shown.
const MAX_TEXT: usize = 4096;

/// Writes a line to where the guest's standard error goes.
pub(super) async fn log(caller: &mut Caller<'_, State>, level: i32, text: Packed) -> Result<()> {
    let memory = packed::memory(caller)?;
    let line = line(level, text.bytes(&memory, caller)?);
    let Some(log) = &mut caller.data_mut().module().log else {
        return Ok(());
    };
    // Nobody to read it is no reason to stop a guest, for a log as for standard error.
    let _ = async {
        log.write_all(line.as_bytes()).await?;
        log.flush().await
    }
    .await;
    Ok(())
}

const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// One line, whatever the guest said: nothing in it ends the line or moves the cursor.
fn line(level: i32, text: &[u8]) -> String {
    let level = usize::try_from(level).map_or(0, |level| level.min(LEVELS.len() - 1));
    let shown = &text[..text.len().min(MAX_TEXT)];
    let cut = if shown.len() < text.len() {
        format!("… ({} bytes)", text.len())
    } else {
        String::new()
    };
    let shown = String::from_utf8_lossy(shown);
    let shown = escape(shown.trim_end_matches('\n'));
    format!("{}: {shown}{cut}\n", LEVELS[level])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_line_and_moves_nothing() {
        for (level, text, shown) in [
            (0, &b"a"[..], "trace: a\n"),
            (2, b"a\n", "info: a\n"),
            (
                3,
                b"a\nerror: forged\r\x1b[2J\x9b",
                "warn: a\\nerror: forged\\r\\u{1b}[2J\u{fffd}\n",
            ),
            (
                4,
                "a\u{202e}b\u{9b}\t.".as_bytes(),
                "error: a\\u{202e}b\\u{9b}\\t.\n",
            ),
            (5, b"", "error: \n"),
            (-1, b"", "trace: \n"),
        ] {
            assert_eq!(line(level, text), shown);
        }
        let long = line(2, &[b'x'; MAX_TEXT + 1]);
        assert!(long.ends_with("xx… (4097 bytes)\n"), "{long}");
    }
}
