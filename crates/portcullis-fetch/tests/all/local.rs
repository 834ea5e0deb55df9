//! Plugins from files and directories, and what their authors may not have read.

use std::fs;
use std::path::Path;

use portcullis_fetch::{
    CLAWFT_MANIFEST, FetchError, Limits, MANIFEST, Options, Package, Source, read,
};

const WASM: &[u8] = b"\0asm\x0d\0\x01\0";

fn read_within(path: &Path, limits: &Limits) -> Result<Package, FetchError> {
    let source = Source::parse(path.to_str().unwrap()).unwrap();
    read(&source, limits, &Options::default())
}

fn read_at(path: &Path) -> Result<Package, FetchError> {
    read_within(path, &Limits::default())
}

/// A directory called `notes` with files in it.
fn plugin(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("notes");
    fs::create_dir(&dir).unwrap();
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    parent
}

fn refused(parent: &tempfile::TempDir, code: &str, why: &str) {
    let error = read_at(&parent.path().join("notes")).unwrap_err();
    assert_eq!(error.code().as_str(), code, "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_file_is_read_with_its_digests() {
    let parent = plugin(&[("notes.wasm", WASM)]);
    let file = parent.path().join("notes/notes.wasm");
    let package = read_at(&file).unwrap();
    assert_eq!(package.component(), WASM);
    assert_eq!(package.manifest(), None);
    assert_eq!(package.version_from_source(), None);
    assert_eq!(
        package.source(),
        &Source::Path(file.canonicalize().unwrap())
    );
    assert_eq!(package.blake3(), blake3::hash(WASM).to_hex().as_str());
    assert_eq!(
        package.digest().hex(),
        "24eaf3439a60c96764c4f2c92a0a81b52bd4fe5d5b91f090184a0f6486b1bf29"
    );
}

#[test]
fn a_directory_has_the_component_that_its_manifest_names() {
    let ours = plugin(&[
        (MANIFEST, b"component = 'out/p.wasm'"),
        ("out/p.wasm", WASM),
    ]);
    let package = read_at(&ours.path().join("notes")).unwrap();
    assert_eq!(package.component(), WASM);
    let manifest = package.manifest().unwrap();
    assert_eq!(
        (manifest.name, &*manifest.bytes),
        (MANIFEST, &b"component = 'out/p.wasm'"[..])
    );

    let clawft = plugin(&[
        (CLAWFT_MANIFEST, br#"{"wasm_module": "p.wasm"}"#),
        ("p.wasm", WASM),
    ]);
    let package = read_at(&clawft.path().join("notes")).unwrap();
    assert_eq!(package.manifest().unwrap().name, CLAWFT_MANIFEST);

    let fledge = b"[plugin]\nname = 'n'\n[[commands]]\nname = 'a'\nbinary = 'bin/a.wasm'\n[[commands]]\nname = 'b'\nbinary = 'b.wasm'";
    let fledge = plugin(&[
        (MANIFEST, fledge),
        ("bin/a.wasm", WASM),
        ("b.wasm", b"\0asm\x01\0\0\0"),
        ("c.wasm", WASM),
    ]);
    let dir = fledge.path().join("notes");
    let first = read_at(&dir).unwrap();
    assert_eq!(
        (first.component(), first.manifest().is_some()),
        (WASM, true)
    );
    assert!(read_at(&dir.join("b.wasm")).unwrap().manifest().is_some());
    assert!(read_at(&dir.join("c.wasm")).unwrap().manifest().is_none());

    let unnamed = plugin(&[(MANIFEST, b"id = 'n'"), ("notes.wasm", WASM)]);
    let package = read_at(&unnamed.path().join("notes")).unwrap();
    assert_eq!(
        (package.component(), package.manifest().is_some()),
        (WASM, true)
    );

    let alone = plugin(&[("notes.wasm", WASM)]);
    let package = read_at(&alone.path().join("notes")).unwrap();
    assert_eq!((package.component(), package.manifest()), (WASM, None));
}

#[test]
fn a_manifest_speaks_for_no_other_file_beside_it() {
    let parent = plugin(&[
        (MANIFEST, b"component = 'p.wasm'"),
        ("p.wasm", WASM),
        ("other.wasm", WASM),
    ]);
    let dir = parent.path().join("notes");
    assert!(read_at(&dir.join("p.wasm")).unwrap().manifest().is_some());
    assert!(
        read_at(&dir.join("other.wasm"))
            .unwrap()
            .manifest()
            .is_none()
    );
}

#[test]
fn nothing_outside_the_directory_is_read() {
    let secret = plugin(&[("secret.wasm", WASM)]);
    let absolute = secret.path().join("notes/secret.wasm");
    for name in [
        "../secret.wasm",
        "a/../../secret.wasm",
        absolute.to_str().unwrap(),
    ] {
        let manifest = format!("component = '{name}'");
        let parent = plugin(&[(MANIFEST, manifest.as_bytes())]);
        fs::write(parent.path().join("secret.wasm"), WASM).unwrap();
        refused(&parent, "P0853", "leads out of the plugin's directory");
    }
    // By a link in place of the component, of a directory, of the manifest.
    let parent = plugin(&[(MANIFEST, b"component = 'p.wasm'")]);
    std::os::unix::fs::symlink(&absolute, parent.path().join("notes/p.wasm")).unwrap();
    refused(&parent, "P0853", "leads through a link");
    let parent = plugin(&[(MANIFEST, b"component = 'out/secret.wasm'")]);
    let outside = absolute.parent().unwrap();
    std::os::unix::fs::symlink(outside, parent.path().join("notes/out")).unwrap();
    refused(&parent, "P0853", "leads through a link");
    let parent = plugin(&[("notes.wasm", WASM)]);
    std::os::unix::fs::symlink(&absolute, parent.path().join("notes/plugin.toml")).unwrap();
    refused(&parent, "P0853", "leads through a link");
}

#[test]
fn what_is_no_regular_file_is_not_read() {
    let parent = plugin(&[(MANIFEST, b"component = 'p.wasm'"), ("p.wasm/x", b"")]);
    refused(&parent, "P0853", "is not a regular file");
    let parent = plugin(&[(MANIFEST, b"component = '.'")]);
    refused(&parent, "P0853", "names no file");
    // Nobody writes into the pipe: who waited for it would wait for ever.
    let parent = plugin(&[(MANIFEST, b"component = 'p.wasm'")]);
    let pipe = parent.path().join("notes/p.wasm");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    refused(&parent, "P0853", "is not a regular file");
}

#[test]
fn a_file_is_as_long_as_it_may_be_and_not_longer() {
    let limits = Limits {
        component: WASM.len() as u64,
        document: 22,
        ..Limits::default()
    };
    let parent = plugin(&[(MANIFEST, b"component = 'p.wasm' #"), ("p.wasm", WASM)]);
    let dir = parent.path().join("notes");
    read_within(&dir, &limits).unwrap();
    for shorter in [
        Limits {
            component: limits.component - 1,
            ..limits.clone()
        },
        Limits {
            document: limits.document - 1,
            ..limits
        },
    ] {
        let error = read_within(&dir, &shorter).unwrap_err();
        assert_eq!(error.code().as_str(), "P0856", "{error}");
    }
}

#[test]
fn what_is_missing_or_broken_is_said() {
    refused(&plugin(&[]), "P0853", "`notes.wasm` is not there");
    refused(
        &plugin(&[(MANIFEST, b"component = 'p.wasm'")]),
        "P0853",
        "`p.wasm` is not there",
    );
    refused(
        &plugin(&[(MANIFEST, b"component = p")]),
        "P0853",
        "`plugin.toml` cannot be read",
    );
    refused(
        &plugin(&[(CLAWFT_MANIFEST, b"{")]),
        "P0853",
        "`clawft.plugin.json` cannot be read",
    );
    refused(&tempfile::tempdir().unwrap(), "P0852", "cannot read");
}
