//! How children end.

use std::cell::RefCell;

use crate::portcullis::cli::command::{Child, Request, run};
use crate::wasi::io::streams::InputStream;
use crate::words::Words;
use crate::{over, refused, start};

/// Starts the command and waits for its first line, so that all of it is there.
fn started(words: &Words) -> Result<(Child, InputStream), String> {
    let child = start(&words.request(), words.stdio())?;
    let stdout = child.stdout().unwrap();
    stdout.blocking_read(1).map_err(|_| "it said nothing")?;
    Ok((child, stdout))
}

/// Kills it: before, it is not over; after, it is, and stays so.
pub fn kill(words: &Words) -> Result<String, String> {
    let (child, _stdout) = started(words)?;
    let ready = child.subscribe();
    let before = (child.try_wait().is_some(), ready.ready());
    child.kill();
    child.kill();
    ready.block();
    let after = (child.try_wait().is_some(), ready.ready());
    let end = over(&child);
    child.kill();
    Ok(format!(
        "before={before:?}\nafter={after:?}\n{end}{}",
        over(&child)
    ))
}

/// Starts `--bytes=N` of them, then one more; ends one, and starts another.
pub fn many(words: &Words) -> Result<String, String> {
    let mut children = Vec::new();
    for _ in 0..words.number("bytes") {
        children.push(started(words)?);
    }
    let refused = start(&words.request(), words.stdio()).err();
    let (first, _) = children.remove(0);
    first.kill();
    over(&first);
    let then = start(&words.request(), words.stdio()).is_ok();
    Ok(format!(
        "one more: {}then={then}\n",
        refused.unwrap_or_else(|| "started\n".to_owned())
    ))
}

/// Runs it until it is refused.
pub fn rate(words: &Words) -> Result<String, String> {
    for ran in 0.. {
        if let Err(error) = run(&words.request(), None) {
            return Ok(format!("ran={ran}\n{}", refused(error)));
        }
    }
    unreachable!("there is a limit")
}

/// Returns and leaves it running, and even its handle.
pub fn leave(words: &Words) -> Result<String, String> {
    let (child, stdout) = started(words)?;
    std::mem::forget((child, stdout));
    Ok("left\n".to_owned())
}

/// Ends in a trap and leaves it running.
pub fn trap(words: &Words) -> Result<String, String> {
    leave(words)?;
    panic!("with a child running")
}

/// Never ends, and leaves it running.
pub fn spin(words: &Words) -> Result<String, String> {
    leave(words)?;
    loop {
        std::hint::spin_loop();
    }
}

/// Drops it while it runs, reads what it wrote, and goes on until it is closed.
pub fn drop_one(words: &Words) -> Result<String, String> {
    let (child, stdout) = started(words)?;
    drop(child);
    let (_, how) = crate::flow::read_to_end(&stdout);
    Ok(format!("stdout {how}\n"))
}

thread_local! {
    static KEPT: RefCell<Option<(Child, InputStream)>> = const { RefCell::new(None) };
}

/// The first call starts it and keeps it; the second looks what became of it.
pub fn keep(words: &Words) -> Result<String, String> {
    if let Some((child, stdout)) = KEPT.take() {
        let (_, how) = crate::flow::read_to_end(&stdout);
        return Ok(format!("{}stdout {how}\n", over(&child)));
    }
    KEPT.set(Some(started(words)?));
    Ok("kept\n".to_owned())
}

/// Asks for as many programs that were not granted, each of another name of this length.
pub(crate) fn flood(words: &[String]) -> Result<String, String> {
    let [times, length] = words else {
        return Err("usage: flood TIMES LENGTH".to_owned());
    };
    let number = |text: &str| text.parse::<usize>().map_err(|error| error.to_string());
    let (times, length) = (number(times)?, number(length)?);
    let mut request = Request {
        program: "N".repeat(length),
        args: Vec::new(),
        cwd: None,
        env: Vec::new(),
        inherit_env: false,
        timeout: None,
    };
    for time in 0..times {
        request.program.replace_range(..10, &format!("{time:010}"));
        if run(&request, None).is_ok() {
            return Err(format!("{} ran", request.program));
        }
    }
    Ok(times.to_string())
}
