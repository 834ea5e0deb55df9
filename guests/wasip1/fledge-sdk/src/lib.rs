//! A plugin for hosts of fledge, in the words of the Rust SDK: `HOW [ARG]...`.

use portcullis::process::Command;
use portcullis::{Error, env, fledge, fs, http, kv, prompt};
use std::time::Duration;

#[portcullis::plugin]
fn act(args: Vec<String>) -> Result<String, Error> {
    let (how, rest) = args.split_first().ok_or("usage: HOW [ARG]...")?;
    match how.as_str() {
        "run" => Command::new(&rest[0]).args(&rest[1..]).read(),
        "late" => {
            let mut command = Command::new("sleep");
            let output = command
                .arg("30")
                .timeout(Duration::from_millis(900))
                .output()?;
            Ok(output.status.to_string())
        }
        "spawn" => Ok(format!(
            "{:?}",
            Command::new(&rest[0])
                .spawn()
                .map(drop)
                .map_err(|error| error.kind())
        )),
        "keep" => {
            let before = kv::get("runs")?.map(String::from_utf8).transpose()?;
            kv::set("runs", &rest[0])?;
            Ok(format!("{before:?}"))
        }
        "facts" => Ok(fledge::metadata(&["git_tags", "no_such"])?["no_such"].to_string()),
        "variable" => Ok(format!("{:?}", env::var(&rest[0])?)),
        "read" => {
            let names: Vec<_> = fs::read_dir(".")?
                .map(|entry| entry.file_name().to_owned())
                .collect();
            Ok(format!(
                "{} {}",
                fs::read_to_string(&rest[0])?,
                names.join(" ")
            ))
        }
        "kinds" => {
            let kind = |error: Error| error.kind();
            let missing = fs::read("missing").map_err(kind);
            let written = fs::write("new", "x").map_err(kind);
            let sent = http::get("http://127.0.0.1/").map(drop).map_err(kind);
            Ok(format!("{missing:?} {written:?} {sent:?}"))
        }
        "ask" => {
            let name = prompt::text("name", "Who?", None)?;
            let sure = prompt::confirm("sure", "Sure?", false)?;
            let colours = ["red", "green", "blue"];
            let one = prompt::choose("colour", "Which?", &colours, None)?;
            let some = prompt::choose_some("some", "Which?", &colours, &[2, 0])?;
            Ok(format!("{name} {sure} {one} {some:?}"))
        }
        "log" => {
            portcullis::log::init();
            log::info!("it begins");
            Ok(String::new())
        }
        "panic" => panic!("it broke"),
        other => Err(format!("no way `{other}`").into()),
    }
}
