//! Reading what `cargo test` prints: how many passed and failed, what was skipped, and which binaries ran.
//!
//! A test that cannot run prints `SKIP <name>: <reason>` and returns. The runner counts it as passed; here it
//! is counted as skipped. Tests run with `--show-output`, or their skips would not be seen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The sum of a run.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// Tests that passed and did not skip.
    pub(crate) passed: usize,
    /// Tests that failed, and binaries that ended without a result.
    pub(crate) failed: usize,
    /// Name and reason of what was skipped, ignored tests included.
    pub(crate) skipped: Vec<(String, String)>,
    /// What failed, and what it printed.
    pub(crate) failures: Vec<Failure>,
    /// `<package> <target>` of each binary that came to a result; `<crate> doc` for doc tests.
    pub(crate) ran: BTreeSet<String>,
    /// The binary whose lines are being read, until its result.
    open: Option<String>,
    /// Whether the test whose captured output is being read has skipped.
    block: Option<bool>,
    /// Tests of the open binary that skipped; its result will count them as passed.
    quiet: usize,
    /// Whether the blocks that are being read are those of tests that failed.
    failing: bool,
}

/// A test that failed, or a binary that ended without a result.
#[derive(Debug, PartialEq)]
pub(crate) struct Failure {
    /// `<package> <target>`, and the test's name.
    pub(crate) name: String,
    /// The last lines of what it printed, without the frames of a backtrace.
    pub(crate) output: VecDeque<String>,
}

/// Lines that are kept of what a test printed.
const KEPT: usize = 40;

impl Failure {
    fn keep(&mut self, line: &str) {
        if is_frame(line) {
            return;
        }
        if self.output.len() == KEPT {
            self.output.pop_front();
        }
        self.output.push_back(line.to_owned());
    }
}

impl Tally {
    /// Reads one line. `names` has the label of each test executable.
    pub(crate) fn read(&mut self, line: &str, names: &BTreeMap<String, String>) {
        if let Some(skip) = line.strip_prefix("SKIP ") {
            self.skip(skip);
        } else if let Some(test) = block(line) {
            self.block = Some(false);
            if self.failing {
                self.fail(test);
            }
        } else if line == "successes:" || line == "failures:" {
            self.block = None;
            self.failing = line == "failures:";
        } else if self.block.is_some() {
            if self.failing
                && let Some(failure) = self.failures.last_mut()
            {
                failure.keep(line);
            }
        } else {
            // What a test printed is no news of the runner, whatever it looks like.
            self.read_runner(line, names);
        }
    }

    fn read_runner(&mut self, line: &str, names: &BTreeMap<String, String>) {
        if let Some(label) = heading(line, names) {
            self.finish();
            self.open = Some(label);
        } else if let Some((test, _)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.split_once(" ... ignored"))
        {
            self.skipped.push((test.to_owned(), "ignored".to_owned()));
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.result(result);
        }
    }

    /// Ends the reading: a binary that is still open died before its result.
    pub(crate) fn finish(&mut self) {
        self.block = None;
        self.quiet = 0;
        self.failing = false;
        if self.open.is_some() {
            self.failed += 1;
            self.fail("came to no result");
            self.open = None;
        }
    }

    fn fail(&mut self, test: &str) {
        let binary = self.open.as_deref().unwrap_or_default();
        self.failures.push(Failure {
            name: format!("{binary}: {test}"),
            output: VecDeque::new(),
        });
    }

    /// Says what failed, with the last of what each printed.
    pub(crate) fn print_failures(&self) {
        for Failure { name, output } in &self.failures {
            println!("failed: {name}");
            for line in output {
                println!("    {line}");
            }
        }
    }

    fn skip(&mut self, text: &str) {
        let (name, reason) = text.split_once(": ").unwrap_or((text, "no reason given"));
        self.skipped.push((name.to_owned(), reason.to_owned()));
        // One test may skip several parts.
        if self.block == Some(false) {
            self.block = Some(true);
            self.quiet += 1;
        }
    }

    fn result(&mut self, result: &str) {
        let number = |what: &str| {
            result
                .split(['.', ';'])
                .find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<usize>().ok())
        };
        self.passed += number(" passed").unwrap_or(0).saturating_sub(self.quiet);
        self.quiet = 0;
        self.failed += number(" failed").unwrap_or(0);
        self.ran.extend(self.open.take());
    }
}

