//! `portcullis replay`

mod emit;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use portcullis::{Difference, Record, Recorded, Recorder, ReplayError, Replayed};
use portcullis_config::FlagSet;
use portcullis_registry::component_path;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use similar::{ChangeTag, TextDiff};

use crate::args::ReplayArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Report, Result, Say, chain, diagnostic, system};
use crate::render::guest::{Channel, GuestOutput};
use crate::render::screen::Screen;
use crate::render::{Level, Printer, count, line};
use crate::session;
use crate::settings::{Environment, Settings};
use crate::target::MAX_READ;

/// Bytes read of a record: one more than any has.
const MAX_RECORD: u64 = 256 * 1024 * 1024 + 1;
/// Lines of one difference that are shown.
const MAX_LINES: usize = 60;

/// A record that is being made. Where nothing comes of the run it is removed again.
pub(super) struct Recording {
    pub(super) recorder: std::sync::Arc<Recorder>,
    is_used: bool,
}

impl Recording {
    /// Makes the file.
    ///
    /// # Errors
    /// Something is there, or it cannot be made.
    pub(super) fn create(path: &Path, plugin: &Path, policy: &[PathBuf]) -> Result<Self> {
        let recorder = Recorder::create(path, plugin, policy).map_err(|error| {
            let report = diagnostic(
                code::RECORD,
                format!("cannot make the record `{}`", path.display()),
            );
            let report = report.note(system(&error));
            Failure::usage(match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    report.help("name a file that is not there: a record replaces nothing")
                }
                _ => report,
            })
        })?;
        Ok(Self {
            recorder: std::sync::Arc::new(recorder),
            is_used: false,
        })
    }

    /// The plugin is about to be run with these arguments.
    ///
    /// # Errors
    /// They have a secret.
    pub(super) fn begin(&mut self, args: &[String]) -> Result<()> {
        if self.recorder.would_hide(args) {
            return Err(Failure::usage(
                diagnostic(code::RECORD, "an argument has a secret in it")
                    .note("a record has no secrets, and the plugin would be called with another argument when it is played")
                    .help("record a run without it"),
            ));
        }
        self.is_used = true;
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// Anything of it was not written.
    pub(super) fn end(&self, out: Printer) -> Result<()> {
        let Recorded { lines, bytes } = self.recorder.finish().map_err(|error| {
            Failure::unavailable(
                diagnostic(code::RECORD, "the record is not whole").note(system(&error)),
            )
        })?;
        let path = self.recorder.path().display();
        let (lines, bytes) = (count(lines, "line"), count(bytes, "byte"));
        out.detail(&line(&format!("recorded: `{path}` ({lines}, {bytes})")));
        Ok(())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.is_used {
            _ = std::fs::remove_file(self.recorder.path());
        }
    }
}

pub(super) async fn replay(args: &ReplayArgs, env: Environment, out: Printer) -> Result<Exit> {
    let settings = Settings::load(&args.common(), FlagSet::default(), env)?;
    let bytes = read(&args.file, MAX_RECORD)
        .map_err(|error| Failure::unusable("read", &args.file, &error))?;
    let record = Record::read(&bytes).map_err(|error| unplayed(&args.file, &error.into()))?;
    let plugin = plugin(args, &settings, &record)?;
    // It needs one, and nothing is ever done there.
    let nowhere =
        tempfile::tempdir().map_err(|error| Failure::unavailable(chain(code::HOST, &error)))?;
    let host = session::builder(&settings).project(nowhere.path());
    let host = host.build()?;
    let played = out.while_doing("playing the record", host.replay(&plugin, &bytes));
    let played = played.await.map_err(|error| unplayed(&args.file, &error))?;
    let exit = match played.differences[..] {
        [] => Exit::OK,
        _ => Exit::NEGATIVE,
    };
    if !record.whole {
        let report = diagnostic(code::REPLAY, "the record has no end")
            .note("the run was broken off, or its last lines are lost: what comes after them was not compared");
        out.report(Level::Warning, &Report::Plain(report));
    }
    if args.output.json {
        out.json(json!({
            "exit_code": exit.0,
            "plugin": record.header.plugin,
            "identical": exit == Exit::OK,
            "whole": played.whole,
            "calls": played.calls,
            "differences": played.differences,
            "answer": played.answer,
            "refused": played.refused,
        }))?;
        return Ok(exit);
    }
    say_again(&played)?;
    if exit == Exit::OK
        && let Some(to) = &args.emit_test
    {
        emit(to, args, &settings, &record, out)?;
    }
    if exit == Exit::OK {
        out.tell(&format!("identical: {}", count(played.calls, "call")));
        return Ok(exit);
    }
    for difference in &played.differences {
        let message = format!(
            "call {} is not the one of line {}",
            difference.call, difference.line
        );
        let report = diagnostic(code::DIFFERENT, message);
        let report = shown(difference).into_iter().fold(report, Say::note);
        out.report(Level::Error, &Report::Plain(report));
    }
    Ok(exit)
}

