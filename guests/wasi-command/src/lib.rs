//! A command on WASI preview 1, by its raw imports. Its first argument says what it does; what comes of a call is written as
//! its `errno`.

mod preview1;

use preview1::{File, args, environ, exit, find, print, read_all};

/// What a command exports.
#[unsafe(no_mangle)]
pub extern "C" fn _start() {
    let args = args();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match &words[1..] {
        ["args", ..] => print(&(words.join("\n") + "\n")),
        ["env"] => print(&environ().join("\n")),
        ["cat"] => print(&String::from_utf8_lossy(&read_all(0))),
        ["exit", code] => exit(code.parse().unwrap()),
        ["trap"] => core::arch::wasm32::unreachable(),
        ["spin"] => loop {
            core::hint::spin_loop();
        },
        ["hoard"] => hoard(),
        ["sockets"] => print(&format!("{:?}", preview1::sockets())),
        ["dirs"] => print(&preview1::preopens().join("\n")),
        ["acts", acts @ ..] => {
            let answers: Vec<_> = acts.iter().map(|act| perform(act)).collect();
            print(&(answers.join("\n") + "\n"));
        }
        _ => exit(2),
    }
}

/// Takes memory until there is none.
fn hoard() {
    let mut all = Vec::new();
    loop {
        all.push(vec![1_u8; 1 << 20]);
    }
}

/// One act: a word, a path, and what it needs besides.
fn perform(act: &str) -> String {
    let words: Vec<&str> = act.split(' ').collect();
    let done = match words[..] {
        ["read", path] => File::open(path, false)
            .map(|file| String::from_utf8_lossy(&read_all(file.0)).into_owned()),
        ["write", path, text] => {
            File::open(path, true).and_then(|file| file.write(text.as_bytes()))
        }
        ["fill", path, bytes] => {
            File::open(path, true).and_then(|file| file.write(&vec![b'x'; bytes.parse().unwrap()]))
        }
        ["mkdir", path] => find(path).and_then(|(dir, rest)| preview1::make_directory(dir, rest)),
        ["unlink", path] => find(path).and_then(|(dir, rest)| preview1::unlink(dir, rest)),
        _ => exit(2),
    };
    match done {
        Ok(text) if text.is_empty() => "ok".to_owned(),
        Ok(text) => text,
        Err(errno) => format!("errno {errno}"),
    }
}
