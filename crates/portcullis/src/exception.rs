//! What a guest's language says of the error that ended it, found at the end of what the guest wrote to its standard error.
//!
//! To the engine every uncaught error is the same `unreachable`. Interpreters and runtimes print theirs before; what they
//! print has a form for each language, and none of it is to be trusted: it is the plugin's own text.

use portcullis_policy::shown;

/// An uncaught error, in the words of the guest's language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exception {
    /// Its kind and message, such as `ValueError: no such file`. Escaped, and cut at 256 bytes.
    pub message: String,
    /// Where it was raised, innermost first: function and place as the language names them. Escaped.
    pub frames: Vec<String>,
    /// The lines the language printed, oldest first. Escaped.
    pub trace: Vec<String>,
}

/// Frames that are told.
const FRAMES: usize = 16;
/// Lines of a trace that are kept: the last ones.
const LINES: usize = 64;

const PYTHON: &str = "Traceback (most recent call last):";
/// What `componentize-py` panics with when it has printed an exception.
const PYTHON_PANIC: &str = "Python function threw an unexpected exception";

impl Exception {
    /// Reads the end of a guest's standard error.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        // What was printed last ended the guest. One that was printed before may have been dealt with.
        let panic = panic(&lines).filter(|panic| panic.message != PYTHON_PANIC);
        let panic = panic.map(|panic| quickjs(&panic).unwrap_or(panic));
        let found = [python(&lines), panic, go(&lines)];
        let last = found.into_iter().flatten().max_by_key(|raw| raw.line);
        last.map(Raw::escaped)
    }
}

/// As [`Exception`], as the guest wrote it.
#[derive(Debug, Default)]
struct Raw {
    /// The line where it begins.
    line: usize,
    message: String,
    frames: Vec<(String, String)>,
    trace: Vec<String>,
}

impl Raw {
    fn escaped(self) -> Exception {
        let frame = |(name, place): &(String, String)| match name.as_str() {
            "" => shown(place),
            name => format!("`{}` ({})", shown(name), shown(place)),
        };
        let dropped = self.trace.len().saturating_sub(LINES);
        Exception {
            message: shown(&self.message),
            frames: self.frames.iter().take(FRAMES).map(frame).collect(),
            trace: self.trace[dropped..]
                .iter()
                .map(|line| shown(line))
                .collect(),
        }
    }
}

/// The last traceback, with those that led to it: frames are indented, and what is not is the message.
fn python(lines: &[&str]) -> Option<Raw> {
    let first = lines.iter().position(|line| *line == PYTHON)?;
    let last = lines.iter().rposition(|line| *line == PYTHON)?;
    let begins = last
        + 1
        + lines[last + 1..]
            .iter()
            .position(|line| !line.starts_with(' '))?;
    // The runtime's own panic follows after an empty line.
    let length = lines[begins..].iter().position(|line| line.is_empty());
    let ends = length.map_or(lines.len(), |length| begins + length);
    let frame = |line: &&str| {
        let (file, rest) = line.strip_prefix("  File \"")?.split_once("\", line ")?;
        let (number, name) = rest.split_once(", in ").unwrap_or((rest, ""));
        Some((name.to_owned(), format!("{file}:{number}")))
    };
    Some(Raw {
        line: last,
        message: lines[begins..ends].join("\n"),
        frames: lines[last..begins].iter().rev().filter_map(frame).collect(),
        trace: lines[first..ends]
            .iter()
            .map(|&line| line.to_owned())
            .collect(),
    })
}

/// The last panic of a Rust program; interpreters are such programs too.
fn panic(lines: &[&str]) -> Option<Raw> {
    let is_head = |line: &&str| line.starts_with("thread '") && line.contains(" panicked at ");
    let head = lines.iter().rposition(is_head)?;
    let is_end =
        |line: &&str| line.starts_with("note: run with ") || line.starts_with("stack backtrace:");
    let length = lines[head..].iter().position(is_end);
    let ends = length.map_or(lines.len(), |length| head + length);
    let place = lines[head]
        .rsplit_once(" panicked at ")?
        .1
        .trim_end_matches(':');
    Some(Raw {
        line: head,
        message: lines[head + 1..ends].join("\n"),
        frames: vec![(String::new(), place.to_owned())],
        trace: lines[head..ends]
            .iter()
            .map(|&line| line.to_owned())
            .collect(),
    })
}

/// An exception of JavaScript inside the panic of its interpreter, which prints it for a programmer of Rust.
fn quickjs(panic: &Raw) -> Option<Raw> {
    let (_, rest) = panic.message.split_once("Exception { message: Some(\"")?;
    let (message, rest) = quoted(rest)?;
    let stack = rest
        .split_once("stack: Some(\"")
        .and_then(|(_, rest)| quoted(rest));
    let stack = stack.map(|(stack, _)| stack).unwrap_or_default();
    let frame = |line: &str| {
        let line = line.trim_start().strip_prefix("at ")?;
        let (name, place) = line.split_once(" (").unwrap_or(("", line));
        Some((name.to_owned(), place.trim_end_matches(')').to_owned()))
    };
    let lines = std::iter::once(message.as_str()).chain(stack.lines());
    Some(Raw {
        line: panic.line,
        frames: stack.lines().filter_map(frame).collect(),
        trace: lines.map(str::to_owned).collect(),
        message,
    })
}

