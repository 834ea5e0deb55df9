//! The words of a scenario.

use crate::portcullis::cli::command::{ErrorSink, Input, Request, Sink, Stdio};

/// Options, which begin with `--` or are streams, then the command.
pub struct Words<'a> {
    options: Vec<&'a str>,
    command: &'a [String],
}

impl<'a> Words<'a> {
    pub fn of(words: &'a [String]) -> Self {
        let is_option = |word: &String| word.starts_with("--") || word.contains(',');
        let options = words.iter().take_while(|word| is_option(word)).count();
        Self {
            options: words[..options].iter().map(String::as_str).collect(),
            command: &words[options..],
        }
    }

    fn option(&self, name: &str) -> Option<&'a str> {
        self.options.iter().find_map(|option| {
            let (key, value) = option.strip_prefix("--")?.split_once('=')?;
            (key == name).then_some(value)
        })
    }

    pub fn number(&self, name: &str) -> usize {
        self.option(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }

    pub fn stdin(&self) -> Option<Vec<u8>> {
        self.option("stdin").map(|text| text.as_bytes().to_vec())
    }

    pub fn request(&self) -> Request {
        let (program, args) = self.command.split_first().expect("a program");
        Request {
            program: program.clone(),
            args: args.to_vec(),
            cwd: None,
            env: Vec::new(),
            inherit_env: false,
            timeout: self.option("timeout").map(|text| text.parse().unwrap()),
        }
    }

    /// The option `STDIN,STDOUT,STDERR`; all three are pipes without it.
    pub fn stdio(&self) -> Stdio {
        let streams = self.options.iter().find(|option| option.contains(','));
        let mut words = streams.unwrap_or(&"pipe,pipe,pipe").split(',');
        Stdio {
            stdin: match words.next() {
                Some("pipe") => Input::Pipe,
                _ => Input::Null,
            },
            stdout: match words.next() {
                Some("pipe") => Sink::Pipe,
                Some("inherit") => Sink::Inherit,
                _ => Sink::Null,
            },
            stderr: match words.next() {
                Some("pipe") => ErrorSink::Pipe,
                Some("inherit") => ErrorSink::Inherit,
                Some("merged") => ErrorSink::Merged,
                _ => ErrorSink::Null,
            },
        }
    }
}
