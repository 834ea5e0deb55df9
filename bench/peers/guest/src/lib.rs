//! What `guests/calls` does, through Extism's plug-in kit, the way its book does it: text as text, everything else as
//! JSON.

use extism_pdk::{FnResult, FromBytes, Json, ToBytes, host_fn, plugin_fn};
use serde::{Deserialize, Serialize};

#[derive(Serialize, ToBytes)]
#[encoding(Json)]
struct Request {
    program: String,
    args: Vec<String>,
    cwd: Option<String>,
    env: Vec<(String, String)>,
    inherit_env: bool,
    stdin: Option<Vec<u8>>,
}

#[derive(Deserialize, FromBytes)]
#[encoding(Json)]
struct Answer {
    status: u32,
    #[allow(dead_code, reason = "decoded, as the other guest's bindings do")]
    stdout: Vec<u8>,
    #[allow(dead_code, reason = "decoded, as the other guest's bindings do")]
    stderr: Vec<u8>,
}

#[host_fn]
extern "ExtismHost" {
    fn exec(request: &Request) -> Answer;
    fn read_file(path: &str) -> Vec<u8>;
    fn get_env(name: &str) -> String;
    fn log_line(line: &str);
    fn kv_get(key: &str) -> Vec<u8>;
}

#[plugin_fn]
pub fn noop() -> FnResult<()> {
    Ok(())
}

#[plugin_fn]
pub fn echo(text: String) -> FnResult<String> {
    Ok(text)
}

#[plugin_fn]
pub fn join(Json(texts): Json<Vec<String>>) -> FnResult<String> {
    Ok(texts.concat())
}

#[plugin_fn]
pub fn ask(count: String) -> FnResult<String> {
    let request = Request {
        program: "/usr/bin/git".to_owned(),
        args: ["log", "--oneline", "-n5"].map(str::to_owned).to_vec(),
        cwd: None,
        env: Vec::new(),
        inherit_env: false,
        stdin: None,
    };
    let mut ran = 0_u32;
    for _ in 0..count.parse()? {
        let answer = unsafe { exec(&request)? };
        ran += u32::from(answer.status == 0);
    }
    Ok(ran.to_string())
}

/// What `guests/files`, `env`, `log` and `kv` do: the same again and again, and what came of it.
#[plugin_fn]
pub fn again(Json((what, times, object)): Json<(String, u32, String)>) -> FnResult<String> {
    let mut got = 0_usize;
    for _ in 0..times {
        got = match what.as_str() {
            "read" => unsafe { read_file(&object)? }.len(),
            "env" => unsafe { get_env(&object)? }.len(),
            "kv" => unsafe { kv_get(&object)? }.len(),
            _ => {
                unsafe { log_line(&object)? };
                object.len()
            }
        };
    }
    Ok(got.to_string())
}
