//! What a core module passes: packed pointers, and messages in JSON. What is accepted is what stands there, and what it
//! asks for lies inside the grants.
//!
//! An input that begins with `P` is a packed pointer of eight bytes and the size of a memory; every other one is a
//! message.

#[path = "../../portcullis/src/abi/module/wire/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the source of another crate, which keeps it to itself"
)]
mod message;
#[path = "../../portcullis/src/abi/place.rs"]
#[allow(
    dead_code,
    reason = "the source of another crate, which keeps it to itself"
)]
mod place;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use message::Command;
use place::Packed;
use portcullis_exec::ExecAsk;
use serde_json::Value;

use crate::Run;
use crate::lifted::World;

pub(crate) fn target() -> Run {
    let world = World::new();
    Box::new(move |data| match data.split_first() {
        Some((b'P', bytes)) => pointer(bytes),
        _ => read(data, &world),
    })
}

/// A place is one exactly if all of it is there, in numbers that have no end.
fn pointer(bytes: &[u8]) {
    let Some((packed, size)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let Some(size) = size.first_chunk::<4>() else {
        return;
    };
    let (packed, size) = (i64::from_be_bytes(*packed), u32::from_be_bytes(*size));
    let bytes = packed.to_be_bytes();
    let half = |at: usize| {
        bytes[at..at + 4]
            .iter()
            .fold(0_u128, |n, &byte| n << 8 | u128::from(byte))
    };
    let (start, length) = (half(0), half(4));
    let place = Packed::from_wasm(packed);
    assert_eq!(place.into_wasm(), packed, "there and back");
    let inside = start + length <= u128::from(size);
    match planted(place.within(size as usize).ok(), start, length, size) {
        Some(range) => {
            assert!(inside, "{start:#x} and {length} bytes of {size}");
            assert_eq!((range.start as u128, range.len() as u128), (start, length));
        }
        None => assert!(
            !inside,
            "{start:#x} and {length} bytes of {size} are refused"
        ),
    }
}

type Place = Option<std::ops::Range<usize>>;

#[cfg(not(feature = "planted"))]
fn planted(place: Place, _: u128, _: u128, _: u32) -> Place {
    place
}

/// The bug: an end is computed in 32 bits.
#[cfg(feature = "planted")]
fn planted(place: Place, start: u128, length: u128, size: u32) -> Place {
    let end = (start + length) & u128::from(u32::MAX);
    let wrapped = end <= u128::from(size) && length > 0;
    place.or(wrapped.then_some(start as usize..(start + length) as usize))
}

fn read(data: &[u8], world: &World) {
    if let Ok(command) = message::exec(data) {
        let value = says_the_same(data, &command);
        assert!(
            value["stdio"].is_null(),
            "streams for a command that is waited for"
        );
        world.check(&command.ask);
    }
    if let Ok(command) = message::exec_start(data) {
        let value = says_the_same(data, &command);
        assert!(
            value["stdin"].is_null(),
            "input as a whole for a command that runs beside"
        );
        world.check(&command.ask);
    }
    one_thing_at_most(data);
    if let Ok(answer) = message::run_result(data) {
        let (key, text) = match &answer {
            Ok(text) => ("ok", text),
            Err(text) => ("error", text),
        };
        assert_eq!(
            parsed(data),
            serde_json::json!({ key: text }),
            "another answer"
        );
    }
}

/// What is accepted of the other functions has members that it may have, and says the same there.
fn one_thing_at_most(data: &[u8]) {
    use message::{env, fs, http, kv, prompt, request};
    let members = |known: &[&str]| {
        let value = parsed(data);
        let object = value.as_object().expect("a request is an object").clone();
        assert!(
            object.keys().all(|key| known.contains(&key.as_str())),
            "{value} against {known:?}"
        );
        value
    };
    if let Ok(read) = request::<fs::Read>(data) {
        assert_eq!(members(&["path"])["path"], read.path);
    }
    if let Ok(write) = request::<fs::Write>(data) {
        let value = members(&["path", "content"]);
        assert_eq!(value["path"], write.path);
        assert_eq!(value["content"], STANDARD.encode(write.content.0));
    }
    if let Ok(rename) = request::<fs::Rename>(data) {
        let value = members(&["from", "to"]);
        assert_eq!(
            (&value["from"], &value["to"]),
            (&rename.from.into(), &rename.to.into())
        );
    }
    if let Ok(swap) = request::<kv::Swap>(data) {
        let value = members(&["key", "expected", "value"]);
        let expected = swap.expected.map(|bytes| STANDARD.encode(bytes.0));
        assert_eq!(value["key"], swap.key);
        assert_eq!(value["expected"], serde_json::json!(expected));
        assert_eq!(value["value"], STANDARD.encode(swap.value.0));
    }
    if let Ok(list) = request::<kv::List>(data) {
        let value = members(&["prefix", "after", "limit"]);
        assert_eq!(value["after"], serde_json::json!(list.after));
        assert_eq!(value["limit"].as_u64(), Some(list.limit.into()));
    }
    if let Ok(send) = request::<http::Send>(data) {
        let value = members(&["method", "url", "headers", "body", "timeout"]);
        let body = send.body.map(|bytes| STANDARD.encode(bytes.0));
        assert_eq!(
            (&value["method"], &value["url"]),
            (&send.method.into(), &send.url.into())
        );
        assert_eq!(list(&value["headers"]), serde_json::json!(send.headers.0));
        assert_eq!(value["body"], serde_json::json!(body));
        assert_eq!(value["timeout"].as_u64(), send.timeout);
    }
    if let Ok(get) = request::<env::Get>(data) {
        assert_eq!(members(&["name"])["name"], get.name);
    }
    if let Ok(choose) = request::<prompt::ChooseSome>(data) {
        let value = members(&["id", "message", "options", "defaults"]);
        assert_eq!(list(&value["options"]), serde_json::json!(choose.options.0));
        assert_eq!(
            list(&value["defaults"]),
            serde_json::json!(choose.defaults.0)
        );
    }
}

fn parsed(data: &[u8]) -> Value {
    serde_json::from_slice(data).expect("what is accepted is JSON")
}

/// Every member of the object is in the command, and nothing else is.
fn says_the_same(data: &[u8], command: &Command) -> Value {
    const MEMBERS: [&str; 9] = [
        "program",
        "args",
        "cwd",
        "env",
        "inherit-env",
        "timeout",
        "request-id",
        "stdin",
        "stdio",
    ];
    let value = parsed(data);
    let object = value.as_object().expect("a request is an object");
    assert!(
        object.keys().all(|key| MEMBERS.contains(&key.as_str())),
        "{value}"
    );
    let ExecAsk {
        program,
        args,
        cwd,
        env,
        inherit_env,
        stdin,
    } = &command.ask;
    let stdin = stdin.as_ref().map(|bytes| STANDARD.encode(bytes));
    let timeout = command.timeout.map(|timeout| timeout.as_nanos());
    assert_eq!(value["program"], program.as_str());
    assert_eq!(list(&value["args"]), serde_json::json!(args));
    assert_eq!(list(&value["env"]), serde_json::json!(env));
    assert_eq!(value["cwd"], serde_json::json!(cwd));
    assert_eq!(
        value["inherit-env"].as_bool().unwrap_or_default(),
        *inherit_env
    );
    assert_eq!(value["timeout"].as_u64().map(u128::from), timeout);
    assert_eq!(value["request-id"], serde_json::json!(command.request_id));
    assert_eq!(value["stdin"], serde_json::json!(stdin));
    value
}

/// What is not there is an empty list.
fn list(value: &Value) -> Value {
    if value.is_null() {
        serde_json::json!([])
    } else {
        value.clone()
    }
}
