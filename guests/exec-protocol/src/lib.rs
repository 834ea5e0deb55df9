//! The argument language of the exec-args guests, the same for each WIT package they are built against.
//!
//! ```text
//! exec [--cwd=DIR] [--env=NAME=VALUE]... [--inherit-env] [--stdin=TEXT | --stdin-size=BYTES] -- PROGRAM [ARG]...
//! ```
//! One such request runs one command and answers `status=…`, `stdout=…`, `stderr=…`, a line each; a refused
//! command is the error of the whole call. Several requests, separated by `;;`, are answered one after the
//! other, and there a refused one is a line `error=…`, so that many refusals fit in one run.

/// One command to run.
#[derive(Debug, Default, PartialEq)]
pub struct Request {
    /// A bare name or an absolute path.
    pub program: String,
    /// The arguments after the program's name.
    pub args: Vec<String>,
    /// The working directory.
    pub cwd: Option<String>,
    /// Variables, in order; doubles are kept.
    pub env: Vec<(String, String)>,
    /// Whether the host's environment is asked for.
    pub inherit_env: bool,
    /// Bytes for standard input.
    pub stdin: Option<Vec<u8>>,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Output {
    /// The status as the host gave it.
    pub status: u32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// Runs every request in `args` through `exec` and renders the answers.
///
/// # Errors
/// A request that does not parse (text begins with `usage: `), or the host's own text where there is only
/// one request.
pub fn run(
    args: &[String],
    exec: impl Fn(Request) -> Result<Output, String>,
) -> Result<String, String> {
    let requests = args
        .split(|arg| arg == ";;")
        .map(parse)
        .collect::<Result<Vec<_>, _>>()?;
    let single = requests.len() == 1;
    let mut text = String::new();
    for request in requests {
        match exec(request) {
            Ok(output) => text.push_str(&render(&output)),
            Err(error) if single => return Err(error),
            Err(error) => text.push_str(&format!("error={error}\n")),
        }
    }
    Ok(text)
}

fn render(output: &Output) -> String {
    format!(
        "status={}\nstdout={}\nstderr={}\n",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    )
}

fn parse(args: &[String]) -> Result<Request, String> {
    let usage = |what: &str| format!("usage: exec [OPTION]... -- PROGRAM [ARG]...: {what}");
    let mut args = args.iter();
    if args.next().map(String::as_str) != Some("exec") {
        return Err(usage("a request begins with `exec`"));
    }
    let mut request = Request::default();
    for arg in args.by_ref() {
        match arg.split_once('=').unwrap_or((arg, "")) {
            ("--", _) => break,
            ("--cwd", dir) => request.cwd = Some(dir.to_owned()),
            ("--env", pair) => {
                // A name without `=` is passed on as it is: whether it is well formed is the host's to judge.
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                request.env.push((name.to_owned(), value.to_owned()));
            }
            ("--env-raw", name) => request.env.push((name.to_owned(), "raw".to_owned())),
            ("--inherit-env", _) => request.inherit_env = true,
            ("--stdin", text) => request.stdin = Some(text.as_bytes().to_vec()),
            ("--stdin-size", bytes) => {
                let bytes = bytes
                    .parse()
                    .map_err(|_| usage("`--stdin-size` takes a number"))?;
                request.stdin = Some(vec![b'x'; bytes]);
            }
            (other, _) => return Err(usage(&format!("unknown option `{other}`"))),
        }
    }
    request.program = args
        .next()
        .ok_or_else(|| usage("a program is missing"))?
        .clone();
    request.args = args.cloned().collect();
    Ok(request)
}

/// Exports `run` for the world in the caller's scope, whose `process` interface is `$process`.
#[macro_export]
macro_rules! plugin {
    ($($process:ident)::+) => {
        struct Plugin;

        impl Guest for Plugin {
            fn run(args: Vec<String>) -> Result<String, String> {
                $crate::run(&args, |request| {
                    let result = $($process)::+::exec(&$($process)::+::ExecRequest {
                        program: request.program,
                        args: request.args,
                        cwd: request.cwd,
                        env: request.env,
                        inherit_env: request.inherit_env,
                        stdin: request.stdin,
                    })?;
                    Ok($crate::Output { status: result.status, stdout: result.stdout, stderr: result.stderr })
                })
            }
        }

        export!(Plugin);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn every_option_reaches_the_request() {
        let request = parse(&words(
            "exec --cwd=/x --env=A=1=2 --env=A= --inherit-env --stdin=hi -- git log --",
        ))
        .unwrap();
        assert_eq!(
            request,
            Request {
                program: "git".into(),
                args: words("log --"),
                cwd: Some("/x".into()),
                env: vec![("A".into(), "1=2".into()), ("A".into(), String::new())],
                inherit_env: true,
                stdin: Some(b"hi".to_vec()),
            }
        );
    }

    #[test]
    fn errors_end_a_single_request_and_are_lines_among_several() {
        let refuse = |_: Request| Err("denied".to_owned());
        assert_eq!(run(&words("exec -- a"), refuse), Err("denied".into()));
        assert_eq!(
            run(&words("exec -- a ;; exec -- b"), refuse),
            Ok("error=denied\nerror=denied\n".into())
        );
    }

    #[test]
    fn malformed_requests_are_refused() {
        for line in [
            "",
            "run -- a",
            "exec",
            "exec --",
            "exec --what -- a",
            "exec --stdin-size=x -- a",
        ] {
            assert!(
                parse(&words(line)).unwrap_err().starts_with("usage: "),
                "{line}"
            );
        }
    }
}
