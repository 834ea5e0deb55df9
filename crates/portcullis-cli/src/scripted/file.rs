//! What a test file says: TOML, or Markdown with TOML in it.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use portcullis_config::{duration as read_duration, time_of_day};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// All of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestFile {
    /// The plugin: a directory with a manifest, or a component. Relative to the file.
    pub(crate) plugin: Option<PathBuf>,
    /// The policy that the plugin is run under. Relative to the file.
    pub(crate) policy: Option<PathBuf>,
    #[serde(default, rename = "test")]
    pub(crate) tests: Vec<Test>,
}

/// One test: what the plugin meets, what it is asked, and what is expected of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Test {
    pub(crate) name: String,
    /// Arguments of `run`.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// The tool that is called instead, or the function of a plugin of Reglet.
    pub(crate) tool: Option<String>,
    /// Its parameters.
    pub(crate) params: Option<toml::Value>,
    /// The plugin's standard input.
    pub(crate) stdin: Option<String>,
    /// Files of the project directory.
    #[serde(default)]
    pub(crate) files: BTreeMap<PathBuf, String>,
    /// The environment of the host.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Answers to the plugin's questions, by their names.
    #[serde(default)]
    pub(crate) answers: BTreeMap<String, String>,
    /// The time of day.
    #[serde(default, deserialize_with = "time")]
    pub(crate) clock: Option<Duration>,
    #[serde(default, rename = "command")]
    pub(crate) commands: Vec<Command>,
    #[serde(default)]
    pub(crate) http: Vec<Http>,
    #[serde(default)]
    pub(crate) expect: Expect,
}

/// The script of a command.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Command {
    /// The program and patterns of its arguments.
    pub(crate) run: Vec<String>,
    /// A pattern of its standard input. Without one it is not read.
    pub(crate) stdin: Option<String>,
    /// What it writes, before `steps`.
    pub(crate) stdout: Option<String>,
    pub(crate) stderr: Option<String>,
    /// What it does, one after the other.
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    /// The status that it ends with.
    #[serde(default)]
    pub(crate) status: u8,
    /// The signal that it ends by.
    pub(crate) signal: Option<u8>,
    /// How often it is run: more often is no match, less often a failure of the test. Default: any number of times.
    pub(crate) times: Option<u32>,
}

/// One thing that a command does.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Step {
    Stdout(String),
    Stderr(String),
    /// Waits.
    #[serde(deserialize_with = "duration", serialize_with = "as_text")]
    Delay(Duration),
    /// Writes its standard input to its standard output, as it comes.
    Cat(bool),
}

/// The script of a server, for one kind of request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    /// `GET https://api.example.com/v1/*`.
    pub(crate) request: String,
    /// A pattern of the request's body.
    pub(crate) sent: Option<String>,
    /// Patterns of the request's headers.
    #[serde(default)]
    pub(crate) with: BTreeMap<String, String>,
    /// What the host's name is resolved to. Default: an address of the public network.
    pub(crate) address: Option<std::net::IpAddr>,
    #[serde(default = "ok")]
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: String,
    /// How long the answer takes.
    #[serde(default, deserialize_with = "maybe_duration")]
    pub(crate) delay: Option<Duration>,
    /// As of a command.
    pub(crate) times: Option<u32>,
}

/// What is expected.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// The exit code of `portcullis run`. Default: 0.
    pub(crate) code: Option<u8>,
    pub(crate) stdout: Option<Text>,
    pub(crate) stderr: Option<Text>,
    /// Files of the project directory afterwards; `false` for one that is not there.
    #[serde(default)]
    pub(crate) files: BTreeMap<PathBuf, Content>,
    /// All that was denied. Default: nothing.
    #[serde(default)]
    pub(crate) denied: Vec<Denied>,
    /// Patterns of lines that were logged.
    #[serde(default)]
    pub(crate) log: Vec<String>,
}

/// A denial.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Denied {
    pub(crate) code: String,
    /// A pattern of what it was about.
    pub(crate) object: Option<String>,
}

/// What a text has to be.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected a text, or `{ contains = [\"…\"] }`"
)]
pub(crate) enum Text {
    /// This, but for one line break at its end.
    Is(String),
    Contains {
        contains: Vec<String>,
    },
}

/// What a file has to be.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a text, `{ contains = [\"…\"] }`, or `false`"
)]
pub(crate) enum Content {
    Is(Text),
    Missing(Never),
}

