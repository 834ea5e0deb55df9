//! Changes to files, one a line, each answered by `ok` or by the name of what is wrong with it.

use wasip1::{Errno, Oflags};

use crate::files::{Directory, FOLLOW, locate, name};

const READ: wasip1::Rights = wasip1::RIGHTS_FD_READ;
const WRITE: wasip1::Rights = wasip1::RIGHTS_FD_WRITE;
const CREATE: Oflags = wasip1::OFLAGS_CREAT;
const TRUNCATE: Oflags = wasip1::OFLAGS_TRUNC;
/// Both times, to the beginning of all.
const EPOCH: wasip1::Fstflags = wasip1::FSTFLAGS_ATIM | wasip1::FSTFLAGS_MTIM;

/// Does what each line says, in order.
pub(crate) fn acts(lines: &[&str]) -> Result<String, String> {
    let answers = lines.iter().map(|line| act(line));
    Ok(answers.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// Does it again and again, and counts the answers: `ok 12, not-permitted 3`.
pub(crate) fn again(times: &str, line: &str) -> Result<String, String> {
    let times = times.parse::<u32>().map_err(|_| "usage: again TIMES ACT")?;
    let mut counted = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..times {
        *counted.entry(act(line)?).or_default() += 1;
    }
    let counted: Vec<_> = counted
        .iter()
        .map(|(answer, count)| format!("{answer} {count}"))
        .collect();
    Ok(counted.join(", "))
}

fn act(line: &str) -> Result<String, String> {
    let words: Vec<_> = line.split(' ').collect();
    let done = match words[..] {
        ["write", path, text] => write(path, text, CREATE | TRUNCATE)?,
        ["overwrite", path, text] => write(path, text, 0)?,
        ["truncate", path] => at(path, |dir, rest| dir.open(rest, TRUNCATE, READ).map(drop))?,
        ["create", path] => at(path, |dir, rest| dir.open(rest, CREATE, READ).map(drop))?,
        ["read", path] => at(path, |dir, rest| {
            dir.open(rest, 0, READ)?.read(1, 0).map(drop)
        })?,
        ["open-link", path] => at(path, |dir, rest| {
            dir.open_with(0, rest, CREATE | TRUNCATE, WRITE, 0)
                .map(drop)
        })?,
        ["size", path, size] => {
            let size = size.parse().map_err(|_| "usage: size PATH BYTES")?;
            at(path, |dir, rest| dir.open(rest, 0, WRITE)?.set_size(size))?
        }
        ["allocate", path] => at(path, |dir, rest| {
            let file = dir.open(rest, 0, WRITE)?;
            unsafe { wasip1::fd_allocate(file.0, 0, 1000) }
        })?,
        // So many bytes in one call, of which only the first may be taken.
        ["once", path, bytes] => {
            let bytes: u64 = bytes.parse().map_err(|_| "usage: once PATH BYTES")?;
            let content = vec![b'x'; bytes as usize];
            let (dir, rest) = locate(path)?;
            let file = dir.open(&rest, CREATE, WRITE);
            match file.and_then(|file| file.write(&content, 0)) {
                Ok(written) if written < bytes => return Ok(format!("{written} of them")),
                written => written.map(drop),
            }
        }
        ["stream-at", path, place, text] => {
            let place = place
                .parse()
                .map_err(|_| "usage: stream-at PATH OFFSET TEXT")?;
            at(path, |dir, rest| {
                let file = dir.open(rest, CREATE, WRITE)?;
                file.write(text.as_bytes(), place).map(drop)
            })?
        }
        ["mkdir", path] => at(path, |dir, rest| unsafe {
            wasip1::path_create_directory(dir.fd(), rest)
        })?,
        ["rmdir", path] => at(path, |dir, rest| unsafe {
            wasip1::path_remove_directory(dir.fd(), rest)
        })?,
        ["unlink", path] => at(path, |dir, rest| unsafe {
            wasip1::path_unlink_file(dir.fd(), rest)
        })?,
        ["symlink", target, path] => at(path, |dir, rest| unsafe {
            wasip1::path_symlink(target, dir.fd(), rest)
        })?,
        ["link", from, to] => {
            let ((from, old), (to, new)) = (locate(from)?, locate(to)?);
            unsafe { wasip1::path_link(from.fd(), 0, &old, to.fd(), &new) }
        }
        ["rename", from, to] => {
            let ((from, old), (to, new)) = (locate(from)?, locate(to)?);
            unsafe { wasip1::path_rename(from.fd(), &old, to.fd(), &new) }
        }
        ["times", path] => at(path, |dir, rest| unsafe {
            wasip1::path_filestat_set_times(dir.fd(), FOLLOW, rest, 0, 0, EPOCH)
        })?,
        ["times-opened", path] => at(path, |dir, rest| {
            let file = dir.open(rest, 0, READ)?;
            unsafe { wasip1::fd_filestat_set_times(file.0, 0, 0, EPOCH) }
        })?,
        // From a directory that was opened on the way.
        ["write-in", dir, file, text] => at(dir, |dir, rest| {
            write_at(&dir.open_directory(rest)?, file, text, CREATE)
        })?,
        _ => return Err(format!("no such act: {line}")),
    };
    Ok(match done {
        Ok(()) => "ok".to_owned(),
        Err(code) => name(code),
    })
}

fn at<T>(
    path: &str,
    act: impl FnOnce(&Directory, &str) -> Result<T, Errno>,
) -> Result<Result<T, Errno>, String> {
    let (dir, rest) = locate(path)?;
    Ok(act(&dir, &rest))
}

fn write(path: &str, text: &str, flags: Oflags) -> Result<Result<(), Errno>, String> {
    at(path, |dir, rest| write_at(dir, rest, text, flags))
}

pub(crate) fn write_at(
    dir: &Directory,
    path: &str,
    text: &str,
    flags: Oflags,
) -> Result<(), Errno> {
    let file = dir.open(path, flags, WRITE)?;
    file.write(text.as_bytes(), 0).map(drop)
}
