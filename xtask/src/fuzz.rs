//! `cargo xtask fuzz`: hostile input, guided by coverage.
//!
//! The targets are in `crates/portcullis-fuzz`, libFuzzer in front of them is `fuzz/`. Its counters come from LLVM's own
//! pass, which the stable compiler has too, so no other toolchain is needed; there is no AddressSanitizer in it, and no
//! code in the targets that it would be for.

use crate::{Options, shell};
use anyhow::{Context, Result, bail};
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long one target runs when nothing else is said.
const SECONDS: u64 = 600;
/// How long a planted bug may stay unfound.
const PLANTED_SECONDS: u64 = 600;
/// Lines that are shown of a run that failed.
const LAST_LINES: usize = 60;
/// Bytes of an input of the committed corpus; what needs more is no seed.
const SEED_BYTES: usize = 2048;

/// Counters at edges, what they belong to, and the operands of comparisons.
const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cforce-frame-pointers=yes",
];

/// Runs the targets that are named, or all one after the other.
///
/// # Errors
/// The fuzzer does not build, there is no such target, a target fails, or a planted bug is not found.
pub(crate) fn run(options: &Options) -> Result<()> {
    let wanted = Wanted::read(&options.rest)?;
    let fuzzer = build(wanted.planted)?;
    let work = shell::root().join("fuzz/target");
    let mut faults = Vec::new();
    for target in &wanted.targets {
        let fuzz = Fuzz {
            fuzzer: &fuzzer,
            target,
            corpus: corpora().join(target),
            work: work.join("work").join(target),
        };
        println!("\n== {target}");
        let done = if wanted.planted {
            fuzz.planted()
        } else {
            fuzz.run(wanted.seconds).and_then(|()| match wanted.keep {
                true => fuzz.keep(),
                false => Ok(()),
            })
        };
        if let Err(error) = done {
            println!("{target}: {error:#}");
            faults.push(target.as_str());
        }
    }
    if !faults.is_empty() {
        bail!("not well: {}", faults.join(", "));
    }
    Ok(())
}

/// What the arguments ask for.
struct Wanted {
    targets: Vec<String>,
    seconds: u64,
    planted: bool,
    keep: bool,
}

impl Wanted {
    fn read(args: &[String]) -> Result<Self> {
        let all = names()?;
        let mut wanted = Self {
            targets: Vec::new(),
            seconds: SECONDS,
            planted: false,
            keep: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--seconds" => {
                    let seconds = args.next().context("`--seconds` takes a number")?;
                    wanted.seconds = seconds.parse().context("`--seconds` takes a number")?;
                }
                "--planted" => wanted.planted = true,
                "--keep" => wanted.keep = true,
                name if all.iter().any(|known| known == name) => {
                    wanted.targets.push(name.to_owned());
                }
                other => bail!("no target `{other}`; there are {}", all.join(", ")),
            }
        }
        if wanted.targets.is_empty() {
            wanted.targets = all;
        }
        Ok(wanted)
    }
}

fn corpora() -> PathBuf {
    shell::root().join("fuzz/corpus")
}

