//! As much as there is: writing until nothing more is taken, and keeping what was opened.

use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags, filesystem_error_code,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use crate::locate;

/// Bytes written at once.
const CHUNK: u64 = 1000;

enum Sink {
    Write,
    Size,
    Gap,
    Stream(OutputStream),
    Blocking(OutputStream),
    Zeroes(OutputStream),
    Splice(InputStream, OutputStream),
}

/// Writes so many bytes to a new file in one of the ways, and says how many were taken and how it ended: `3000, quota`.
pub(crate) fn fill(path: &str, way: &str, bytes: &str) -> Result<String, String> {
    let bytes: u64 = bytes.parse().map_err(|_| "usage: fill PATH WAY BYTES")?;
    let name = |code: ErrorCode| code.name().to_owned();
    let both = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = open(path, OpenFlags::CREATE | OpenFlags::TRUNCATE, both).map_err(name)?;
    let stream = || file.write_via_stream(0).map_err(name);
    let sink = match way {
        "write" => Sink::Write,
        "size" => Sink::Size,
        "gap" => Sink::Gap,
        "stream" => Sink::Stream(stream()?),
        "append" => Sink::Stream(file.append_via_stream().map_err(name)?),
        "blocking" => Sink::Blocking(stream()?),
        "zeroes" => Sink::Zeroes(stream()?),
        "splice" => {
            let source = open("/source/source", OpenFlags::empty(), DescriptorFlags::READ);
            let source = source.map_err(name)?.read_via_stream(0).map_err(name)?;
            Sink::Splice(source, stream()?)
        }
        _ => return Err(format!("no way `{way}`")),
    };
    let mut done = 0;
    while done < bytes {
        match put(&file, &sink, done, CHUNK.min(bytes - done)) {
            Ok(more) => done += more,
            Err(why) => return Ok(format!("{done}, {why}")),
        }
    }
    Ok(format!("{done}, done"))
}

/// Writes so many more bytes.
fn put(file: &Descriptor, sink: &Sink, at: u64, length: u64) -> Result<u64, String> {
    let bytes = vec![b'x'; usize::try_from(length).unwrap_or_default()];
    let code = |code: ErrorCode| code.name().to_owned();
    match sink {
        Sink::Write => file.write(&bytes, at).map_err(code),
        Sink::Size => file.set_size(at + length).map(|()| length).map_err(code),
        // One byte at the end of what is to be there.
        Sink::Gap => {
            let written = file.write(b"x", at + length - 1);
            written.map(|_| length).map_err(code)
        }
        Sink::Stream(stream) => {
            let room = wait(stream).map_err(failed)?.min(length);
            let bytes = &bytes[..usize::try_from(room).unwrap_or_default()];
            stream.write(bytes).map_err(failed)?;
            stream.blocking_flush().map_err(failed)?;
            Ok(room)
        }
        Sink::Blocking(stream) => {
            let written = stream.blocking_write_and_flush(&bytes);
            written.map(|()| length).map_err(failed)
        }
        Sink::Zeroes(stream) => {
            let written = stream.blocking_write_zeroes_and_flush(length);
            written.map(|()| length).map_err(failed)
        }
        Sink::Splice(source, stream) => {
            let moved = stream.blocking_splice(source, length).map_err(failed)?;
            Ok(moved)
        }
    }
}

fn wait(stream: &OutputStream) -> Result<u64, StreamError> {
    loop {
        match stream.check_write()? {
            0 => stream.subscribe().block(),
            room => return Ok(room),
        }
    }
}

pub(crate) fn failed(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => match filesystem_error_code(&error) {
            Some(code) => code.name().to_owned(),
            None => error.to_debug_string(),
        },
    }
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

/// What is kept: dropped in this order.
struct Kept {
    streams: Vec<Box<dyn std::any::Any>>,
    files: Vec<Descriptor>,
    count: u32,
    ended: String,
}

fn keep(what: &str, path: &str, times: u32) -> Result<Kept, String> {
    let mut kept = Kept {
        streams: Vec::new(),
        files: Vec::new(),
        count: 0,
        ended: "done".to_owned(),
    };
    let (dir, rest) = locate(path)?;
    let name = |code: ErrorCode| code.name().to_owned();
    let both = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = |flags| open(path, OpenFlags::empty(), flags).map_err(name);
    let one = match what {
        "orphans" | "files" | "directories" => None,
        "writers" => Some(file(both)?),
        _ => Some(file(DescriptorFlags::READ)?),
    };
    let one = one.as_ref();
    for _ in 0..times {
        let done = match (what, one) {
            ("files" | "directories", _) => {
                file(DescriptorFlags::READ).map(|file| kept.files.push(file))
            }
            // The stream keeps its file open.
            ("orphans", _) => file(DescriptorFlags::READ)
                .and_then(|file| file.read_via_stream(0).map_err(name))
                .map(|stream| kept.streams.push(Box::new(stream))),
            // Each has begun to read, and nobody takes it.
            ("readers", Some(file)) => file.read_via_stream(0).map_err(name).map(|stream| {
                let _ = stream.read(1 << 20);
                kept.streams.push(Box::new(stream));
            }),
            ("writers", Some(file)) => file
                .write_via_stream(0)
                .map_err(name)
                .map(|stream| kept.streams.push(Box::new(stream))),
            ("listings", Some(dir)) => dir
                .read_directory()
                .map_err(name)
                .map(|listing| kept.streams.push(Box::new(listing))),
            ("pollables", _) => {
                let pollable = wasip2::clocks::monotonic_clock::subscribe_duration(u64::MAX);
                kept.streams.push(Box::new(pollable));
                Ok(())
            }
            ("preopens", _) => {
                let preopens = wasip2::filesystem::preopens::get_directories();
                kept.streams.push(Box::new(preopens));
                Ok(())
            }
            ("stats", _) => {
                let stat = dir.stat_at(PathFlags::SYMLINK_FOLLOW, &rest);
                stat.map(drop).map_err(name)
            }
            _ => return Err(format!("nothing is called `{what}`")),
        };
        match done {
            Ok(()) => kept.count += 1,
            Err(why) => {
                kept.ended = why;
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
    let dir = crate::first()?;
    let mut name = "N".repeat(length);
    for time in 0..times {
        name.replace_range(..10, &format!("{time:010}"));
        let opened = dir.open_at(
            PathFlags::empty(),
            &name,
            OpenFlags::empty(),
            DescriptorFlags::READ,
        );
        if opened.is_ok() || dir.unlink_file_at(&name).is_ok() {
            return Err(format!("{name} is there"));
        }
    }
    Ok(times.to_string())
}

fn open(path: &str, open: OpenFlags, access: DescriptorFlags) -> Result<Descriptor, ErrorCode> {
    let (dir, rest) = locate(path).map_err(|_| ErrorCode::NoEntry)?;
    dir.open_at(PathFlags::SYMLINK_FOLLOW, &rest, open, access)
}
