//! What `sdk/parity/scenarios.toml` says, done by the plugin `parity-…` of each language, and the table of it in the book
//! (`UPDATE=1 cargo test -p portcullis-cli parity`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::LazyLock;

use portcullis_testkit::repository;
use serde::Deserialize;

use crate::context::{Context, skip};

/// Languages as the book calls them, each with its guest; what is built of it is tested by a test of its own.
macro_rules! languages {
    ($($test:ident: $name:literal, $guest:literal;)*) => {
        const LANGUAGES: &[(&str, &str)] = &[$((stringify!($test), $name)),*];
        $(#[test]
        fn $test() {
            does_as_it_says(stringify!($test), $guest);
        })*
    };
}

languages! {
    rust: "Rust", "parity-rust";
    go: "Go", "parity-go";
    python: "Python", "parity-python";
    javascript: "JavaScript", "parity-javascript";
    c: "C", "parity-c";
}

/// A thing that a plugin does, and how that is seen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: String,
    does: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    answers: BTreeMap<String, String>,
    stdout: String,
    #[serde(default)]
    stderr: String,
    #[serde(default)]
    code: i32,
}

/// A scenario that a language has no way to do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsupported {
    language: String,
    scenario: String,
    reason: String,
}

#[derive(Deserialize)]
struct Contract {
    #[serde(default)]
    scenario: Vec<Scenario>,
    #[serde(default)]
    unsupported: Vec<Unsupported>,
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let read = |name: &str| fs::read_to_string(repository().join("sdk/parity").join(name)).unwrap();
    toml::from_str(&format!(
        "{}\n{}",
        read("scenarios.toml"),
        read("unsupported.toml")
    ))
    .unwrap()
});

/// Why a language cannot do it, if it cannot.
fn unsupported(language: &str, scenario: &str) -> Option<&'static str> {
    let mut all = CONTRACT.unsupported.iter();
    let one = all.find(|one| one.language == language && one.scenario == scenario)?;
    Some(&one.reason)
}

/// Answers `GET /hello` with a header and a text, and `POST /echo` with what it was sent.
pub(crate) fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Whoever asked may be gone.
            let _ = stream.and_then(answer);
        }
    });
    port
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let (mut head, mut length, mut kind) = (String::new(), 0, String::new());
    while !head.ends_with("\r\n\r\n") {
        let start = head.len();
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
        let (name, value) = head[start..].split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "x-kind" => value.trim().clone_into(&mut kind),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, said) = match head.split(' ').take(2).collect::<Vec<_>>()[..] {
        ["GET", "/hello"] => ("200 OK", "hello".to_owned()),
        [method @ "POST", "/echo"] => {
            let body = String::from_utf8_lossy(&body);
            ("200 OK", format!("{method} {kind} {body}"))
        }
        _ => ("404 Not Found", String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nX-Kind: plain\r\nContent-Length: {}",
        said.len()
    );
    (&stream).write_all(format!("{head}\r\n\r\n{said}").as_bytes())
}

/// What is granted: as much as the scenarios need, and no more.
pub(crate) fn policy(port: u16) -> String {
    format!(
        "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\nkv = true\nlog = true\nenv = [\"PARITY\"]\n\
         exec.allow = [\"printf\", \"cat\", \"false\", \"sh\", \"printenv\", \"pwd\", \"wc\", \"sleep\", \"no-such-program\"]\n\
         fs.write = [\"${{project}}\"]\nhttp.allow = [\"127.0.0.1:{port}\"]\n"
    )
}

