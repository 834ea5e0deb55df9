//! `read-file` and `write-file`: what a plugin of clawft is told where it does not get a file. The texts are a contract.

use super::host::Text;
use crate::capability::fs::FsFailure;
use crate::state::State;

/// The content of a file that is text.
pub(super) async fn read(state: &mut State, path: String) -> Text<String> {
    let read = state.gate.read_file(path.clone()).await;
    let content = read.map_err(|failure| match failure {
        FsFailure::TooLarge { bytes, max } => format!("file too large: {bytes} bytes, max {max}"),
        failure => told(&failure, "read", &path),
    })?;
    String::from_utf8(content).map_err(|_| "read error: file is not valid UTF-8".to_owned())
}

/// Puts text into a file.
pub(super) async fn write(state: &mut State, path: String, content: String) -> Text<()> {
    let written = state
        .gate
        .write_file(path.clone(), content.into_bytes())
        .await;
    written.map_err(|failure| match failure {
        FsFailure::TooLarge { bytes, max } => {
            format!("write content too large: {bytes} bytes (max {max} bytes)")
        }
        failure => told(&failure, "write", &path),
    })
}

/// Of what lies outside of what was granted nothing is told, not even whether it is there. `path` is the plugin's own.
fn told(failure: &FsFailure, act: &str, path: &str) -> String {
    match failure {
        FsFailure::NotGranted => "filesystem access not permitted".to_owned(),
        FsFailure::Outside | FsFailure::Invalid => {
            "filesystem access denied: path outside sandbox".to_owned()
        }
        FsFailure::ReadOnly => "filesystem access denied: path is read-only".to_owned(),
        FsFailure::Protected => "filesystem access denied: path is protected".to_owned(),
        FsFailure::LinkOutside => format!("symlink points outside sandbox: {path}"),
        FsFailure::NotFound => "path does not exist or cannot be resolved".to_owned(),
        FsFailure::NotRegular | FsFailure::NotDirectory => {
            format!("{act} error: not a regular file")
        }
        FsFailure::Rate => "rate limit exceeded: filesystem calls".to_owned(),
        FsFailure::Total { max } => format!("{act} error: {max} bytes in all were written"),
        FsFailure::TooLarge { .. }
        | FsFailure::Exists
        | FsFailure::NotEmpty
        | FsFailure::Io(_)
        | FsFailure::Closed => format!("{act} error: I/O error"),
    }
}