/// `false`.
#[derive(Debug)]
pub(crate) struct Never;

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match bool::deserialize(deserializer)? {
            false => Ok(Self),
            true => Err(D::Error::custom("expected a text or `false`")),
        }
    }
}

const fn ok() -> u16 {
    200
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    read_duration(&text).map_err(D::Error::custom)
}

fn maybe_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    time_of_day(&text).map(Some).map_err(D::Error::custom)
}

fn as_text<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}ms", duration.as_millis()))
}

/// A mistake in a test file.
#[derive(Debug)]
pub(crate) struct Mistake {
    /// The line, from 1, if it is known.
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
}

impl From<String> for Mistake {
    fn from(message: String) -> Self {
        Self {
            line: None,
            message,
        }
    }
}

impl TestFile {
    /// Reads a file's text; `path` says which of the two forms it is.
    ///
    /// # Errors
    /// [`Mistake`]: no part of a file with one counts.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Mistake> {
        let is_markdown = path.extension().is_some_and(|extension| extension == "md");
        let toml = if is_markdown {
            toml_of(text)
        } else {
            text.to_owned()
        };
        let file: Self = toml::from_str(&toml).map_err(|error| Mistake {
            line: error
                .span()
                .map(|span| toml[..span.start].matches('\n').count() + 1),
            message: error.message().to_owned(),
        })?;
        for test in &file.tests {
            test.check()
                .map_err(|why| format!("test `{}`: {why}", test.name))?;
        }
        let mut names: Vec<_> = file.tests.iter().map(|test| &test.name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("there are two tests `{}`", pair[0]).into()),
            None if file.tests.is_empty() => Err("it has no `[[test]]`".to_owned().into()),
            None => Ok(file),
        }
    }
}

impl Test {
    fn check(&self) -> Result<(), String> {
        if self.params.is_some() && self.tool.is_none() {
            return Err("`params` are those of a `tool`".to_owned());
        }
        if self.tool.is_some() && !self.args.is_empty() {
            return Err("a `tool` has `params` and no `args`".to_owned());
        }
        for path in self.files.keys().chain(self.expect.files.keys()) {
            let inside = path
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            if !inside || path.as_os_str().is_empty() {
                return Err(format!(
                    "`{}` is no file of the project directory",
                    path.display()
                ));
            }
        }
        for command in &self.commands {
            command.check()?;
        }
        for http in &self.http {
            http.check()?;
        }
        for denied in &self.expect.denied {
            if crate::code::page(&denied.code).is_none() {
                return Err(format!("there is no code `{}`", denied.code));
            }
        }
        Ok(())
    }
}

impl Command {
    /// The program's name.
    pub(crate) fn program(&self) -> &str {
        self.run.first().map_or("", String::as_str)
    }

    /// What it does, in order.
    pub(crate) fn all_steps(&self) -> impl Iterator<Item = Step> {
        let stdout = self.stdout.clone().map(Step::Stdout);
        let stderr = self.stderr.clone().map(Step::Stderr);
        stdout.into_iter().chain(stderr).chain(self.steps.clone())
    }

    fn check(&self) -> Result<(), String> {
        let program = self.program();
        if program.is_empty() || program.contains('/') || [".", ".."].contains(&program) {
            return Err(format!(
                "`run` begins with the name of a program, and `{program}` is none"
            ));
        }
        if self.signal.is_some() && self.status != 0 {
            return Err(format!(
                "`{program}` ends with a status or by a signal, not both"
            ));
        }
        if self
            .signal
            .is_some_and(|signal| !(1..=64).contains(&signal))
        {
            return Err("there are signals from 1 to 64".to_owned());
        }
        if self.stdin.is_some()
            && self
                .steps
                .iter()
                .any(|step| matches!(step, Step::Cat(true)))
        {
            return Err(format!(
                "the input of `{program}` is read once: `stdin` and `cat` exclude each other"
            ));
        }
        Ok(())
    }
}

impl Http {
    /// The host of its URL: no pattern, since it has an address and a certificate.
    ///
    /// # Errors
    /// It has none, as a clause.
    pub(crate) fn host(&self) -> Result<String, String> {
        let request = &self.request;
        let wrong =
            || format!("`{request}` is no request such as `GET https://api.example.com/v1/*`");
        let (method, url) = request.split_once(' ').ok_or_else(wrong)?;
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (authority, _) = rest.split_once('/').ok_or_else(wrong)?;
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        let fits = !method.is_empty() && ["http", "https"].contains(&scheme);
        if !fits || host.is_empty() || host.contains('*') {
            return Err(wrong());
        }
        Ok(host.trim_matches(['[', ']']).to_ascii_lowercase())
    }

