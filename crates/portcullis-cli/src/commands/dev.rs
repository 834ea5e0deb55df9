//! `portcullis dev`: builds and tests a plugin, and again whenever something of it changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use super::{build, test};
use crate::args::{BuildArgs, TestArgs};
use crate::exit::Exit;
use crate::failure::Result;
use crate::render::{Printer, line};
use crate::settings::Environment;

/// How often is looked whether something changed.
const EVERY: Duration = Duration::from_millis(300);
/// What tools make, and what they are made of.
const NOT_SOURCES: [&str; 3] = ["target", "node_modules", "portcullis-sdk"];
/// Files that are looked at.
const MAX_FILES: usize = 100_000;

/// Never returns by itself.
pub(super) async fn dev(args: &BuildArgs, env: Environment, out: Printer) -> Result<Exit> {
    let dir = build::directory(args, &env)?;
    loop {
        let seen = sources(&dir);
        match round(args, &dir, &env, out).await {
            Ok(()) => {}
            // A mistake is what it is there to show.
            Err(failure) => out.failure(&failure),
        }
        out.tell(&line(&format!(
            "waiting for a change in `{}`",
            dir.display()
        )));
        // Nothing runs meanwhile, so a signal ends it as it ends any program.
        while sources(&dir) == seen {
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// Builds, and if that went well, tests.
async fn round(args: &BuildArgs, dir: &Path, env: &Environment, out: Printer) -> Result<()> {
    if build::build(args, env.clone(), out).await? != Exit::OK {
        return Ok(());
    }
    let tests = dir.join(test::DIRECTORY);
    if tests.is_dir() {
        let args = TestArgs {
            common: args.common(),
            filter: None,
            paths: vec![tests],
        };
        test::test(&args, env.clone(), out).await?;
    }
    Ok(())
}

/// When each file was changed that a plugin is made of.
fn sources(dir: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    // What cannot be read is looked at again with the next look.
    let _ = collect(dir, &mut found);
    found
}

fn collect(dir: &Path, found: &mut BTreeMap<PathBuf, SystemTime>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || name.ends_with(".wasm") || NOT_SOURCES.contains(&&*name) {
            continue;
        }
        let meta = entry.metadata()?;
        if meta.is_dir() {
            collect(&entry.path(), found)?;
        } else if found.len() < MAX_FILES {
            found.insert(entry.path(), meta.modified()?);
        }
    }
    Ok(())
}