/// Runs every scenario in a project of its own, and names all that went another way.
fn does_as_it_says(language: &str, guest: &str) {
    let Some(plugin) = portcullis_testkit::interpreted(guest) else {
        skip(&format!("guest `{guest}` is not built"));
        return;
    };
    let context = Context::sharing(guest).env("PARITY", "granted");
    context.write("p.wasm", fs::read(plugin).unwrap());
    let port = server();
    context.write("policy.toml", policy(port));
    let mut faults = String::new();
    for scenario in &CONTRACT.scenario {
        let went = went(&context, scenario, port);
        match (went, unsupported(language, &scenario.name)) {
            (Err(how), None) => _ = write!(faults, "\n`{}`: {how}", scenario.name),
            (Ok(()), Some(_)) => {
                _ = write!(
                    faults,
                    "\n`{}` is said to be unsupported, and works",
                    scenario.name
                );
            }
            _ => {}
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

/// What follows `run` for each scenario.
pub(crate) fn calls(context: &Context, port: u16) -> Vec<Vec<String>> {
    let scenarios = CONTRACT.scenario.iter();
    scenarios
        .map(|scenario| call(context, scenario, port))
        .collect()
}

/// What follows `run` for a scenario, in a project of its own.
fn call(context: &Context, scenario: &Scenario, port: u16) -> Vec<String> {
    let project = format!("stage/{}", scenario.name);
    fs::create_dir_all(context.project().join(&project).join("sub")).unwrap();
    let mut args: Vec<String> = ["--config", "policy.toml", "--project", &project]
        .map(str::to_owned)
        .into();
    for (id, answer) in &scenario.answers {
        args.extend(["--answer".to_owned(), format!("{id}={answer}")]);
    }
    args.extend(["p", "--", &scenario.name].map(str::to_owned));
    let server = format!("http://127.0.0.1:{port}");
    let own = scenario.args.iter();
    args.extend(own.map(|arg| arg.replace("${server}", &server)));
    args
}

/// Whether a scenario went as it should, and if not how it did.
fn went(context: &Context, scenario: &Scenario, port: u16) -> Result<(), String> {
    let args = [vec!["run".to_owned()], call(context, scenario, port)].concat();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let (code, stdout, stderr) = context.ended(&args);
    let said = stdout.strip_suffix('\n').unwrap_or(&stdout);
    if code == scenario.code && said == scenario.stdout && stderr.contains(&scenario.stderr) {
        return Ok(());
    }
    Err(format!(
        "exit {code} {said:?}, instead of exit {} {:?} and {:?} among\n{stderr}",
        scenario.code, scenario.stdout, scenario.stderr
    ))
}

#[test]
fn what_is_unsupported_is_a_scenario_of_a_language() {
    for one in &CONTRACT.unsupported {
        let known = LANGUAGES
            .iter()
            .any(|(language, _)| *language == one.language);
        let mut scenarios = CONTRACT.scenario.iter();
        let scenario = scenarios.any(|scenario| scenario.name == one.scenario);
        assert!(known && scenario, "{} {}", one.language, one.scenario);
    }
}

#[test]
fn the_book_has_all_scenarios_in_all_languages() {
    let path = repository().join("docs/parity.md");
    let page = page();
    if std::env::vars_os().any(|(name, _)| name == "UPDATE") {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "`docs/parity.md` is out of date: run with UPDATE=1 to write it"
    );
}

fn page() -> String {
    let mut page = "# What plugins do in each language\n\n\
        Each row is a scenario of [`sdk/parity/scenarios.toml`](../sdk/parity/scenarios.toml). A plugin for each SDK does all of them, and a\n\
        test of the command line (`tests/all/parity.rs`) runs each and looks at what it returns, what the operator is told, and the exit code.\n\
        This file is written from there (`UPDATE=1 cargo test -p portcullis-cli parity`).\n\n| | the plugin |"
        .to_owned();
    let mut rule = "\n|---|---|".to_owned();
    for (_, name) in LANGUAGES {
        _ = write!(page, " {name} |");
        rule.push_str("---|");
    }
    page.push_str(&rule);
    let mut reasons = Vec::new();
    for scenario in &CONTRACT.scenario {
        let does = scenario.does.replace('|', "\\|");
        _ = write!(page, "\n| `{}` | {does} |", scenario.name);
        for (language, name) in LANGUAGES {
            let Some(reason) = unsupported(language, &scenario.name) else {
                page.push_str(" yes |");
                continue;
            };
            reasons.push(format!("{name}, `{}`: {reason}", scenario.name));
            _ = write!(page, " no ({}) |", reasons.len());
        }
    }
    page.push('\n');
    for (number, reason) in reasons.iter().enumerate() {
        _ = write!(page, "\n{}. {reason}", number + 1);
    }
    page.trim_end().to_owned() + "\n"
}
