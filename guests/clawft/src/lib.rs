//! A plugin of clawft. Its tools take JSON objects: `http`, `read`, `write`, `env` and `log` call the host's function of that
//! name; `flood` calls one of them again and again in vain; `loop`, `burn`, `allocate`, `crash` use up what there is; `count`, `remember` and `scan` look at what is kept.
//!
//! `init` fails with the value of the variable `REFUSE_INIT`, and does not return where `INIT_LOOPS` is set.

mod description;
mod memory;

wit_bindgen::generate!({ path: "../wit/clawft-plugin-0.1.0", world: "plugin" });

use exports::plugin::Guest;
use host::{get_env, http_request, log, read_file, write_file};
use serde_json::{Value, json};

struct Plugin;

impl Guest for Plugin {
    fn init() -> Result<(), String> {
        memory::note_init();
        if get_env("INIT_LOOPS").is_some() {
            forever();
        }
        get_env("REFUSE_INIT").map_or(Ok(()), Err)
    }

    fn execute_tool(tool_name: String, params_json: String) -> Result<String, String> {
        let params: Value =
            serde_json::from_str(&params_json).map_err(|error| error.to_string())?;
        let text = |key: &str| params[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| params[key].as_u64().unwrap_or_default();
        // A text of its own, or of so many bytes.
        let content = |key: &str| match params["bytes"].as_u64() {
            Some(bytes) => "x".repeat(usize::try_from(bytes).unwrap_or(0)),
            None => text(key),
        };
        match tool_name.as_str() {
            "http" => {
                let body = (params["body"].is_string() || params["bytes"].is_u64())
                    .then(|| content("body"));
                http_request(
                    &text("method"),
                    &text("url"),
                    &headers(&params),
                    body.as_deref(),
                )
            }
            "read" => read_file(&text("path")),
            "write" => {
                write_file(&text("path"), &content("content")).map(|()| "written".to_owned())
            }
            "env" => Ok(json!(get_env(&text("name"))).to_string()),
            "log" => {
                let level = u8::try_from(number("level")).unwrap_or(u8::MAX);
                (0..number("times").max(1)).for_each(|_| log(level, &content("message")));
                Ok("logged".to_owned())
            }
            "loop" => forever(),
            "burn" => Ok(memory::burn(number("rounds")).to_string()),
            "allocate" => Ok(memory::allocate(number("mebibytes")).to_string()),
            "crash" => std::process::abort(),
            "count" => Ok(json!(memory::counts()).to_string()),
            "remember" => {
                memory::remember(&text("text"));
                Ok("remembered".to_owned())
            }
            "flood" => flood(&text("with"), number("times"), number("length")),
            "scan" => Ok(memory::scan(&text("backwards")).to_string()),
            other => Err(format!("no tool `{other}`")),
        }
    }

    fn describe() -> String {
        description::of(get_env("DESCRIBE").as_deref())
    }
}

/// Asks for what was not granted, so often, by another name of this length each time.
fn flood(with: &str, times: u64, length: u64) -> Result<String, String> {
    let mut name = "N".repeat(usize::try_from(length).unwrap_or(0));
    for time in 0..times {
        name.replace_range(..10, &format!("{time:010}"));
        let got = match with {
            "env" => get_env(&name).is_some(),
            "read" => read_file(&format!("/{name}")).is_ok(),
            "write" => write_file(&format!("/{name}"), &name).is_ok(),
            "http" => http_request("GET", &format!("https://{name}/"), &[], None).is_ok(),
            _ => return Err(format!("nothing to flood with is called `{with}`")),
        };
        if got {
            return Err(format!("{name} is there"));
        }
    }
    Ok(times.to_string())
}

fn headers(params: &Value) -> Vec<(String, String)> {
    let pairs = params["headers"].as_array().into_iter().flatten();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    pairs.map(|pair| (word(&pair[0]), word(&pair[1]))).collect()
}

fn forever() -> ! {
    loop {
        std::hint::black_box(());
    }
}

export!(Plugin);
