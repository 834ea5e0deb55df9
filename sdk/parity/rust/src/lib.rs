//! A plugin that does what `sdk/parity/scenarios.toml` says: the first argument is the scenario, the rest are its own.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::time::Duration;

use portcullis::http::{self, Request};
use portcullis::process::{Command, Stdio};
use portcullis::{Error, ErrorKind, env, fs, kv, prompt};

type Result<T = String, E = Error> = std::result::Result<T, E>;

#[portcullis::plugin]
fn parity(args: Vec<String>) -> Result {
    let (scenario, args) = args.split_first().ok_or("usage: SCENARIO [ARG]...")?;
    match scenario.as_str() {
        "output" => Command::new("printf").arg("one\\ntwo\\n").read(),
        "arguments" => Command::new("printf")
            .args(["[%s]", "a b", "$x", "", "*"])
            .read(),
        "bytes" => bytes(),
        "status" => status(),
        "must-succeed" => must_succeed(),
        "signal" => signal(),
        "both-outputs" => both_outputs(),
        "environment" => Command::new("printenv")
            .arg("GREETING")
            .env("GREETING", "hello")
            .read(),
        "directory" => directory(),
        "input" => Command::new("cat").input("héllo").read(),
        "large-input" => large_input(),
        "deadline" => deadline(),
        "denied" => kind(Command::new("id").output()),
        "not-found" => kind(Command::new("no-such-program").output()),
        "lines" => lines(),
        "conversation" => conversation(),
        "kill" => kill(),
        "files" => files(),
        "file-missing" => kind(fs::read("missing.txt")),
        "file-denied" => kind(fs::read("/etc/passwd")),
        "get" => get(&args[0]),
        "post" => post(&args[0]),
        "http-denied" => kind(http::get("https://example.com/")),
        "variable" => variable(),
        "state" => state(),
        "log" => {
            portcullis::log::init();
            log::info!("it begins");
            Ok("logged".to_owned())
        }
        "questions" => questions(),
        "plugin-arguments" => Ok(args.join("|")),
        "error" => Err("it does not work".into()),
        "crash" => panic!("it broke"),
        other => Err(format!("no scenario `{other}`").into()),
    }
}

/// The kind of an error that has to be there.
fn kind<T>(result: Result<T>) -> Result {
    match result.map_err(|error| error.kind()) {
        Ok(_) => Err("it was done".into()),
        Err(ErrorKind::Denied) => Ok("denied".to_owned()),
        Err(ErrorKind::NotFound) => Ok("not found".to_owned()),
        Err(kind) => Err(kind.to_string().into()),
    }
}

fn bytes() -> Result {
    let output = Command::new("printf").arg("\\377\\000").output()?;
    Ok(output.stdout.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    }))
}

fn status() -> Result {
    let status = Command::new("false").status()?;
    Ok(format!("status {}", status.code().ok_or("it has no code")?))
}

fn must_succeed() -> Result {
    let Err(error) = Command::new("cat").arg("missing").read() else {
        return Err("it was a success".into());
    };
    let output = error.output().ok_or("it did not run")?;
    let code = output.status.code().ok_or("it has no code")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    Ok(format!(
        "failed {code} {}",
        stderr.lines().next().unwrap_or_default()
    ))
}

fn signal() -> Result {
    let output = Command::new("sh").args(["-c", "kill -9 $$"]).output()?;
    Ok(format!(
        "signal {}",
        output.status.signal().ok_or("it ended by itself")?
    ))
}

fn both_outputs() -> Result {
    let output = Command::new("sh")
        .args(["-c", "echo out; echo err >&2"])
        .output()?;
    let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
    Ok(format!("{}|{}", text(&output.stdout), text(&output.stderr)))
}

fn directory() -> Result {
    let directory = Command::new("pwd").current_dir("sub").read()?;
    Ok(directory.rsplit('/').next().unwrap_or_default().to_owned())
}

