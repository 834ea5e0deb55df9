//! Guests that bring their interpreter along: the examples in Python and JavaScript, the test guests in both, and the plugins
//! that do with the SDKs all that is written down in `sdk/parity`.
//!
//! One is built again only when its sources, the WIT, the tool's lock or the way of building changed; without that, the
//! tool is not even looked for.

use crate::componentizers::{self, Componentizer, Language, World};
use crate::skips::Skips;
use crate::{Options, guests, shell};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One such guest.
#[derive(Debug)]
struct Guest {
    /// The name of its component.
    name: &'static str,
    /// Where its sources are, from the repository's root.
    directory: &'static str,
    language: Language,
    /// The module the world's exports are in.
    module: &'static str,
    /// One of its own means that it is made with the SDK of its language.
    world: World,
}

/// The world of the plugins that use everything.
const PARITY: World = World::Own {
    file: "sdk/parity/world.wit",
    name: "parity",
};

const GUESTS: [Guest; 8] = [
    Guest {
        name: "disk-watch",
        directory: "examples/disk-watch",
        language: Language::Python,
        module: "disk_watch",
        world: World::Released("plugin"),
    },
    Guest {
        name: "deps-audit",
        directory: "examples/deps-audit",
        language: Language::JavaScript,
        module: "deps-audit",
        world: World::Released("plugin"),
    },
    Guest {
        name: "python",
        directory: "guests/interpreted/python",
        language: Language::Python,
        module: "guest",
        world: World::Released("plugin-with-command"),
    },
    Guest {
        name: "javascript",
        directory: "guests/interpreted/javascript",
        language: Language::JavaScript,
        module: "guest",
        world: World::Released("plugin"),
    },
    Guest {
        name: "javascript-overlay",
        directory: "guests/interpreted/javascript",
        language: Language::JavaScript,
        module: "overlay",
        world: World::Released("plugin-with-overlay"),
    },
    Guest {
        name: "javascript-command",
        directory: "guests/interpreted/javascript",
        language: Language::JavaScript,
        module: "children",
        world: World::Released("plugin-with-command"),
    },
    Guest {
        name: "parity-python",
        directory: "sdk/parity/python",
        language: Language::Python,
        module: "parity",
        world: PARITY,
    },
    Guest {
        name: "parity-javascript",
        directory: "sdk/parity/javascript",
        language: Language::JavaScript,
        module: "parity",
        world: PARITY,
    },
];

/// Builds what is not up to date. What cannot be built for want of its tool is named as skipped, and so are its tests.
///
/// # Errors
/// A guest does not build.
pub(crate) fn run(options: &Options, skips: &mut Skips) -> Result<()> {
    for language in [Language::Python, Language::JavaScript] {
        let mut tool = None;
        for guest in GUESTS.iter().filter(|guest| guest.language == language) {
            let key = guest.key()?;
            if guests::is_current(&guest.stamp(), &key) {
                eprintln!("guests: {} is up to date", guest.name);
            } else {
                // A guest of other sources must not be tested for this one.
                remove(&guest.component())?;
                let tool = tool.get_or_insert_with(|| componentizers::find(language, options));
                match tool {
                    Ok(tool) => guest.build(tool, &key)?,
                    Err(error) => skips.add(
                        format!("guest {}", guest.name),
                        format!("not built: {error:#}"),
                    ),
                }
            }
            guest.place()?;
        }
    }
    Ok(())
}

