//! Getting the tools that make components of scripts: from the registries of their languages, at the versions and
//! digests that are committed in `xtask/componentizers`, into `target/componentizers`.

use crate::{Options, packages, shell};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A language of guests that bring their interpreter along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// CPython, by `componentize-py`.
    Python,
    /// QuickJS, by `componentize-qjs`.
    JavaScript,
}

impl Language {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
        }
    }

    /// How the names of its sources end.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Python => "py",
            Self::JavaScript => "js",
        }
    }

    /// Where its versions and digests are committed.
    pub(crate) fn lock(self) -> PathBuf {
        shell::root().join("xtask/componentizers").join(self.name())
    }

    /// Names of what the lock consists of.
    pub(crate) const fn lock_files(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["requirements.txt"],
            Self::JavaScript => &["package.json", "package-lock.json"],
        }
    }

    /// What has to be on this machine, and the packages that bring it.
    const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["python3", "python3-pip"],
            Self::JavaScript => &["nodejs", "npm"],
        }
    }

    /// Whether the language itself is on this machine, in a version that the tool runs on.
    fn is_there(self) -> bool {
        match self {
            Self::Python => {
                let probe = "import sys, pip; sys.exit(sys.version_info < (3, 10))";
                shell::succeeds(shell::command("python3").args(["-c", probe]))
            }
            Self::JavaScript => {
                let probe = "process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)";
                shell::succeeds(shell::command("node").args(["-e", probe]))
                    && shell::succeeds(shell::command("npm").arg("--version"))
            }
        }
    }

    /// Unpacks the tool into a directory.
    fn fetch(self, place: &Path) -> Result<()> {
        let mut command = match self {
            Self::Python => {
                let mut pip = shell::command("python3");
                pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--no-deps"])
                    .args(["--only-binary", ":all:", "--require-hashes"])
                    .args(["--requirement", "requirements.txt", "--target", "."])
                    .env("PIP_ROOT_USER_ACTION", "ignore")
                    .env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
                pip
            }
            Self::JavaScript => {
                let mut npm = shell::command("npm");
                npm.args([
                    "ci",
                    "--ignore-scripts",
                    "--no-audit",
                    "--no-fund",
                    "--silent",
                ]);
                npm
            }
        };
        shell::run(command.current_dir(place))
    }
}

/// A tool that is ready to be used.
#[derive(Debug)]
pub(crate) struct Componentizer {
    language: Language,
    directory: PathBuf,
}

/// Returns the tool, fetched where it is not there yet.
///
/// # Errors
/// The language is not on this machine, or the registry cannot be reached or gives something else.
pub(crate) fn find(language: Language, options: &Options) -> Result<Componentizer> {
    let mut hasher = blake3::Hasher::new();
    for file in language.lock_files() {
        hasher.update(&fs::read(language.lock().join(file))?);
    }
    let store = shell::root().join("target/componentizers");
    let directory = store.join(format!(
        "{}-{}",
        language.name(),
        &hasher.finalize().to_hex()[..16]
    ));
    if !language.is_there() {
        packages::install(options, language.packages())?;
    }
    if !language.is_there() {
        bail!("the {} of this system is too old", language.packages()[0]);
    }
    if !directory.is_dir() {
        fs::create_dir_all(&store)?;
        // Unpacked beside its place and moved there when complete.
        let stage = tempfile::Builder::new()
            .prefix("fetching-")
            .tempdir_in(&store)?;
        for file in language.lock_files() {
            fs::copy(language.lock().join(file), stage.path().join(file))?;
        }
        language
            .fetch(stage.path())
            .with_context(|| format!("cannot fetch the componentizer for {}", language.name()))?;
        fs::rename(stage.path(), &directory)?;
    }
    Ok(Componentizer {
        language,
        directory,
    })
}

impl Componentizer {
    /// Prepares the command that makes a component for a world of the current WIT package, from a module in a directory.
    pub(crate) fn command(
        &self,
        sources: &Path,
        module: &str,
        world: &str,
        component: &Path,
    ) -> Command {
        const WIT: &str = "wit/cli-0.1.0";
        let mut command = match self.language {
            Language::Python => {
                let start = "import sys; from componentize_py import script; sys.exit(script())";
                let mut python = shell::command("python3");
                python
                    .args(["-c", start, "-d", WIT, "-w", world, "componentize", module])
                    .arg("-p")
                    .arg(sources)
                    .arg("-o")
                    .arg(component)
                    .env("PYTHONPATH", &self.directory)
                    // The tool looks for more modules there otherwise, among those that are installed on this machine.
                    .env("VIRTUAL_ENV", &self.directory);
                python
            }
            Language::JavaScript => {
                let mut node = shell::command("node");
                node.arg(self.directory.join("node_modules/componentize-qjs/cli.mjs"))
                    .args(["--wit", WIT, "--world", world, "--sync", "--opt-size"])
                    .arg("--module-root")
                    .arg(sources)
                    .arg("--js")
                    .arg(sources.join(module).with_extension("js"))
                    .arg("-o")
                    .arg(component);
                node
            }
        };
        // A backtrace of the tool says nothing about the script.
        command
            .env_remove("RUST_BACKTRACE")
            .env_remove("RUST_LIB_BACKTRACE");
        command
    }
}
