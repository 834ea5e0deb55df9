//! Getting the tools that make components of scripts: from the registries of their languages, at the versions and
//! digests that are committed in `xtask/componentizers`, into `target/componentizers`.

use crate::{Options, packages, shell};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

    /// The files of its SDK, and where a plugin's sources have to have them: places from the repository's root, and from
    /// the sources.
    pub(crate) const fn sdk(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Python => &[("sdk/python/src/portcullis", "portcullis")],
            Self::JavaScript => &[
                (
                    "sdk/js/package.json",
                    "node_modules/@portcullis/sdk/package.json",
                ),
                ("sdk/js/src", "node_modules/@portcullis/sdk/src"),
            ],
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

fn store() -> PathBuf {
    shell::root().join("target/componentizers")
}

/// Where the tool is once it was fetched: another place for every lock.
fn directory(language: Language) -> Result<PathBuf> {
    let mut hasher = blake3::Hasher::new();
    for file in language.lock_files() {
        hasher.update(&fs::read(language.lock().join(file))?);
    }
    let digest = hasher.finalize().to_hex();
    Ok(store().join(format!("{}-{}", language.name(), &digest[..16])))
}

/// Returns the tool, fetched where it is not there yet.
///
/// # Errors
/// The language is not on this machine, or the registry cannot be reached or gives something else.
pub(crate) fn find(language: Language, options: &Options) -> Result<Componentizer> {
    let directory = directory(language)?;
    if !language.is_there() {
        packages::install(options, language.packages())?;
    }
    if !language.is_there() {
        bail!("the {} of this system is too old", language.packages()[0]);
    }
    if !directory.is_dir() {
        let store = store();
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

/// What makes a component of a plugin in JavaScript, from the repository's root.
pub(crate) const JAVASCRIPT: &str = "crates/portcullis-cli/src/kit/javascript.mjs";

/// The WIT package the components are made for.
const WIT: &str = "wit/cli-0.1.0";

/// What a component is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum World {
    /// A world of the package.
    Released(&'static str),
    /// The world of a file, from the repository's root, which uses the package.
    Own {
        file: &'static str,
        name: &'static str,
    },
}

impl World {
    const fn name(self) -> &'static str {
        match self {
            Self::Released(name) | Self::Own { name, .. } => name,
        }
    }

    /// Lays out the WIT it consists of as a directory that tools read.
    fn lay_out(self, to: &Path, edit: fn(String) -> String) -> Result<()> {
        let package = shell::root().join(WIT);
        match self {
            Self::Released(_) => copy_texts(&package, to, edit)?,
            Self::Own { file, .. } => {
                copy_texts(&package, &to.join("deps/cli"), edit)?;
                let text = fs::read_to_string(shell::root().join(file))?;
                fs::write(to.join("world.wit"), edit(text))?;
            }
        }
        for entry in fs::read_dir(package.join("deps"))? {
            let entry = entry?;
            let to = to.join("deps").join(entry.file_name());
            copy_texts(&entry.path(), &to, edit)?;
        }
        Ok(())
    }
}

/// Copies the files of a directory, and nothing below it.
fn copy_texts(from: &Path, to: &Path, edit: fn(String) -> String) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let text = fs::read_to_string(entry.path())?;
            fs::write(to.join(entry.file_name()), edit(text))?;
        }
    }
    Ok(())
}

