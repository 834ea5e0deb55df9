//! `exec` and `exec_start`.

use std::time::Duration;

use portcullis_exec::ExecAsk;
use serde::de::{self, Deserialize, Deserializer};

use super::{Base64, List, Malformed, request};
use crate::abi::object::Object;

/// Bytes of the name that a guest gives its work.
const MAX_REQUEST_ID: usize = 128;

/// A command that a guest asks for.
#[derive(Debug)]
pub struct Command {
    /// What is to run, with its standard input if it is given as a whole.
    pub ask: ExecAsk,
    /// The time it is given, if it is to be less than policy says.
    pub timeout: Option<Duration>,
    /// What the guest calls the work that this is for.
    pub request_id: Option<String>,
    /// Where its streams lead, if it runs beside the guest.
    pub stdio: Stdio,
}

/// Where the streams of a command lead that runs beside the guest. What is left out is `null`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stdio {
    /// What it reads.
    pub stdin: Input,
    /// What becomes of its standard output.
    pub stdout: Sink,
    /// What becomes of its standard error.
    pub stderr: ErrorSink,
}

/// What a command reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// End of file at once.
    #[default]
    Null,
    /// What the guest writes.
    Pipe,
}

/// What becomes of a command's standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sink {
    /// It is thrown away.
    #[default]
    Null,
    /// The guest reads it.
    Pipe,
    /// It goes where the guest's own goes.
    Inherit,
}

/// What becomes of a command's standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorSink {
    /// It is thrown away.
    #[default]
    Null,
    /// The guest reads it.
    Pipe,
    /// It goes where standard output goes.
    Merged,
    /// It goes where the guest's own goes.
    Inherit,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Request {
    program: String,
    #[serde(default)]
    args: List<String>,
    #[serde(default)]
    cwd: Option<String>,
    #[serde(default)]
    env: List<(String, String)>,
    #[serde(default)]
    inherit_env: bool,
    #[serde(default)]
    timeout: Option<u64>,
    #[serde(default)]
    request_id: Option<RequestId>,
    /// Of `exec` only.
    #[serde(default)]
    stdin: Option<Base64>,
    /// Of `exec_start` only.
    #[serde(default)]
    stdio: Option<Object<Stdio>>,
}

/// Reads what a guest asks of `exec`.
///
/// # Errors
/// As [`request`].
pub fn exec(message: &[u8]) -> Result<Command, Malformed> {
    let request: Request = request(message)?;
    match request.stdio {
        None => Ok(request.into_command()),
        Some(_) => Err(Malformed("`stdio` is for `exec_start`".to_owned())),
    }
}

/// Reads what a guest asks of `exec_start`.
///
/// # Errors
/// As [`exec`].
pub fn exec_start(message: &[u8]) -> Result<Command, Malformed> {
    let request: Request = request(message)?;
    match request.stdin {
        None => Ok(request.into_command()),
        Some(_) => Err(Malformed("`stdin` is for `exec`".to_owned())),
    }
}

/// What a guest calls its work. It stands in the trail with each command.
struct RequestId(String);

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let id = String::deserialize(from)?;
        if id.len() > MAX_REQUEST_ID {
            let expected = format!("at most {MAX_REQUEST_ID} bytes");
            return Err(de::Error::invalid_length(id.len(), &expected.as_str()));
        }
        Ok(Self(id))
    }
}

