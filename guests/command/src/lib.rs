//! Uses `portcullis:cli/command`. The first argument says how, the rest is the command:
//!
//! ```text
//! run [--timeout=NANOSECONDS] [--stdin=TEXT] PROGRAM [ARG]...          waits for it
//! spawn STDIN,STDOUT,STDERR [--timeout=…] [--stdin=TEXT] PROGRAM …     reads stdout to its end, then stderr, then waits
//! ```
//! and the scenarios of the other modules. Everything is answered with lines `name=value`; an error of the interface is
//! the line `error=…`.

mod drops;
mod flow;
mod lives;
mod words;

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin-with-command", generate_all });

use portcullis::cli::command::{self, Child, Error, Request, Stdio};
use words::Words;

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        let [how, rest @ ..] = &args[..] else {
            return Err("usage: HOW [OPTION]... PROGRAM [ARG]...".to_owned());
        };
        let words = Words::of(rest);
        match how.as_str() {
            "run" => Ok(run(&words)),
            "spawn" => Ok(spawned(&words)),
            "echo" => flow::echo(&words),
            "echo-after" => flow::echo_after(&words),
            "count" => flow::count(&words),
            "slow" => flow::slow(&words),
            "unread" => flow::unread(&words),
            "closed" => flow::closed(&words),
            "drops" => drops::all(&words),
            "kill" => lives::kill(&words),
            "many" => lives::many(&words),
            "rate" => lives::rate(&words),
            "leave" => lives::leave(&words),
            "trap" => lives::trap(&words),
            "spin" => lives::spin(&words),
            "drop" => lives::drop_one(&words),
            "keep" => lives::keep(&words),
            "flood" => lives::flood(rest),
            _ => Err(format!("no scenario `{how}`")),
        }
    }
}

fn run(words: &Words) -> String {
    match command::run(&words.request(), words.stdin().as_deref()) {
        Ok(output) => format!(
            "exit={:?}\nstdout={}\nstderr={}\ntruncated={},{}\ntook={}\n",
            output.exit,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            output.stdout_truncated,
            output.stderr_truncated,
            output.duration > 0,
        ),
        Err(error) => refused(error),
    }
}

fn spawned(words: &Words) -> String {
    let child = match command::spawn(&words.request(), words.stdio()) {
        Ok(child) => child,
        Err(error) => return refused(error),
    };
    if let (Some(stdin), Some(text)) = (child.stdin(), words.stdin()) {
        flow::write_all(&stdin, &text).unwrap();
    }
    let text = |stream: Option<wasi::io::streams::InputStream>| match stream {
        Some(stream) => String::from_utf8_lossy(&flow::read_to_end(&stream).0).into_owned(),
        None => "none".to_owned(),
    };
    let (stdout, stderr) = (text(child.stdout()), text(child.stderr()));
    format!(
        "stdout={stdout}\nstderr={stderr}\nagain={}\n{}",
        child.stdin().is_some() || child.stdout().is_some() || child.stderr().is_some(),
        over(&child)
    )
}

/// The end of a child, as lines.
fn over(child: &Child) -> String {
    match child.wait() {
        Ok(outcome) => format!(
            "exit={:?}\ntruncated={},{}\n",
            outcome.exit, outcome.stdout_truncated, outcome.stderr_truncated
        ),
        Err(error) => refused(error),
    }
}

fn refused(error: Error) -> String {
    format!("error={error:?}\n")
}

fn start(request: &Request, stdio: Stdio) -> Result<Child, String> {
    command::spawn(request, stdio).map_err(refused)
}

export!(Plugin);
