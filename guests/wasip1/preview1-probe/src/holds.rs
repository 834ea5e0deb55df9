//! As much as there is: writing until nothing more is taken, and keeping what was opened.

use wasip1::Errno;

use crate::files::{Directory, File, first, locate, name};

/// Bytes written at once.
const CHUNK: u64 = 1000;
const BOTH: wasip1::Rights = wasip1::RIGHTS_FD_READ | wasip1::RIGHTS_FD_WRITE;

/// Writes so many bytes to a new file in one of the ways, and says how many were taken and how it ended: `3000, quota`.
pub(crate) fn fill(path: &str, way: &str, bytes: &str) -> Result<String, String> {
    let bytes: u64 = bytes.parse().map_err(|_| "usage: fill PATH WAY BYTES")?;
    let (dir, rest) = locate(path)?;
    let how = wasip1::OFLAGS_CREAT | wasip1::OFLAGS_TRUNC;
    let flags = if way == "append" {
        wasip1::FDFLAGS_APPEND
    } else {
        0
    };
    let file = dir.open_with(0, &rest, how, BOTH, flags).map_err(name)?;
    let mut done = 0;
    while done < bytes {
        match put(&file, way, done, CHUNK.min(bytes - done))? {
            Ok(more) => done += more,
            Err(why) => return Ok(format!("{done}, {}", name(why))),
        }
    }
    Ok(format!("{done}, done"))
}

/// Writes so many more bytes.
fn put(file: &File, way: &str, at: u64, length: u64) -> Result<Result<u64, Errno>, String> {
    let bytes = vec![b'x'; length as usize];
    Ok(match way {
        "write" => file.write(&bytes, at),
        // Where the descriptor is at, which goes on by itself.
        "stream" | "append" => file.write_on(&bytes),
        "size" => file.set_size(at + length).map(|()| length),
        // One byte at the end of what is to be there.
        "gap" => file.write(b"x", at + length - 1).map(|_| length),
        // The same by going there first.
        "seek" => unsafe {
            wasip1::fd_seek(file.0, (at + length - 1) as i64, wasip1::WHENCE_SET)
                .and_then(|_| file.write_on(b"x"))
                .map(|_| length)
        },
        _ => return Err(format!("no way `{way}`")),
    })
}

/// Opens again and again and keeps all of it. Says how many there are, and what the next was answered: `128, quota`.
pub(crate) fn hold(what: &str, path: &str, times: &str) -> Result<String, String> {
    let times: u32 = times.parse().map_err(|_| "usage: hold WHAT PATH TIMES")?;
    let kept = keep(what, path, times)?;
    Ok(format!("{}, {}", kept.count, kept.ended))
}

/// Keeps so many, lets all go, and does it once more: `128, quota; 128, quota`.
pub(crate) fn hold_twice(what: &str, path: &str, times: &str) -> Result<String, String> {
    Ok(format!(
        "{}; {}",
        hold(what, path, times)?,
        hold(what, path, times)?
    ))
}

#[derive(Default)]
struct Kept {
    files: Vec<File>,
    directories: Vec<Directory>,
    count: u32,
    ended: String,
}

fn keep(what: &str, path: &str, times: u32) -> Result<Kept, String> {
    let mut kept = Kept {
        ended: "done".to_owned(),
        ..Kept::default()
    };
    let (dir, rest) = locate(path)?;
    for _ in 0..times {
        let done = match what {
            "files" | "directories" => dir
                .open(&rest, 0, wasip1::RIGHTS_FD_READ)
                .map(|file| kept.files.push(file)),
            // Each has begun, and nobody reads on.
            "listings" => dir.open_directory(&rest).and_then(|dir| {
                let mut room = [0; 40];
                unsafe { wasip1::fd_readdir(dir.fd(), room.as_mut_ptr(), room.len(), 0) }?;
                kept.directories.push(dir);
                Ok(())
            }),
            "stats" => dir.stat(&rest).map(drop),
            _ => return Err(format!("nothing is called `{what}`")),
        };
        match done {
            Ok(()) => kept.count += 1,
            Err(why) => {
                kept.ended = name(why);
                break;
            }
        }
    }
    Ok(kept)
}

/// Asks for names of this length, each another, that are not there or not granted; all are refused.
pub(crate) fn flood(times: &str, length: &str) -> Result<String, String> {
    let number = |text: &str| text.parse::<usize>().map_err(|error| error.to_string());
    let (times, length) = (number(times)?, number(length)?);
    let dir = first()?;
    let mut long = "N".repeat(length);
    for time in 0..times {
        long.replace_range(..10, &format!("{time:010}"));
        let opened = dir.open_with(0, &long, 0, wasip1::RIGHTS_FD_READ, 0);
        if opened.is_ok() || unsafe { wasip1::path_unlink_file(dir.fd(), &long) }.is_ok() {
            return Err(format!("{long} is there"));
        }
    }
    Ok(times.to_string())
}