impl Componentizer {
    /// Makes a component for a world, of a module in a directory of nothing but sources; it is changed.
    ///
    /// # Errors
    /// The tool fails; the text has what it says.
    pub(crate) fn componentize(
        &self,
        sources: &Path,
        module: &str,
        world: World,
    ) -> Result<Vec<u8>> {
        let component = sources.join("component.wasm");
        let wit = sources.join("wit");
        let mut command = match self.language {
            Language::Python => {
                world.lay_out(&wit, |text| text)?;
                self.python(sources, &wit, module, world.name())
            }
            Language::JavaScript => {
                world.lay_out(&wit, |text| text.replace(IO, STAND_IN))?;
                self.javascript(sources, &wit, module, world.name())
            }
        };
        command
            .arg(&component)
            // A backtrace of the tool says nothing about the script.
            .env_remove("RUST_BACKTRACE")
            .env_remove("RUST_LIB_BACKTRACE")
            .stdin(Stdio::null());
        let output = command.output().context("cannot start the componentizer")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("the componentizer ended with {}:\n{said}", output.status);
        }
        let bytes = fs::read(component)?;
        Ok(match self.language {
            Language::Python => bytes,
            Language::JavaScript => replaced(&bytes, STAND_IN.as_bytes(), IO.as_bytes()),
        })
    }

    fn python(&self, sources: &Path, wit: &Path, module: &str, world: &str) -> Command {
        let start = "import sys; from componentize_py import script; sys.exit(script())";
        let mut python = shell::command("python3");
        python
            .args(["-c", start, "-d"])
            .arg(wit)
            .args(["-w", world, "componentize", module, "-p"])
            .arg(sources)
            .arg("-o")
            .env("PYTHONPATH", &self.directory)
            // The tool looks for more modules there otherwise, among those that are installed on this machine.
            .env("VIRTUAL_ENV", &self.directory);
        python
    }

    /// As `portcullis build` does it.
    fn javascript(&self, sources: &Path, wit: &Path, module: &str, world: &str) -> Command {
        let mut node = shell::command("node");
        node.arg(shell::root().join(JAVASCRIPT))
            .arg(self.directory.join("node_modules"))
            .arg(sources)
            .arg(Path::new(module).with_extension("js"))
            .arg(wit)
            .arg(world);
        node
    }
}

/// The package of streams and pollables.
const IO: &str = "wasi:io";
/// What it is called while `componentize-qjs` runs the script for the first time: a name of the same length.
///
/// The tool supplies what it knows of WASI then and makes up every other import. What it makes up has resources of its
/// own, and an interface that uses those of WASI, as `portcullis:cli/command` does, does not fit.
const STAND_IN: &str = "wasj:io";

/// The bytes with each `from` replaced by `to`, which is as long.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at + from.len() <= out.len() {
        if out[at..].starts_with(from) {
            out[at..at + from.len()].copy_from_slice(to);
        }
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stand_in_is_as_long_as_what_it_stands_for() {
        assert_eq!(STAND_IN.len(), IO.len());
        assert_eq!(
            replaced(b"a wasj:io/x wasj:i", b"wasj:io", b"wasi:io"),
            b"a wasi:io/x wasj:i"
        );
    }

    #[test]
    fn a_module_that_throws_is_not_built_and_says_what_it_threw() {
        let scripts = [
            (
                Language::Python,
                "def late():\n    raise ValueError('in the module')\n\nlate()\n",
                ["ValueError: in the module", "line 2, in late"],
            ),
            (
                Language::JavaScript,
                "function late() { throw new RangeError('in the module'); }\nlate();\nexport function run() {}\n",
                ["in the module", "at late (/guest.js:1:"],
            ),
        ];
        for (language, script, says) in scripts {
            let directory = directory(language).unwrap();
            if !directory.is_dir() {
                println!(
                    "SKIP componentizers::{}: its tool was not fetched",
                    language.name()
                );
                continue;
            }
            let tool = Componentizer {
                language,
                directory,
            };
            let sources = tempfile::tempdir().unwrap();
            let file = Path::new("guest").with_extension(language.extension());
            fs::write(sources.path().join(file), script).unwrap();
            let error = tool
                .componentize(sources.path(), "guest", World::Released("plugin"))
                .unwrap_err()
                .to_string();
            for part in says {
                assert!(error.contains(part), "{part:?} is not in\n{error}");
            }
        }
    }

    #[test]
    fn every_tool_is_pinned_by_digest() {
        let read = |language: Language, file: &str| {
            fs::read_to_string(language.lock().join(file)).unwrap()
        };
        let requirements = read(Language::Python, "requirements.txt");
        assert!(requirements.contains("==") && requirements.contains("--hash=sha256:"));
        let lock: serde_json::Value =
            serde_json::from_str(&read(Language::JavaScript, "package-lock.json")).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        assert!(packages.len() > 1);
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            assert!(
                package["integrity"]
                    .as_str()
                    .is_some_and(|digest| digest.starts_with("sha512-")),
                "{name}"
            );
        }
    }
}