/// The targets, by their directories of seeds. That each target has one is a test of theirs.
fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(corpora())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Builds the fuzzer and says where it is.
fn build(planted: bool) -> Result<PathBuf> {
    let version = shell::output(shell::command("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("`rustc -vV` names no host")?;
    // With a target, the flags are for it alone and not for build scripts.
    let mut cargo = shell::cargo();
    cargo.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    cargo.args(["--target", host]);
    if planted {
        cargo.args(["--features", "planted"]);
    }
    // One for both: all but the targets themselves is the same.
    let directory = shell::root().join("fuzz/target/build");
    cargo
        .env("CARGO_TARGET_DIR", &directory)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    shell::run(&mut cargo)?;
    let built = directory.join(host).join("release/portcullis-fuzzer");
    if !planted {
        return Ok(built);
    }
    let kept = built.with_file_name("portcullis-fuzzer-planted");
    fs::rename(&built, &kept)?;
    Ok(kept)
}

/// One target, its committed corpus, and where it works.
struct Fuzz<'a> {
    fuzzer: &'a Path,
    target: &'a str,
    corpus: PathBuf,
    work: PathBuf,
}

impl Fuzz<'_> {
    fn command(&self) -> Result<Command> {
        // What a target leaves behind when it is killed goes with the rest of `fuzz/target`.
        let temporary = self.work.join("tmp");
        fs::create_dir_all(&temporary)?;
        let mut command = shell::command(self.fuzzer);
        command
            .env("PORTCULLIS_FUZZ_TARGET", self.target)
            .env("TMPDIR", &temporary)
            .args(["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]);
        let dictionary = shell::root().join(format!("fuzz/dictionaries/{}.dict", self.target));
        if dictionary.is_file() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        fs::create_dir_all(self.findings())?;
        command.arg(format!("-artifact_prefix={}/", self.findings().display()));
        Ok(command)
    }

    fn findings(&self) -> PathBuf {
        self.work.join("findings")
    }

    /// Fuzzes for so long, beginning with the committed corpus and what earlier runs found here. Prints how far it gets.
    fn run(&self, seconds: u64) -> Result<()> {
        let found = self.work.join("corpus");
        fs::create_dir_all(&found)?;
        let mut command = self.command()?;
        command
            .arg(format!("-max_total_time={seconds}"))
            .args([&found, &self.corpus]);
        let line = shell::show(&command);
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {line}"))?;
        let mut last = VecDeque::new();
        let mut coverage = String::new();
        for text in BufReader::new(child.stderr.take().context("no output")?).split(b'\n') {
            let text = String::from_utf8_lossy(&text?).into_owned();
            if ["INITED", "pulse", "DONE"]
                .iter()
                .any(|word| text.contains(word))
            {
                println!("{text}");
                coverage.clone_from(&text);
            }
            last.push_back(text);
            if last.len() > LAST_LINES {
                last.pop_front();
            }
        }
        let status = child.wait()?;
        if !status.success() {
            last.iter().for_each(|text| println!("{text}"));
            bail!(
                "{status}; what it found is in {}",
                self.findings().display()
            );
        }
        println!("{}: {}", self.target, reached(&coverage));
        Ok(())
    }

    /// Replaces the committed corpus by the fewest inputs that reach all that is reached.
    fn keep(&self) -> Result<()> {
        let fewest = self.work.join("fewest");
        let _absent: std::io::Result<()> = fs::remove_dir_all(&fewest);
        fs::create_dir_all(&fewest)?;
        let mut command = self.command()?;
        command
            // By edges alone: with how often each was taken it would be ten times as many.
            .args(["-set_cover_merge=1", "-use_counters=0"])
            .arg(format!("-max_len={SEED_BYTES}"))
            .arg(&fewest)
            .args([&self.corpus, &self.work.join("corpus")])
            .stderr(Stdio::null());
        shell::run(&mut command)?;
        // What a person wrote has a name and stays.
        for entry in fs::read_dir(&self.corpus)? {
            let path = entry?.path();
            if is_digest(&path) {
                fs::remove_file(path)?;
            }
        }
        let mut kept = 0;
        for entry in fs::read_dir(&fewest)? {
            let entry = entry?;
            fs::copy(entry.path(), self.corpus.join(entry.file_name()))?;
            kept += 1;
        }
        println!("{}: {kept} inputs reach all that is reached", self.target);
        Ok(())
    }

    /// Looks for the planted bug, beginning with what persons wrote.
    fn planted(&self) -> Result<()> {
        let found = self.work.join("planted");
        let _absent: std::io::Result<()> = fs::remove_dir_all(&found);
        fs::create_dir_all(&found)?;
        for entry in fs::read_dir(&self.corpus)? {
            let path = entry?.path();
            if let (false, Some(name)) = (is_digest(&path), path.file_name()) {
                fs::copy(&path, found.join(name))?;
            }
        }
        let mut command = self.command()?;
        command
            .arg(format!("-max_total_time={PLANTED_SECONDS}"))
            .arg(&found);
        shell::show(&command);
        let start = Instant::now();
        let output = command.output().context("cannot start the fuzzer")?;
        let took = start.elapsed();
        let text = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            bail!("the planted bug was not found in {PLANTED_SECONDS} s");
        }
        let what = text
            .lines()
            .skip_while(|line| !line.contains("panicked at"))
            .nth(1);
        let what = what.context("it ended without a finding")?;
        let cut: String = what.chars().take(160).collect();
        println!("{}: found after {:.1} s: {cut}", self.target, seconds(took));
        Ok(())
    }
}

/// What a line of libFuzzer says was reached, in words: `#9 DONE cov: 2047 ft: 7816 corp: 12/7Kb …`.
fn reached(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name);
        at.and_then(|at| words.get(at + 1)).copied().unwrap_or("?")
    };
    let runs = words.first().unwrap_or(&"?").trim_start_matches('#');
    format!(
        "{runs} runs reached {} edges in {} ways, and {} inputs do as much",
        after("cov:"),
        after("ft:"),
        after("corp:").split('/').next().unwrap_or("?"),
    )
}

fn seconds(took: Duration) -> f64 {
    took.as_secs_f64()
}

/// Whether a file of a corpus was named by libFuzzer: by its SHA-1.
fn is_digest(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_persons_are_told_from_what_was_found() {
        assert!(is_digest(Path::new(
            "corpus/da39a3ee5e6b4b0d3255bfef95601890afd80709"
        )));
        assert!(!is_digest(Path::new("corpus/the-seed-of-a-person")));
    }

    #[test]
    fn a_target_that_is_not_there_is_named_with_those_that_are() {
        let error = Wanted::read(&["nothing".to_owned()])
            .err()
            .map(|error| error.to_string());
        let error = error.unwrap_or_default();
        assert!(
            error.contains("`nothing`") && error.contains("terminal"),
            "{error}"
        );
    }

    #[test]
    fn coverage_is_told_in_words() {
        let line =
            "#153341\tDONE   cov: 2047 ft: 7816 corp: 1251/77Kb lim: 129 exec/s: 3740 rss: 35Mb";
        let words = "153341 runs reached 2047 edges in 7816 ways, and 1251 inputs do as much";
        assert_eq!(reached(line), words);
    }

    #[test]
    fn without_names_all_run_for_ten_minutes() {
        let wanted = Wanted::read(&["--seconds".to_owned(), "5".to_owned()]).unwrap();
        assert_eq!((wanted.seconds, wanted.planted), (5, false));
        assert!(wanted.targets.len() > 1);
        assert_eq!(Wanted::read(&[]).unwrap().seconds, SECONDS);
    }
}
