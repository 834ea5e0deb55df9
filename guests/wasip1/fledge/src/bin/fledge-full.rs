//! Has every import of fledge's world, and calls them as its arguments say: `NAME REQUEST`, one pair after the other.

use fledge::{args, output, recv};

mod raw {
    #[link(wasm_import_module = "fledge")]
    unsafe extern "C" {
        pub fn exec(ptr: *const u8, len: i32) -> i32;
        pub fn store_set(ptr: *const u8, len: i32);
        pub fn store_get(ptr: *const u8, len: i32) -> i32;
        pub fn metadata(ptr: *const u8, len: i32) -> i32;
    }
}

fn main() {
    let args = args(&recv(64 * 1024));
    for pair in args.chunks(2) {
        let [name, request] = pair else { continue };
        let (at, length) = (request.as_ptr(), request.len() as i32);
        let answered = match name.as_str() {
            "exec" => unsafe { raw::exec(at, length) },
            "store_get" => unsafe { raw::store_get(at, length) },
            "metadata" => unsafe { raw::metadata(at, length) },
            "store_set" => {
                unsafe { raw::store_set(at, length) };
                output("store_set: done");
                continue;
            }
            // Takes a part of what waits.
            "recv" => {
                output(&format!(
                    "recv: {}",
                    recv(request.parse().unwrap_or(0)).len()
                ));
                continue;
            }
            // As its name says, and nothing of the answer is read.
            "unread" => {
                let answered = unsafe { raw::store_get(at, length) };
                output(&format!("unread: {answered}"));
                continue;
            }
            // A value of so many bytes.
            "store_long" => {
                let value = "v".repeat(request.parse().unwrap_or(0));
                let request = format!("{{\"key\":\"long\",\"value\":\"{value}\"}}");
                unsafe { raw::store_set(request.as_ptr(), request.len() as i32) };
                output("store_long: done");
                continue;
            }
            _ => panic!("no such function: {name}"),
        };
        output(&format!("{name}: {answered} {}", recv(1 << 20)));
    }
}