impl Request {
    fn into_command(self) -> Command {
        Command {
            ask: ExecAsk {
                program: self.program,
                args: self.args.0,
                cwd: self.cwd,
                env: self.env.0,
                inherit_env: self.inherit_env,
                stdin: self.stdin.map(|bytes| bytes.0),
            },
            timeout: self.timeout.map(Duration::from_nanos),
            request_id: self.request_id.map(|id| id.0),
            stdio: self.stdio.map(|stdio| stdio.0).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_ELEMENTS, MAX_MESSAGE, MAX_WHY};
    use super::*;
    use crate::engine::HOST_CALL_BYTES;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn a_command_is_read_as_it_is_written() {
        let whole =
            br#"{"program":"git","args":["log","-n1"],"cwd":null,"env":[["TZ","UTC"],["A",""]],
            "inherit-env":true,"timeout":5000000000,"request-id":"r-1","stdin":"AP9oaQ=="}"#;
        let command = exec(whole).unwrap();
        assert_eq!(command.ask.program, "git");
        assert_eq!(command.ask.args, ["log", "-n1"]);
        assert_eq!(command.ask.cwd, None);
        let env = [("TZ", "UTC"), ("A", "")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(command.ask.env, env);
        assert!(command.ask.inherit_env);
        assert_eq!(command.ask.stdin.as_deref(), Some(&b"\x00\xffhi"[..]));
        assert_eq!(command.timeout, Some(Duration::from_secs(5)));
        assert_eq!(command.request_id.as_deref(), Some("r-1"));
        let least = exec(br#"{"program":"git","args":null}"#).unwrap();
        assert!(least.ask.args.is_empty() && least.ask.env.is_empty() && !least.ask.inherit_env);
        assert_eq!((least.ask.stdin, least.timeout), (None, None));
    }

    #[test]
    fn streams_lead_nowhere_unless_written() {
        let stdio = |text: &str| {
            let message = format!(r#"{{"program":"sort"{text}}}"#);
            exec_start(message.as_bytes()).map(|command| command.stdio)
        };
        assert_eq!(stdio(""), Ok(Stdio::default()));
        assert_eq!(
            stdio(r#","stdio":{"stdin":"pipe","stdout":"inherit","stderr":"merged"}"#),
            Ok(Stdio {
                stdin: Input::Pipe,
                stdout: Sink::Inherit,
                stderr: ErrorSink::Merged,
            })
        );
        for other in [
            r#"{"stdin":"inherit"}"#,
            r#"{"stdout":"merged"}"#,
            r#"{"std":"pipe"}"#,
            "[]",
        ] {
            assert!(stdio(&format!(r#","stdio":{other}"#)).is_err(), "{other}");
        }
    }

    #[test]
    fn what_is_not_expected_is_refused() {
        for (message, why) in [
            ("", "EOF"),
            ("[]", "expected an object"),
            (r#"["git"]"#, "expected an object"),
            ("null", "expected an object"),
            ("{}", "missing field `program`"),
            (r#"{"program":"a"} x"#, "trailing"),
            (r#"{"program":"a","shell":true}"#, "unknown field `shell`"),
            (
                r#"{"program":"a","program":"b"}"#,
                "duplicate field `program`",
            ),
            (r#"{"program":["a"]}"#, "invalid type: sequence"),
            (r#"{"program":"a","args":"b"}"#, "a list of at most"),
            (r#"{"program":"a","args":[1]}"#, "invalid type: integer"),
            (r#"{"program":"a","env":[["A"]]}"#, "invalid length 1"),
            (
                r#"{"program":"a","env":[["A","b","c"]]}"#,
                "trailing characters",
            ),
            (r#"{"program":"a","env":{"A":"b"}}"#, "a list of at most"),
            (r#"{"program":"a","timeout":-1}"#, "invalid value"),
            (
                r#"{"program":"a","timeout":1.0}"#,
                "invalid type: floating point",
            ),
            (
                r#"{"program":"a","timeout":99999999999999999999}"#,
                "invalid",
            ),
            (r#"{"program":"a","inherit-env":1}"#, "invalid type"),
            (r#"{"program":"a","request-id":7}"#, "invalid type: integer"),
            (r#"{"program":"a","stdin":"a"}"#, "nvalid"),
            (r#"{"program":"a","stdin":"aGk"}"#, "padding"),
            (r#"{"program":"a","stdin":"aGk_"}"#, "nvalid"),
            (r#"{"program":"a","stdin":[104,105]}"#, "as base64"),
            (r#"{"program":"a","stdio":{}}"#, "`exec_start`"),
            ("{\"program\":\"a\nb\"}", "control character"),
            ("{\"program\":\"\u{fffd}", "EOF"),
        ] {
            let refused = exec(message.as_bytes()).unwrap_err();
            assert!(refused.0.contains(why), "{message}: {refused}");
        }
        assert!(exec(b"{\"program\":\"\xff\"}").is_err(), "no UTF-8");
        assert!(exec_start(br#"{"program":"a","stdin":"aGk="}"#).is_err());
    }

    #[test]
    fn no_message_is_deep_long_or_loud() {
        let deep = format!(r#"{{"program":"a","args":{}"#, "[".repeat(1 << 20));
        assert!(
            exec(deep.as_bytes())
                .unwrap_err()
                .0
                .contains("invalid type")
        );
        let unknown = format!(r#"{{"{}":1}}"#, "x".repeat(1 << 20));
        assert_eq!(
            exec(unknown.as_bytes()).unwrap_err().0.chars().count(),
            MAX_WHY
        );
        let many = format!(
            r#"{{"program":"a","args":[{}""]}}"#,
            r#""","#.repeat(MAX_ELEMENTS)
        );
        assert!(
            exec(many.as_bytes())
                .unwrap_err()
                .0
                .contains("a list of at most")
        );
        let most = format!(
            r#"{{"program":"a","args":[{}""]}}"#,
            r#""","#.repeat(MAX_ELEMENTS - 1)
        );
        assert_eq!(exec(most.as_bytes()).unwrap().ask.args.len(), MAX_ELEMENTS);
        for (bytes, fits) in [(MAX_REQUEST_ID, true), (MAX_REQUEST_ID + 1, false)] {
            let named = format!(r#"{{"program":"a","request-id":"{}"}}"#, "x".repeat(bytes));
            assert_eq!(exec(named.as_bytes()).is_ok(), fits, "{bytes}");
        }
        let long = vec![b' '; MAX_MESSAGE + 1];
        assert!(exec(&long).unwrap_err().0.contains("more than"));
    }

    #[test]
    fn standard_input_has_the_ceiling_of_a_component() {
        let message = |bytes: usize| {
            let text = STANDARD.encode(vec![0; bytes]);
            format!(r#"{{"program":"a","stdin":"{text}"}}"#).into_bytes()
        };
        let most = exec(&message(HOST_CALL_BYTES)).unwrap();
        assert_eq!(
            most.ask.stdin.map(|bytes| bytes.len()),
            Some(HOST_CALL_BYTES)
        );
        assert!(exec(&message(HOST_CALL_BYTES + 1)).is_err());
    }
}
