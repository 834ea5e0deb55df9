//! Tries one thing of WASI preview 1 and reports what came of it, in the words of `wasi-probe`.
//!
//! ```text
//! env | list PATH | read PATH | write PATH TEXT | clock | random BYTES
//! read-at PATH | write-at PATH TEXT | stat-at PATH       as it is, from the first preopened directory
//! acts ACT... | again TIMES ACT
//! fill PATH WAY BYTES | hold WHAT PATH TIMES | hold-twice WHAT PATH TIMES | flood TIMES LENGTH
//! numbers                                               what can be done with numbers of descriptors
//! ```
//! What is refused is an error that ends in the name that 0.2 has for it.

mod acts;
mod files;
mod form;
mod holds;
mod numbers;

use files::{Directory, File};

/// What `run` does.
fn run(args: &[&str]) -> Result<String, String> {
    match args {
        ["env"] => Ok(env()),
        ["list", path] => list(path),
        ["read", path] => read(path),
        ["write", path, text] => {
            let (dir, rest) = files::locate(path)?;
            let written = acts::write_at(
                &dir,
                &rest,
                text,
                wasip1::OFLAGS_CREAT | wasip1::OFLAGS_TRUNC,
            );
            written
                .map(|()| format!("{} bytes", text.len()))
                .map_err(|code| refused(path, code))
        }
        ["read-at", path] => read_all(&files::first()?, path).map_err(|code| refused(path, code)),
        ["write-at", path, text] => {
            let flags = wasip1::OFLAGS_CREAT | wasip1::OFLAGS_TRUNC;
            let written = acts::write_at(&files::first()?, path, text, flags);
            written
                .map(|()| "ok".to_owned())
                .map_err(|code| refused(path, code))
        }
        ["stat-at", path] => {
            let stat = files::first()?.stat(path);
            stat.map(|stat| stat.size.to_string())
                .map_err(|code| refused(path, code))
        }
        ["clock"] => {
            let now = unsafe { wasip1::clock_time_get(wasip1::CLOCKID_REALTIME, 1) };
            Ok((now.map_err(files::name)? / 1_000_000_000).to_string())
        }
        ["random", bytes] => {
            let mut room = vec![0; bytes.parse().map_err(|_| "usage: random BYTES")?];
            unsafe { wasip1::random_get(room.as_mut_ptr(), room.len()) }.map_err(files::name)?;
            Ok(room.len().to_string())
        }
        ["acts", lines @ ..] => acts::acts(lines),
        ["again", times, line] => acts::again(times, line),
        ["fill", path, way, bytes] => holds::fill(path, way, bytes),
        ["hold", what, path, times] => holds::hold(what, path, times),
        ["hold-twice", what, path, times] => holds::hold_twice(what, path, times),
        ["flood", times, length] => holds::flood(times, length),
        ["numbers"] => numbers::tricks(),
        _ => Err(format!("no such thing to try: {args:?}")),
    }
}

fn env() -> String {
    std::env::vars()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect()
}

fn list(path: &str) -> Result<String, String> {
    let (dir, rest) = files::locate(path)?;
    let dir = dir
        .open_directory(&rest)
        .map_err(|code| refused(path, code))?;
    let mut names = dir.names().map_err(|code| refused(path, code))?;
    names.retain(|name| name != "." && name != "..");
    names.sort();
    Ok(names.join("\n"))
}

fn read(path: &str) -> Result<String, String> {
    let (dir, rest) = files::locate(path)?;
    read_all(&dir, &rest).map_err(|code| refused(path, code))
}

/// One read, as `wasi-probe` does it.
fn read_all(dir: &Directory, path: &str) -> Result<String, wasip1::Errno> {
    let file: File = dir.open(path, 0, wasip1::RIGHTS_FD_READ)?;
    let bytes = file.read(1 << 20, 0)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn refused(path: &str, code: wasip1::Errno) -> String {
    format!("{path}: {}", files::name(code))
}
