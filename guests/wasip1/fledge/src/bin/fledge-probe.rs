//! Does what its arguments say, a verb and what it is about, and tells what came of it.

use std::io::Read;

use fledge::{args, exit, output, recv, send, tell};

fn main() -> Result<(), String> {
    let init = recv(64 * 1024);
    let args = args(&init);
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["init"] => output(&init),
        ["empty"] => output(&format!("{:?}", recv(16))),
        ["env"] => {
            let args: Vec<_> = std::env::args().collect();
            output(&format!(
                "{} variables, arguments {args:?}, in {:?}",
                std::env::vars().count(),
                std::env::current_dir()
            ));
        }
        ["read", ref paths @ ..] => {
            for path in paths {
                tell(path, std::fs::read_to_string(path));
            }
        }
        ["list", ref paths @ ..] => {
            for path in paths {
                let names = std::fs::read_dir(path).map(|entries| {
                    let names = entries.flatten().map(|entry| entry.file_name());
                    let mut names: Vec<_> = names.collect();
                    names.sort();
                    names
                });
                tell(path, names);
            }
        }
        ["write", text, ref paths @ ..] => {
            for path in paths {
                tell(path, std::fs::write(path, text));
            }
        }
        ["append", text, path] => tell(path, append(path, text)),
        ["mkdir", ref paths @ ..] => {
            for path in paths {
                tell(path, std::fs::create_dir_all(path));
            }
        }
        ["remove", ref paths @ ..] => {
            for path in paths {
                tell(path, std::fs::remove_file(path));
            }
        }
        ["fill", path, megabytes] => tell(path, fill(path, megabytes.parse().unwrap_or(0))),
        ["extend", path, bytes] => {
            let file = std::fs::File::create(path);
            tell(
                path,
                file.and_then(|file| file.set_len(bytes.parse().unwrap_or(0))),
            );
        }
        ["symlink", target, path] => tell(path, symlink(target, path)),
        ["hardlink", from, to] => tell(to, std::fs::hard_link(from, to)),
        ["rename", from, to] => tell(to, std::fs::rename(from, to)),
        ["network"] => {
            tell("connect", std::net::TcpStream::connect("127.0.0.1:1"));
            tell("bind", std::net::TcpListener::bind("127.0.0.1:0"));
        }
        ["spawn"] => tell("spawn", std::process::Command::new("echo").output()),
        ["stdio"] => {
            println!("to stdout");
            eprintln!("to stderr");
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            tell("stdin", read.map(|_| text));
        }
        ["clock"] => {
            let now = std::time::SystemTime::now();
            let now = now.duration_since(std::time::UNIX_EPOCH);
            output(&format!(
                "{}",
                now.is_ok_and(|now| now.as_secs() > 1_700_000_000)
            ));
        }
        ["flood"] => loop {
            println!("{}", "x".repeat(64 * 1024));
        },
        ["return"] => {}
        ["exit", code] => exit(code.parse().unwrap_or(99)),
        ["proc_exit", code] => std::process::exit(code.parse().unwrap_or(99)),
        ["err"] => return Err("main gave up".to_owned()),
        ["panic"] => panic!("out of luck"),
        ["overflow"] => output(&deep(0).to_string()),
        ["loop"] => loop {
            std::hint::black_box(0);
        },
        ["sleep", seconds] => {
            std::thread::sleep(std::time::Duration::from_secs(seconds.parse().unwrap_or(0)));
        }
        ["grow"] => {
            let mut pages = 0;
            while core::arch::wasm32::memory_grow(0, 16) != usize::MAX {
                pages += 16;
            }
            output(&format!("{pages} pages, then -1"));
        }
        ["push"] => {
            let mut all = Vec::new();
            loop {
                all.push(vec![1_u8; 1 << 20]);
            }
        }
        ["frames", count] => {
            for frame in 0..count.parse().unwrap_or(0) {
                send(&format!(
                    "{{\"type\":\"output\",\"text\":\"\\u001b[2Kframe {frame}\\n\"}}"
                ));
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        // Messages, one after the other, and what is answered to each.
        ["send", ref messages @ ..] => {
            for message in messages {
                send(message);
                output(&format!("recv {:?}", recv(64 * 1024)));
            }
        }
        _ => return Err(format!("no such act: {words:?}")),
    }
    Ok(())
}

fn append(path: &str, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(path);
    file?.write_all(text.as_bytes())
}

fn fill(path: &str, megabytes: usize) -> std::io::Result<usize> {
    use std::io::Write;
    let mut file = std::fs::File::create(path)?;
    for _ in 0..megabytes {
        file.write_all(&vec![7; 1 << 20])?;
    }
    Ok(megabytes)
}

/// `std` has none for this target in stable.
fn symlink(target: &str, path: &str) -> std::io::Result<()> {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        fn path_symlink(
            old: *const u8,
            old_len: usize,
            fd: i32,
            new: *const u8,
            new_len: usize,
        ) -> i32;
        fn fd_prestat_get(fd: i32, out: *mut [u32; 2]) -> i32;
        fn fd_prestat_dir_name(fd: i32, path: *mut u8, len: usize) -> i32;
    }
    for fd in 3..16 {
        let mut stat = [0; 2];
        if unsafe { fd_prestat_get(fd, &mut stat) } != 0 {
            break;
        }
        let mut name = vec![0; stat[1] as usize];
        unsafe { fd_prestat_dir_name(fd, name.as_mut_ptr(), name.len()) };
        let name = String::from_utf8_lossy(&name).into_owned();
        if let Some(rest) = path.strip_prefix(&format!("{name}/")) {
            let errno = unsafe {
                path_symlink(target.as_ptr(), target.len(), fd, rest.as_ptr(), rest.len())
            };
            return match errno {
                0 => Ok(()),
                errno => Err(std::io::Error::from_raw_os_error(errno)),
            };
        }
    }
    Err(std::io::Error::from_raw_os_error(44))
}

#[expect(unconditional_recursion, reason = "the stack is to run out")]
fn deep(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    deep(depth + 1) + frame[7]
}