/// Writes the test file of a record.
///
/// # Errors
/// The record has a secret, or something that no test file can say, or the file is there.
fn emit(
    to: &Path,
    args: &ReplayArgs,
    settings: &Settings,
    record: &Record,
    out: Printer,
) -> Result<()> {
    let refuse = |why: String| {
        let report = diagnostic(code::EMIT, "no test can be made of the record");
        Failure::usage(report.note(line(&why)))
    };
    if record.has_secrets() {
        return Err(refuse(
            "a secret was taken out of it, and a test is kept where others read it".to_owned(),
        ));
    }
    if !record.whole {
        return Err(refuse("it has no end".to_owned()));
    }
    let plugin = found(args, settings, record).unwrap_or_default();
    let plugin = plugin.canonicalize().unwrap_or(plugin);
    let text = emit::test(record, &plugin).map_err(|refused| {
        let report = diagnostic(code::EMIT, "no test can be made of the record");
        let notes = refused
            .into_iter()
            .map(|what| line(&format!("no test file can say: {what}")));
        Failure::usage(notes.fold(report, Say::note))
    })?;
    let file = OpenOptions::new().write(true).create_new(true).open(to);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::unusable("write", to, &error))?;
    out.tell(&line(&format!("test: `{}`", to.display())));
    Ok(())
}

/// Writes what was written.
fn say_again(played: &Replayed) -> Result<()> {
    let screen = Screen::default();
    let stdout = GuestOutput::new(Channel::Stdout, &screen);
    let stderr = GuestOutput::new(Channel::Stderr, &screen);
    for wrote in &played.wrote {
        match wrote.to {
            portcullis::Channel::Stdout => stdout.write(&wrote.bytes.0)?,
            portcullis::Channel::Stderr => stderr.write(&wrote.bytes.0)?,
        }
    }
    let answer = played.answer.as_ref();
    let text = |key| answer.and_then(|answer| answer[key].as_str());
    if let Some(text) = text("ok").or_else(|| text("observed")) {
        stdout.paragraph(text)?;
    }
    if let Some(text) = text("err") {
        stderr.paragraph(text)?;
    }
    Ok(())
}

/// The lines of a difference, as a diff.
fn shown(difference: &Difference) -> Vec<String> {
    let pretty = |value: &Value| format!("{value:#}\n");
    let (expected, got) = (pretty(&difference.expected), pretty(&difference.got));
    let diff = TextDiff::from_lines(&expected, &got);
    let changes = diff.iter_all_changes();
    let mut lines: Vec<String> = changes
        .filter(|change| change.tag() != ChangeTag::Equal || !change.value().trim().is_empty())
        .map(|change| {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            line(&format!("{sign} {}", change.value().trim_end()))
        })
        .collect();
    let more = lines.len().saturating_sub(MAX_LINES) as u64;
    lines.truncate(MAX_LINES);
    if more > 0 {
        lines.push(format!("(+{})", count(more, "line")));
    }
    lines
}

/// The plugin that a record is played to.
///
/// # Errors
/// It is not there, or is not the one that was recorded.
fn plugin(args: &ReplayArgs, settings: &Settings, record: &Record) -> Result<Vec<u8>> {
    let header = &record.header;
    let path = found(args, settings, record).ok_or_else(|| {
        Failure::usage(
            diagnostic(
                code::RECORDED,
                format!("plugin `{}` of the record is nowhere", header.plugin),
            )
            .note(format!("its SHA-256 is {}", line(&header.sha256)))
            .help("say where: portcullis replay --plugin <file> <record>"),
        )
    })?;
    let bytes = read(&path, MAX_READ).map_err(|error| Failure::unusable("read", &path, &error))?;
    let sha256 = hex::encode(Sha256::digest(&bytes));
    if sha256 != header.sha256 && !args.allow_changed {
        return Err(Failure::usage(
            diagnostic(
                code::RECORDED,
                format!("`{}` is not the plugin of the record", path.display()),
            )
            .note(format!("its SHA-256 is {sha256}"))
            .note(format!("the record is of {}", line(&header.sha256)))
            .help("to see what another version of it does otherwise: --allow-changed"),
        ));
    }
    Ok(bytes)
}

fn found(args: &ReplayArgs, settings: &Settings, record: &Record) -> Option<PathBuf> {
    let header = &record.header;
    let installed = || {
        let mut records = settings.installed.records.iter();
        let record = records.find(|record| record.sha256 == header.sha256)?;
        Some(component_path(
            &settings.directories.plugins(),
            &record.sha256,
        ))
    };
    let named = || header.path.as_ref().map(PathBuf::from);
    args.plugin.clone().or_else(installed).or_else(named)
}

/// Reads a file: of anything else, who knows what reading would do.
fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unplayed(path: &Path, error: &ReplayError) -> Failure {
    let report = diagnostic(
        code::REPLAY,
        format!("cannot play the record `{}`", path.display()),
    );
    let report = report.note(line(&error.to_string()));
    match error {
        ReplayError::Failed(_) => Failure::unavailable(report.help("portcullis doctor")),
        _ => Failure::usage(report),
    }
}