/// Reads a text that Rust's `Debug` has written, behind its opening quote, and gives what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                '0' => out.push('\0'),
                'u' => {
                    let digits: String = chars
                        .by_ref()
                        .map(|(_, c)| c)
                        .skip(1)
                        .take_while(|&c| c != '}')
                        .collect();
                    out.push(
                        u32::from_str_radix(&digits, 16)
                            .ok()
                            .and_then(char::from_u32)?,
                    );
                }
                other => out.push(other),
            },
            c => out.push(c),
        }
    }
    None
}

/// The last panic of a Go program: functions and places take turns.
fn go(lines: &[&str]) -> Option<Raw> {
    let is_head = |line: &&str| line.starts_with("panic: ") || line.starts_with("fatal error: ");
    let head = lines.iter().rposition(is_head)?;
    let pairs = lines[head..].windows(2);
    let frames = pairs.filter_map(|pair| {
        let place = pair[1].strip_prefix('\t')?.split(" +0x").next()?;
        Some((pair[0].split('(').next()?.to_owned(), place.to_owned()))
    });
    Some(Raw {
        line: head,
        message: lines[head].to_owned(),
        frames: frames.collect(),
        trace: lines[head..].iter().map(|&line| line.to_owned()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNTIME: &str = "\nthread '<unnamed>' (1) panicked at runtime/src/lib.rs:1293:29:\nPython function threw an \
        unexpected exception\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";

    fn read(text: &str) -> Exception {
        Exception::read(text).unwrap()
    }

    #[test]
    fn of_python_it_is_the_last_of_the_chain() {
        let exception = read(&format!(
            "starting\n{PYTHON}\n  File \"/0/app.py\", line 9, in inner\n    raise x\n    ~~~~~^^\nKeyError: 'k'\n\n\
             The above exception was the direct cause of the following exception:\n\n\
             {PYTHON}\n  File \"/0/app.py\", line 3, in run\n  File \"/0/app.py\", line 7, in outer\napp.Mishap: one\ntwo\n{RUNTIME}"
        ));
        assert_eq!(exception.message, "app.Mishap: one\\ntwo");
        assert_eq!(
            exception.frames,
            ["`outer` (/0/app.py:7)", "`run` (/0/app.py:3)"]
        );
        assert_eq!(exception.trace.first().unwrap(), PYTHON);
        assert!(
            exception.trace.contains(&"KeyError: 'k'".to_owned()),
            "{exception:?}"
        );
        assert_eq!(exception.trace.last().unwrap(), "two");
    }

    #[test]
    fn of_javascript_it_is_what_the_interpreter_panics_with() {
        let exception = read(
            "\nthread '<unnamed>' (1) panicked at crates/runtime/src/interpreter.rs:51:31:\n\
             Failed to call 'envOverlay': Exception(Exception { message: Some(\"no \\\"overlay\\\"\\u{1b}\"), \
             stack: Some(\"    at inner (/o.js:4:13)\\n    at envOverlay (/o.js:1:2)\\n\") })\n\
             note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
        );
        assert_eq!(exception.message, "no \"overlay\"\\u{1b}");
        assert_eq!(
            exception.frames,
            ["`inner` (/o.js:4:13)", "`envOverlay` (/o.js:1:2)"]
        );
        assert_eq!(exception.trace.len(), 3);
    }

    #[test]
    fn of_rust_it_is_the_last_panic() {
        let exception = read(
            "thread 'main' panicked at src/a.rs:1:2:\nfirst\nthread 'main' panicked at src/b.rs:3:4:\nsecond\n",
        );
        assert_eq!(
            (exception.message.as_str(), &exception.frames[..]),
            ("second", &["src/b.rs:3:4".to_owned()][..])
        );
    }

    #[test]
    fn what_was_printed_before_and_dealt_with_is_not_it() {
        let logged = format!("{PYTHON}\n  File \"/0/a.py\", line 1, in f\nKeyError: 'k'\n\n");
        let exception = read(&format!(
            "{logged}thread 'x' panicked at src/b.rs:3:4:\nanother thing\n"
        ));
        assert_eq!(exception.message, "another thing");
        let exception = read(&format!(
            "thread 'x' panicked at src/b.rs:3:4:\nanother thing\n{logged}{RUNTIME}"
        ));
        assert_eq!(exception.message, "KeyError: 'k'");
    }

    #[test]
    fn of_go_it_is_the_panic_and_its_goroutine() {
        let exception =
            read("panic: boom\n\ngoroutine 1 [running]:\nmain.run(0x1)\n\t/src/main.go:7 +0x3\n");
        assert_eq!(exception.message, "panic: boom");
        assert_eq!(exception.frames, ["`main.run` (/src/main.go:7)"]);
    }

    #[test]
    fn other_text_is_no_exception() {
        for text in [
            "",
            "error: no such file\n",
            PYTHON,
            &format!("{PYTHON}\n  File \"a\", line 1"),
            "thread 'x'",
        ] {
            assert_eq!(Exception::read(text), None, "{text:?}");
        }
    }

    #[test]
    fn orders_to_the_terminal_and_endless_text_do_not_pass() {
        let text = format!(
            "{PYTHON}\n  File \"\x1b[2J\", line 1, in \x1b]0;t\x07\nE: \x1b[31m\u{9b}\u{202e}{}\n",
            "x".repeat(5000)
        );
        let exception = read(&text.replace("E: ", &format!("{}E: ", "  frame\n".repeat(500))));
        let all = [
            &[exception.message.clone()][..],
            &exception.frames,
            &exception.trace,
        ]
        .concat();
        assert!(
            all.iter()
                .all(|line| !line.contains(['\x1b', '\u{9b}', '\u{202e}', '\x07', '\n'])),
            "{all:?}"
        );
        assert!(exception.message.len() < 300 && exception.trace.len() == LINES);
    }
}
