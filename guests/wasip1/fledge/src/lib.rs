//! What plugins of fledge have in common: its functions, declared by hand as all such plugins do, and a little JSON.

/// The functions that every plugin has.
mod raw {
    #[link(wasm_import_module = "fledge")]
    unsafe extern "C" {
        pub fn recv(ptr: *mut u8, max_len: i32) -> i32;
        pub fn send(ptr: *const u8, len: i32);
        pub fn exit(code: i32);
    }
}

/// Takes what waits, as far as it fits.
pub fn recv(room: usize) -> String {
    let mut buffer = vec![0; room];
    let length = unsafe { raw::recv(buffer.as_mut_ptr(), room as i32) };
    buffer.truncate(length as usize);
    String::from_utf8_lossy(&buffer).into_owned()
}

/// Sends a message.
pub fn send(message: &str) {
    unsafe { raw::send(message.as_ptr(), message.len() as i32) }
}

/// Leaves.
pub fn exit(code: i32) -> ! {
    unsafe { raw::exit(code) };
    unreachable!()
}

/// Writes a line to the operator's standard output by a message.
pub fn output(line: &str) {
    send(&format!(
        "{{\"type\":\"output\",\"text\":\"{}\\n\"}}",
        escape(line)
    ));
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// The arguments of the first message: a list of strings without a quote or backslash in them, or of escaped ones.
pub fn args(init: &str) -> Vec<String> {
    let Some((_, rest)) = init.split_once("\"args\":[") else {
        return Vec::new();
    };
    let mut args = Vec::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            ']' => break,
            '"' => {
                let mut arg = String::new();
                loop {
                    match chars.next() {
                        Some('"') | None => break,
                        Some('\\') => arg.push(match chars.next() {
                            Some('n') => '\n',
                            Some(c) => c,
                            None => break,
                        }),
                        Some(c) => arg.push(c),
                    }
                }
                args.push(arg);
            }
            _ => {}
        }
    }
    args
}

/// What an attempt came to.
pub fn tell<T: std::fmt::Debug>(what: &str, result: std::io::Result<T>) {
    match result {
        Ok(value) => output(&format!("{what}: ok {value:?}")),
        Err(error) => output(&format!("{what}: {error}")),
    }
}
