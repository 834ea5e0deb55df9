//! The core-module form: JSON behind packed pointers.

use serde_json::{Value, from_slice, json};

/// Room for one message of the host, which is the guest's from then on.
#[unsafe(no_mangle)]
extern "C" fn allocate(length: u32) -> *mut u8 {
    Box::leak(vec![0; length as usize].into_boxed_slice()).as_mut_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn run(args: u64) -> u64 {
    let (at, length) = ((args >> 32) as usize, args as u32 as usize);
    let message = unsafe { std::slice::from_raw_parts(at as *const u8, length) };
    let words: Vec<String> = from_slice(message).unwrap_or_default();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let answer: Value = match super::run(&words) {
        Ok(text) => json!({ "ok": text }),
        Err(text) => json!({ "error": text }),
    };
    let answer = answer.to_string().leak();
    (answer.as_ptr() as u64) << 32 | answer.len() as u64
}
