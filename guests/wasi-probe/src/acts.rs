//! Changes to files, one a line, each answered by `ok` or by WASI's own name for what is wrong with it.

use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};

use crate::{holds, locate};

/// Does what each line says, in order.
pub(crate) fn acts(lines: &[&str]) -> Result<String, String> {
    let answers = lines.iter().map(|line| act(line));
    Ok(answers.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// Writes to a path again and again, and counts the answers: `ok 12, not-permitted 3`.
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
        ["write", path, text] => write(path, text, OpenFlags::CREATE | OpenFlags::TRUNCATE),
        ["overwrite", path, text] => write(path, text, OpenFlags::empty()),
        ["truncate", path] => open(path, OpenFlags::TRUNCATE, DescriptorFlags::READ).map(drop),
        ["create", path] => open(path, OpenFlags::CREATE, DescriptorFlags::READ).map(drop),
        ["read", path] => open(path, OpenFlags::empty(), DescriptorFlags::READ)
            .and_then(|file| file.read(1, 0))
            .map(drop),
        ["open-link", path] => {
            let (dir, rest) = locate(path)?;
            let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE;
            dir.open_at(PathFlags::empty(), &rest, flags, DescriptorFlags::WRITE)
                .map(drop)
        }
        ["size", path, size] => {
            let size = size.parse().map_err(|_| "usage: size PATH BYTES")?;
            open(path, OpenFlags::empty(), DescriptorFlags::WRITE)
                .and_then(|file| file.set_size(size))
        }
        // So many bytes in one call, of which only the first may be taken.
        ["once", path, bytes] => {
            let bytes: u64 = bytes.parse().map_err(|_| "usage: once PATH BYTES")?;
            let file = open(path, OpenFlags::CREATE, DescriptorFlags::WRITE);
            let content = vec![b'x'; usize::try_from(bytes).unwrap_or_default()];
            match file.and_then(|file| file.write(&content, 0)) {
                Ok(written) if written < bytes => return Ok(format!("{written} of them")),
                written => written.map(drop),
            }
        }
        // By a stream that begins there.
        ["stream-at", path, at, text] => {
            let at = at
                .parse()
                .map_err(|_| "usage: stream-at PATH OFFSET TEXT")?;
            let stream = open(path, OpenFlags::CREATE, DescriptorFlags::WRITE)
                .and_then(|file| file.write_via_stream(at));
            match stream.map(|stream| stream.blocking_write_and_flush(text.as_bytes())) {
                Ok(Err(why)) => return Ok(holds::failed(why)),
                Ok(Ok(())) => Ok(()),
                Err(code) => Err(code),
            }
        }
        ["mkdir", path] => at(path, |dir, rest| dir.create_directory_at(rest))?,
        ["rmdir", path] => at(path, |dir, rest| dir.remove_directory_at(rest))?,
        ["unlink", path] => at(path, |dir, rest| dir.unlink_file_at(rest))?,
        ["symlink", target, path] => at(path, |dir, rest| dir.symlink_at(target, rest))?,
        ["link", from, to] => {
            let ((from, old), (to, new)) = (locate(from)?, locate(to)?);
            from.link_at(PathFlags::empty(), &old, &to, &new)
        }
        ["rename", from, to] => {
            let ((from, old), (to, new)) = (locate(from)?, locate(to)?);
            from.rename_at(&old, &to, &new)
        }
        ["times", path] => at(path, |dir, rest| {
            dir.set_times_at(PathFlags::SYMLINK_FOLLOW, rest, EPOCH, EPOCH)
        })?,
        ["times-opened", path] => open(path, OpenFlags::empty(), DescriptorFlags::READ)
            .and_then(|file| file.set_times(EPOCH, EPOCH)),
        // From a directory that was opened on the way.
        ["write-in", dir, name, text] => open(dir, OpenFlags::DIRECTORY, DescriptorFlags::READ)
            .and_then(|dir| write_at(&dir, name, text, OpenFlags::CREATE)),
        _ => return Err(format!("no such act: {line}")),
    };
    Ok(match done {
        Ok(()) => "ok".to_owned(),
        Err(code) => code.name().to_owned(),
    })
}

const EPOCH: NewTimestamp = NewTimestamp::Timestamp(wasip2::clocks::wall_clock::Datetime {
    seconds: 0,
    nanoseconds: 0,
});

fn at<T>(
    path: &str,
    act: impl FnOnce(&Descriptor, &str) -> Result<T, ErrorCode>,
) -> Result<Result<T, ErrorCode>, String> {
    let (dir, rest) = locate(path)?;
    Ok(act(&dir, &rest))
}

fn open(path: &str, open: OpenFlags, access: DescriptorFlags) -> Result<Descriptor, ErrorCode> {
    let (dir, rest) = locate(path).map_err(|_| ErrorCode::NoEntry)?;
    dir.open_at(PathFlags::SYMLINK_FOLLOW, &rest, open, access)
}

fn write(path: &str, text: &str, flags: OpenFlags) -> Result<(), ErrorCode> {
    let (dir, rest) = locate(path).map_err(|_| ErrorCode::NoEntry)?;
    write_at(&dir, &rest, text, flags)
}

pub(crate) fn write_at(
    dir: &Descriptor,
    path: &str,
    text: &str,
    flags: OpenFlags,
) -> Result<(), ErrorCode> {
    let file = dir.open_at(
        PathFlags::SYMLINK_FOLLOW,
        path,
        flags,
        DescriptorFlags::WRITE,
    )?;
    file.write(text.as_bytes(), 0).map(drop)
}