/// In one piece, and through a pipe.
fn large_input() -> Result {
    let mut command = Command::new("wc");
    command.arg("-c").input(vec![b'x'; 1 << 20]);
    let whole = command.read()?;
    let piped = command.stdout(Stdio::piped()).read()?;
    if whole == piped {
        Ok(whole)
    } else {
        Err(format!("{whole}, and {piped} through a pipe").into())
    }
}

fn deadline() -> Result {
    let mut command = Command::new("sh");
    command.args(["-c", "echo begun; exec sleep 30"]);
    let output = command.timeout(Duration::from_secs(2)).output()?;
    if !output.status.timed_out() {
        return Err(output.status.to_string().into());
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    Ok(format!("timed out {}", stdout.trim_end()))
}

fn lines() -> Result {
    let mut command = Command::new("sh");
    command.args(["-c", "echo one; sleep 0.1; echo two"]);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let stdout = BufReader::new(child.stdout.take().ok_or("no pipe")?);
    let lines: Vec<_> = stdout.lines().collect::<Result<_, _>>()?;
    child.wait()?;
    Ok(lines.join(","))
}

fn conversation() -> Result {
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("no pipe")?;
    let mut stdout = BufReader::new(child.stdout.take().ok_or("no pipe")?);
    let mut said = Vec::new();
    for word in ["ping", "pong"] {
        writeln!(stdin, "{word}")?;
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        said.push(line.trim_end().to_owned());
    }
    drop(stdin);
    let status = child.wait()?;
    Ok(format!(
        "{} {}",
        said.join(" "),
        status.code().ok_or("it has no code")?
    ))
}

fn kill() -> Result {
    let mut child = Command::new("sleep").arg("30").spawn()?;
    child.kill()?;
    Ok(format!(
        "signal {}",
        child.wait()?.signal().ok_or("it ended by itself")?
    ))
}

fn files() -> Result {
    fs::write("notes.txt", "text")?;
    let text = fs::read_to_string("notes.txt")?;
    let size = fs::metadata("notes.txt")?.len();
    fs::rename("notes.txt", "kept.txt")?;
    fs::create_dir("made")?;
    let names: Vec<_> = fs::read_dir(".")?
        .map(|entry| entry.file_name().to_owned())
        .collect();
    fs::remove("kept.txt")?;
    fs::remove("made")?;
    Ok(format!("{text} {size} {}", names.join(" ")))
}

fn get(url: &str) -> Result {
    let response = http::get(url)?;
    let kind = response.header("x-kind").ok_or("no header")?;
    Ok(format!("{} {kind} {}", response.status, response.text()))
}

fn post(url: &str) -> Result {
    let response = Request::post(url)
        .header("x-kind", "loud")
        .body("quiet")
        .send()?;
    Ok(response.text().into_owned())
}

fn variable() -> Result {
    let value = |name: &str| Ok::<_, Error>(env::var(name)?.unwrap_or_else(|| "none".to_owned()));
    Ok(format!("{} {}", value("PARITY")?, value("PATH")?))
}

fn state() -> Result {
    kv::set("a", "1")?;
    kv::set("b", "2")?;
    let swapped = |done| if done { "swapped" } else { "not swapped" };
    let first = swapped(kv::compare_and_swap("a", Some(b"1"), "3")?);
    let second = swapped(kv::compare_and_swap("a", Some(b"1"), "4")?);
    let keys: Vec<_> = kv::keys("").collect::<Result<_>>()?;
    kv::delete("b")?;
    let value = |key: &str| {
        let value = kv::get(key)?.map(String::from_utf8).transpose()?;
        Ok::<_, Error>(value.unwrap_or_else(|| "none".to_owned()))
    };
    Ok(format!(
        "{first} {second} {} {} {}",
        keys.join(","),
        value("a")?,
        value("b")?
    ))
}

fn questions() -> Result {
    let name = prompt::text("name", "What is your name?", None)?;
    let sure = prompt::confirm("sure", "Are you sure?", false)?;
    let colours = ["red", "green", "blue"];
    let colour = colours[prompt::choose("colour", "Which colour?", &colours, None)?];
    Ok(format!(
        "{name} {} {colour}",
        if sure { "yes" } else { "no" }
    ))
}