impl Guest {
    fn sources(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(shell::root().join(self.directory))? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == self.language.extension())
            {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Each file of the SDK that it is made with, and where its sources have to have it.
    fn sdk(&self) -> Result<Vec<(PathBuf, PathBuf)>> {
        let mut files = Vec::new();
        if let World::Own { .. } = self.world {
            for (from, to) in self.language.sdk() {
                let from = shell::root().join(from);
                if from.is_file() {
                    files.push((from, PathBuf::from(to)));
                    continue;
                }
                let mut below = Vec::new();
                guests::walk(&from, &mut below)?;
                // No compiled files of whoever ran its tests.
                below.retain(|file| {
                    file.extension()
                        .is_some_and(|extension| extension == self.language.extension())
                });
                for file in below {
                    let place = Path::new(to).join(file.strip_prefix(&from)?);
                    files.push((file, place));
                }
            }
        }
        Ok(files)
    }

    fn component(&self) -> PathBuf {
        guests::directory().join(self.name).with_extension("wasm")
    }

    fn stamp(&self) -> PathBuf {
        guests::directory().join(format!(".{}.stamp", self.name))
    }

    /// Everything a build depends on, in one digest.
    fn key(&self) -> Result<String> {
        let mut files = self.sources()?;
        files.extend(self.sdk()?.into_iter().map(|(file, _)| file));
        if let World::Own { file, .. } = self.world {
            files.push(shell::root().join(file));
        }
        let wit = shell::root().join("wit");
        guests::walk(&wit, &mut files)?;
        let locks = self.language.lock_files().iter();
        files.extend(locks.map(|file| self.language.lock().join(file)));
        if self.language == Language::JavaScript {
            files.push(shell::root().join(componentizers::JAVASCRIPT));
        }
        files.sort();
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{self:?}").as_bytes());
        hasher.update(
            concat!(
                include_str!("interpreted.rs"),
                include_str!("componentizers.rs")
            )
            .as_bytes(),
        );
        for file in files {
            let bytes = fs::read(&file)?;
            let name = file.strip_prefix(shell::root()).unwrap_or(&file);
            hasher.update(format!("{} {}\n", name.display(), bytes.len()).as_bytes());
            hasher.update(&bytes);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    fn build(&self, tool: &Componentizer, key: &str) -> Result<()> {
        let started = Instant::now();
        // From a copy: the interpreter may leave compiled files beside what it reads.
        let stage = tempfile::tempdir()?;
        for source in self.sources()? {
            let name = source.file_name().context("a source has a name")?;
            fs::copy(&source, stage.path().join(name))?;
        }
        for (file, place) in self.sdk()? {
            let place = stage.path().join(place);
            fs::create_dir_all(place.parent().context("a place is below the sources")?)?;
            fs::copy(&file, place)?;
        }
        let bytes = tool
            .componentize(stage.path(), self.module, self.world)
            .with_context(|| format!("cannot build guest `{}`", self.name))?;
        let partial = guests::directory().join(format!(".{}.wasm", self.name));
        fs::write(&partial, &bytes)?;
        fs::rename(&partial, self.component())?;
        eprintln!(
            "{:>10} bytes  {}.wasm, in {:.1} s",
            bytes.len(),
            self.name,
            started.elapsed().as_secs_f64()
        );
        let line = format!("{} {}.wasm", blake3::hash(&bytes).to_hex(), self.name);
        fs::write(self.stamp(), format!("{key}\n{line}\n"))?;
        Ok(())
    }

    /// Puts an example's component beside its manifest, where the policy of the examples looks for it.
    fn place(&self) -> Result<()> {
        if !self.directory.starts_with("examples/") {
            return Ok(());
        }
        let place = shell::root()
            .join(self.directory)
            .join(self.name)
            .with_extension("wasm");
        remove(&place)?;
        if self.component().is_file() {
            fs::hard_link(self.component(), &place)
                .or_else(|_| fs::copy(self.component(), &place).map(|_| ()))
                .with_context(|| format!("cannot write {}", place.display()))?;
        }
        Ok(())
    }
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_not_given_twice_and_sources_are_there() {
        for (index, guest) in GUESTS.iter().enumerate() {
            assert!(
                GUESTS[..index].iter().all(|other| other.name != guest.name),
                "{guest:?}"
            );
            let module = Path::new(guest.module).with_extension(guest.language.extension());
            assert!(
                guest
                    .sources()
                    .unwrap()
                    .iter()
                    .any(|source| source.ends_with(&module)),
                "{guest:?}"
            );
        }
    }

    #[test]
    fn a_key_is_of_the_guest_and_the_same_every_time() {
        let keys: Vec<_> = GUESTS.iter().map(|guest| guest.key().unwrap()).collect();
        assert_eq!(keys[0], GUESTS[0].key().unwrap());
        assert!(
            keys.iter()
                .enumerate()
                .all(|(index, key)| !keys[..index].contains(key))
        );
    }
}
