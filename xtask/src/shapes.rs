//! Assembling `guests/wat`: files whose shape is what is tested, most of them to be refused.

use crate::shell;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Assembles every shape into a directory and adds the three that no text format can say.
///
/// # Errors
/// A text does not parse, or the directory cannot be written.
pub(crate) fn assemble(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    for entry in fs::read_dir(shell::root().join("guests/wat"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wat") {
            let bytes = wat::parse_file(&path)
                .with_context(|| format!("cannot assemble {}", path.display()))?;
            let name = Path::new(path.file_stem().unwrap_or_default()).with_extension("wasm");
            fs::write(directory.join(name), bytes)?;
        }
    }
    let whole = fs::read(directory.join("minimal.wasm"))?;
    fs::write(directory.join("truncated.wasm"), &whole[..whole.len() / 2])?;
    fs::write(
        directory.join("not-wasm.wasm"),
        "#!/bin/sh\necho this is a script\n",
    )?;
    fs::write(directory.join("compiled.cwasm"), ELF)?;
    Ok(())
}

/// The header of a 64-bit little-endian ELF file, the container of ahead-of-time compiled code.
const ELF: [u8; 64] = {
    let mut header = [0; 64];
    let magic = *b"\x7fELF\x02\x01\x01\xc8";
    let mut at = 0;
    while at < magic.len() {
        header[at] = magic[at];
        at += 1;
    }
    header
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::Shape;

    #[test]
    fn shapes_are_what_their_names_say() {
        let directory = tempfile::tempdir().unwrap();
        assemble(directory.path()).unwrap();
        let read = |name: &str| fs::read(directory.path().join(name)).unwrap();
        let valid = |name: &str| {
            wasmparser::Validator::new()
                .validate_all(&read(name))
                .map(|_| ())
        };
        for name in [
            "minimal",
            "core-hello",
            "empty-module",
            "no-run",
            "unknown-import",
            "http-import",
            "answers-http",
            "wrong-run",
            "wrong-process",
            "huge-memory",
        ] {
            valid(&format!("{name}.wasm")).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        for name in ["truncated.wasm", "not-wasm.wasm", "compiled.cwasm"] {
            assert!(valid(name).is_err(), "{name}");
        }
        let shape = |name: &str| Shape::of(&read(name)).unwrap();
        assert!(
            shape("minimal.wasm").exports.contains("run")
                && shape("minimal.wasm").imports.is_empty()
        );
        assert!(!shape("no-run.wasm").exports.contains("run"));
        assert_eq!(shape("unknown-import.wasm").imports.len(), 2);
        assert!(
            shape("http-import.wasm")
                .imports
                .contains("wasi:http/outgoing-handler@0.2.0")
        );
    }
}