/// The test's name, in the runner's line before what it printed.
fn block(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

/// Recognises a line of a backtrace: a number and a function, or where that is.
fn is_frame(line: &str) -> bool {
    let line = line.trim_start();
    let numbered = line.split_once(": ").is_some_and(|(number, _)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    numbered || line.starts_with("at ")
}

/// Recognises cargo's line before it starts a binary.
fn heading(line: &str, names: &BTreeMap<String, String>) -> Option<String> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} doc"));
    }
    let rest = line.strip_prefix("Running ")?;
    let path = rest.split_once('(')?.1.strip_suffix(')')?;
    let file = path.rsplit('/').next().unwrap_or(path);
    Some(names.get(file).cloned().unwrap_or_else(|| file.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let names = BTreeMap::from([("all-1f".to_owned(), "portcullis-exec all".to_owned())]);
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.read(line, &names));
        tally.finish();
        tally
    }

    const RUN: &str =
        "     Running tests/all/main.rs (target/debug/deps/all-1f)\nrunning 4 tests\n";

    #[test]
    fn results_are_summed_over_binaries_and_doc_tests() {
        let tally = tally(&format!(
            "{RUN}test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
             \x20  Doc-tests portcullis\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
        ));
        assert_eq!((tally.passed, tally.failed), (5, 1));
        assert_eq!(
            tally.ran,
            [
                "portcullis doc".to_owned(),
                "portcullis-exec all".to_owned()
            ]
            .into()
        );
    }

    #[test]
    fn a_test_that_skips_is_not_counted_as_passed() {
        let tally = tally(&format!(
            "{RUN}test pids ... ok\n\nsuccesses:\n\n---- pids stdout ----\nSKIP pids/a: no user namespaces\n\
             SKIP pids/b: no user namespaces\n\n\nsuccesses:\n    pids\n\n\
             test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
        ));
        assert_eq!((tally.passed, tally.failed, tally.skipped.len()), (3, 0, 2));
        assert_eq!(
            tally.skipped[0],
            ("pids/a".to_owned(), "no user namespaces".to_owned())
        );
    }

    #[test]
    fn what_a_test_prints_is_not_taken_for_the_runner() {
        let tally = tally(&format!(
            "{RUN}successes:\n\n---- t stdout ----\n   Doc-tests x\ntest result: FAILED. 0 passed; 9 failed\n\n\
             successes:\n    t\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
        ));
        assert_eq!((tally.passed, tally.failed, tally.ran.len()), (1, 0, 1));
    }

    #[test]
    fn what_failed_is_named_with_what_it_printed_last() {
        let long: String = (0..2 * KEPT).map(|line| format!("line {line}\n")).collect();
        let tally = tally(&format!(
            "{RUN}test a::t ... FAILED\n\nsuccesses:\n\n---- good stdout ----\nfine\n\n\nsuccesses:\n    good\n\n\
             failures:\n\n---- a::t stdout ----\n{long}panicked\n   0: core::panic\n  \x20          at ./main.rs:1:2\n---- b stdout ----\nwhy\n\nfailures:\n    a::t\n    b\n\n\
             test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n{RUN}"
        ));
        let names: Vec<_> = tally.failures.iter().map(|failure| &failure.name).collect();
        assert_eq!(
            names,
            [
                "portcullis-exec all: a::t",
                "portcullis-exec all: b",
                "portcullis-exec all: came to no result"
            ]
        );
        let output = &tally.failures[0].output;
        assert_eq!(
            (output.len(), output[KEPT - 1].as_str()),
            (KEPT, "panicked")
        );
        assert_eq!(tally.failures[1].output[0], "why");
    }

    #[test]
    fn an_ignored_test_is_a_skip() {
        let tally = tally(&format!(
            "{RUN}test slow ... ignored\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\n"
        ));
        assert_eq!((tally.passed, tally.failed, tally.skipped.len()), (3, 0, 1));
    }

    #[test]
    fn a_binary_that_dies_before_its_result_has_failed() {
        let tally = tally(RUN);
        assert_eq!((tally.passed, tally.failed), (0, 1));
        assert!(tally.ran.is_empty());
    }
}