    fn check(&self) -> Result<(), String> {
        self.host()?;
        if !(200..=599).contains(&self.status) {
            return Err(format!("`{}` is no status of a response", self.status));
        }
        for (name, value) in &self.headers {
            let is_one = HeaderName::from_str(name).is_ok() && HeaderValue::from_str(value).is_ok();
            if !is_one {
                return Err(format!("`{name}: {value}` is no header"));
            }
        }
        Ok(())
    }
}

/// The blocks ` ```toml test ` of a document, each line in its place.
fn toml_of(markdown: &str) -> String {
    let mut inside = false;
    let lines = markdown.lines().map(|line| {
        let fence = line.trim_start().strip_prefix("```");
        match (inside, fence.map(str::trim)) {
            (false, Some("toml test")) => inside = true,
            (true, Some("")) => inside = false,
            (true, _) => return line,
            (false, _) => {}
        }
        ""
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str, text: &str) -> Result<TestFile, Mistake> {
        TestFile::parse(Path::new(name), text)
    }

    #[test]
    fn a_document_has_its_tests_where_it_says_so() {
        let text = "# Tests\n```toml\n[[test]]\nname = \"not this\"\n```\n\nAnd:\n\n```toml test\n[[test]]\nname = \"this\"\n```\n";
        let file = parsed("a.md", text).unwrap();
        assert_eq!(file.tests.len(), 1);
        assert_eq!(file.tests[0].name, "this");
        let wrong = text.replace("name = \"this\"", "name = 1");
        assert_eq!(parsed("a.md", &wrong).unwrap_err().line, Some(11));
    }

    #[test]
    fn a_mistake_says_what_is_wrong() {
        for (text, said) in [
            ("", "no `[[test]]`"),
            ("[[test]]\nname = \"a\"\nnmae = 1\n", "nmae"),
            (
                "[[test]]\nname = \"a\"\n[[test]]\nname = \"a\"\n",
                "two tests `a`",
            ),
            ("[[test]]\nname = \"a\"\nparams = {}\n", "`tool`"),
            (
                "[[test]]\nname = \"a\"\nfiles = { \"../b\" = \"\" }\n",
                "../b",
            ),
            ("[[test]]\nname = \"a\"\nfiles = { \"/b\" = \"\" }\n", "/b"),
            (
                "[[test]]\nname = \"a\"\n[[test.command]]\nrun = []\n",
                "name of a program",
            ),
            (
                "[[test]]\nname = \"a\"\n[[test.command]]\nrun = [\"/bin/sh\"]\n",
                "/bin/sh",
            ),
            (
                "[[test]]\nname = \"a\"\n[[test.command]]\nrun = [\"sh\"]\nsignal = 9\nstatus = 1\n",
                "not both",
            ),
            (
                "[[test]]\nname = \"a\"\n[[test.http]]\nrequest = \"GET http://x/\"\nstatus = 99\n",
                "`99`",
            ),
            (
                "[[test]]\nname = \"a\"\n[[test.http]]\nrequest = \"GET http://x/\"\nheaders = { \"a b\" = \"\" }\n",
                "a b",
            ),
            (
                "[[test]]\nname = \"a\"\nexpect.denied = [{ code = \"P9999\" }]\n",
                "P9999",
            ),
            (
                "[[test]]\nname = \"a\"\nexpect.files = { b = true }\n",
                "false",
            ),
            (
                "[[test]]\nname = \"a\"\n[[test.command]]\nrun = [\"x\"]\nsteps = [{ delay = \"soon\" }]\n",
                "soon",
            ),
        ] {
            let mistake = parsed("a.toml", text).unwrap_err();
            assert!(mistake.message.contains(said), "{text}: {mistake:?}");
        }
    }

    #[test]
    fn the_host_of_a_script_is_no_pattern() {
        let script =
            |request: &str| toml::from_str::<Http>(&format!("request = {request:?}")).unwrap();
        for (request, expected) in [
            ("GET https://api.example.com/v1/*", "api.example.com"),
            ("POST http://API.example.com:8080/", "api.example.com"),
            ("* https://[::1]:8443/*", "::1"),
        ] {
            assert_eq!(script(request).host().unwrap(), expected);
        }
        for request in [
            "GET",
            "GET api.example.com/",
            "GET https://*/",
            "GET https://x",
            "GET ftp://x/",
            "GET https:///",
        ] {
            assert!(script(request).host().unwrap_err().contains(request));
        }
    }
}
