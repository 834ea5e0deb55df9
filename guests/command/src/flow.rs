//! Bytes in both directions.

use crate::portcullis::cli::command;
use crate::wasi::io::poll;
use crate::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::words::Words;
use crate::{over, refused, start};

/// What is asked for at once.
const CHUNK: u64 = 64 * 1024;

/// Everything up to the end, and how it ended.
pub fn read_to_end(stream: &InputStream) -> (Vec<u8>, &'static str) {
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(CHUNK) {
            Ok(read) => bytes.extend(read),
            Err(StreamError::Closed) => return (bytes, "closed"),
            Err(StreamError::LastOperationFailed(_)) => {
                let again = matches!(stream.read(CHUNK), Err(StreamError::Closed));
                assert!(again, "after its failure a stream is closed");
                return (bytes, "failed");
            }
        }
    }
}

/// Writes as much as it may at a time, and waits in between.
pub fn write_all(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    let ready = stream.subscribe();
    while !bytes.is_empty() {
        let room = usize::try_from(stream.check_write()?).unwrap();
        if room == 0 {
            ready.block();
            continue;
        }
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        stream.write(now)?;
        bytes = later;
    }
    stream.flush()
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

/// `--bytes=N` through the command, writing and reading by turns as either is ready.
pub fn echo(words: &Words) -> Result<String, String> {
    let child = start(&words.request(), words.stdio())?;
    let (mut stdin, stdout) = (child.stdin(), child.stdout().unwrap());
    let readable = stdout.subscribe();
    let sent = pattern(words.number("bytes"));
    let (mut done, mut back) = (0, Vec::new());
    loop {
        if let Some(open) = &stdin {
            let room = usize::try_from(open.check_write().unwrap()).unwrap();
            let now = &sent[done..][..room.min(sent.len() - done)];
            open.write(now).unwrap();
            done += now.len();
            if done == sent.len() {
                stdin = None;
            }
        }
        match stdout.read(CHUNK) {
            Ok(read) => back.extend(read),
            Err(_) => break,
        }
        match &stdin {
            Some(open) => {
                poll::poll(&[&readable, &open.subscribe()]);
            }
            None => readable.block(),
        }
    }
    Ok(format!("same={}\n{}", back == sent, over(&child)))
}

/// The same, but all is written before anything is read.
pub fn echo_after(words: &Words) -> Result<String, String> {
    let child = start(&words.request(), words.stdio())?;
    let sent = pattern(words.number("bytes"));
    let stdin = child.stdin().unwrap();
    write_all(&stdin, &sent).unwrap();
    drop(stdin);
    let (back, end) = read_to_end(&child.stdout().unwrap());
    Ok(format!("same={} {end}\n{}", back == sent, over(&child)))
}

/// Reads stdout to its end, then stderr, and says how long they were.
pub fn count(words: &Words) -> Result<String, String> {
    let child = start(&words.request(), words.stdio())?;
    let mut lengths = String::new();
    for (name, stream) in [("stdout", child.stdout()), ("stderr", child.stderr())] {
        let Some(stream) = stream else { continue };
        let mut length = 0;
        let end = loop {
            match stream.blocking_read(CHUNK) {
                Ok(read) => length += read.len(),
                Err(StreamError::Closed) => break "closed",
                Err(StreamError::LastOperationFailed(_)) => break "failed",
            }
        };
        lengths.push_str(&format!("{name}={length} {end}\n"));
    }
    Ok(lengths + &over(&child))
}

/// Reads the first byte, runs `true` a few times, then reads `--bytes=N` in all and runs `true` again, and leaves. How far
/// the command came meanwhile is for the test to see.
pub fn slow(words: &Words) -> Result<String, String> {
    let child = start(&words.request(), words.stdio())?;
    let stdout = child.stdout().unwrap();
    let mut read = stdout.blocking_read(1).unwrap().len();
    let others = || -> Result<(), String> {
        for _ in 0..words.number("runs") {
            let mut request = words.request();
            request.program = "true".to_owned();
            request.args = Vec::new();
            command::run(&request, None).map_err(refused)?;
        }
        Ok(())
    };
    others()?;
    while read < words.number("bytes") {
        read += stdout.blocking_read(CHUNK).unwrap().len();
    }
    others()?;
    Ok(format!("read={read}\n"))
}

/// Waits for the end without reading, then reads.
pub fn unread(words: &Words) -> Result<String, String> {
    let child = start(&words.request(), words.stdio())?;
    let end = over(&child);
    let (bytes, how) = read_to_end(&child.stdout().unwrap());
    Ok(format!("{end}stdout={} {how}\n", bytes.len()))
}

/// Drops stdout at once, and writes to a command that does not read.
pub fn closed(words: &Words) -> Result<String, String> {
    let child = start(&words.request(), words.stdio())?;
    drop(child.stdout());
    let end = over(&child);
    let stdin = child.stdin().unwrap();
    Ok(format!(
        "{end}write={:?}\n",
        write_all(&stdin, b"x").is_err()
    ))
}
