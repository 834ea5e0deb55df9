//! Plugins in one file: what is packed is read again, and what is laid out in any other way is refused.

use std::fs;

use portcullis_fetch::{
    Artifact, FetchError, Limits, MANIFEST, ManifestFile, Options, Package, Publication, Source,
    is_packed, read, unpack,
};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

const WASM: &[u8] = b"\0asm\x0d\0\x01\0";
const MANIFEST_TEXT: &[u8] = b"id = 'notes'\nversion = '1.2.0'";

fn packed() -> Vec<u8> {
    let manifest = ManifestFile {
        name: MANIFEST,
        bytes: MANIFEST_TEXT.to_vec(),
    };
    let what = Publication {
        component: WASM,
        manifest: Some(&manifest),
        version: Some("1.2.0"),
    };
    Artifact::new(what).packed(&Limits::default()).unwrap()
}

fn unpacked(bytes: &[u8], limits: &Limits) -> Result<Package, FetchError> {
    unpack(Source::Path("notes.tar".into()), bytes, limits)
}

/// An entry of a tar: its name, its kind, its content.
type Entry = (String, EntryType, Vec<u8>);

/// The entries of a packed file, for who changes one.
fn entries() -> Vec<Entry> {
    let packed = packed();
    let mut archive = tar::Archive::new(&*packed);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        (name, EntryType::Regular, content)
    });
    entries.collect()
}

/// A tar with these entries. Names are written as they are, wherever they lead.
fn tar_of(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, &**content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn refused(bytes: &[u8], code: &str, why: &str) {
    refused_within(bytes, &Limits::default(), code, why);
}

fn refused_within(bytes: &[u8], limits: &Limits, code: &str, why: &str) {
    let error = unpacked(bytes, limits).unwrap_err();
    assert_eq!(error.code().as_str(), code, "{error}");
    assert!(error.to_string().contains(why), "{why}: {error}");
}

fn blob(content: &[u8]) -> Entry {
    let digest: String = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let name = format!("blobs/sha256/{digest}");
    (name, EntryType::Regular, content.to_vec())
}

fn at<'a>(entries: &'a mut [Entry], content: &[u8]) -> &'a mut Entry {
    let mut entries = entries.iter_mut();
    entries.find(|entry| entry.2 == content).unwrap()
}

#[test]
fn what_was_packed_is_read_again_and_packed_the_same() {
    let bytes = packed();
    assert!(is_packed(&bytes) && !is_packed(WASM));
    assert_eq!(packed(), bytes, "the same plugin, the same bytes");
    let package = unpacked(&bytes, &Limits::default()).unwrap();
    assert_eq!(package.component(), WASM);
    assert_eq!(package.manifest().unwrap().bytes, MANIFEST_TEXT);
    assert_eq!(package.version_from_source(), Some("1.2.0"));
    let again = Artifact::of(&package, "1.2.0");
    assert_eq!(Some(again.digest()), package.published());
    assert_eq!(again.packed(&Limits::default()).unwrap(), bytes);
}

#[test]
fn a_path_to_a_packed_file_is_a_source() {
    let dir = tempfile::tempdir().unwrap();
    // What lies beside it speaks for another plugin.
    fs::write(dir.path().join(MANIFEST), "id = 'other'").unwrap();
    let file = dir.path().join("notes.tar");
    fs::write(&file, packed()).unwrap();
    let source = Source::Path(file.clone());
    let package = read(&source, &Limits::default(), &Options::default()).unwrap();
    assert_eq!(package.component(), WASM);
    assert_eq!(package.manifest().unwrap().bytes, MANIFEST_TEXT);
    assert_eq!(package.file(), Some(&*file.canonicalize().unwrap()));
}

#[test]
fn the_same_files_in_a_tar_of_other_tools_are_read() {
    let mut others: Vec<Entry> = ["./", "./blobs/", "./blobs/sha256/"]
        .map(|name| (name.to_owned(), EntryType::Directory, Vec::new()))
        .into();
    let files = entries().into_iter().rev();
    others.extend(files.map(|(name, kind, content)| (format!("./{name}"), kind, content)));
    let package = unpacked(&tar_of(&others), &Limits::default()).unwrap();
    assert_eq!(package.component(), WASM);
}

#[test]
fn no_name_leads_anywhere() {
    for name in [
        "../oci-layout",
        "/etc/passwd",
        "blobs/sha256/../../x",
        "blobs/sha512/x",
        "blobs/sha256/x",
        "././oci-layout",
        "plugin.toml",
    ] {
        let mut entries = entries();
        entries.push((name.to_owned(), EntryType::Regular, b"x".to_vec()));
        refused(&tar_of(&entries), "P0853", "is no part of a layout");
    }
    let mut entries = entries();
    entries.push(("../".to_owned(), EntryType::Directory, Vec::new()));
    refused(&tar_of(&entries), "P0853", "is no regular file");
}

#[test]
fn nothing_but_regular_files_is_in_it() {
    let kinds = [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Fifo,
        EntryType::Char,
        EntryType::Block,
        // Those speak for the next entry: another name or size than is looked at.
        EntryType::XHeader,
        EntryType::XGlobalHeader,
        EntryType::GNULongName,
        EntryType::GNULongLink,
        // As large as it says, without a byte of it.
        EntryType::GNUSparse,
    ];
    for kind in kinds {
        let mut entries = entries();
        entries.insert(0, ("oci-layout".to_owned(), kind, Vec::new()));
        refused(&tar_of(&entries), "P0853", "is no regular file");
    }
}

#[test]
fn nothing_is_in_it_twice_and_nothing_besides() {
    for index in 0..entries().len() {
        let mut entries = entries();
        entries.push(entries[index].clone());
        refused(&tar_of(&entries), "P0853", "twice");
    }
    let mut besides = entries();
    besides.push(blob(b"what nobody lists"));
    refused(&tar_of(&besides), "P0853", "that nothing lists");
    let mut directories = entries();
    for _ in 0..2 {
        directories.push(("blobs/".to_owned(), EntryType::Directory, Vec::new()));
    }
    refused(&tar_of(&directories), "P0853", "twice");
    let mut many = entries();
    many.extend((0..20_u8).map(|number| blob(&[number])));
    refused(&tar_of(&many), "P0853", "more than 16 entries");
}

#[test]
fn nothing_is_missing_from_it() {
    for (index, entry) in entries().iter().enumerate() {
        let mut entries = entries();
        entries.remove(index);
        let why = match &*entry.0 {
            "oci-layout" => "it has no `oci-layout`",
            "index.json" => "it has no `index.json`",
            _ => "and does not have it",
        };
        refused(&tar_of(&entries), "P0853", why);
    }
    refused(&tar_of(&[]), "P0853", "it has no `oci-layout`");
}

#[test]
fn a_blob_is_what_its_name_says() {
    let mut entries = entries();
    at(&mut entries, WASM).2 = b"\0asm another".to_vec();
    refused(&tar_of(&entries), "P0855", "and was to be");
}

#[test]
fn a_blob_is_as_large_as_it_is_listed() {
    let mut entries = entries();
    let index = entries.iter_mut().find(|entry| entry.0 == "index.json");
    let index = &mut index.unwrap().2;
    let text = String::from_utf8(index.clone()).unwrap();
    let (before, after) = text.split_once("\"size\":").unwrap();
    *index = format!("{before}\"size\":1{after}").into_bytes();
    refused(&tar_of(&entries), "P0853", "is listed with 1");
}

#[test]
fn one_plugin_is_in_it() {
    for (from, to, why) in [
        (
            "\"manifests\":[{",
            "\"manifests\":[],\"x\":[{",
            "it has 0 plugins",
        ),
        ("image.manifest.v1", "image.index.v1", "unknown media type"),
    ] {
        let mut entries = entries();
        let index = entries.iter_mut().find(|entry| entry.0 == "index.json");
        let index = &mut index.unwrap().2;
        let text = String::from_utf8(index.clone()).unwrap();
        *index = text.replace(from, to).into_bytes();
        refused(&tar_of(&entries), "P0853", why);
    }
    let mut entries = entries();
    entries[0].2 = br#"{"imageLayoutVersion":"2.0.0"}"#.to_vec();
    refused(&tar_of(&entries), "P0853", "unknown version `2.0.0`");
}

#[test]
fn what_is_larger_than_it_may_be_is_not_read() {
    let small = Limits {
        component: 4,
        document: 600,
        ..Limits::default()
    };
    refused_within(&packed(), &small, "P0856", "has more than 4 bytes");
    let small = Limits {
        document: 20,
        ..Limits::default()
    };
    refused_within(&packed(), &small, "P0856", "oci-layout` has more than 20");
    // The documents that it lists, too.
    let small = Limits {
        document: 300,
        ..Limits::default()
    };
    refused_within(&packed(), &small, "P0856", "has more than 300 bytes");

    // A file is counted while it is read.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.tar");
    fs::write(&file, packed()).unwrap();
    let small = Limits {
        component: 4000,
        ..Limits::default()
    };
    let source = Source::Path(file);
    let error = read(&source, &small, &Options::default()).unwrap_err();
    assert!(
        error.to_string().contains("has more than 4000 bytes"),
        "{error}"
    );
}

#[test]
fn a_size_that_is_a_lie_is_no_room_that_is_taken() {
    let bytes = packed();
    let digits = 124..136;
    for size in ["77777777777", "00400000000"] {
        let mut bytes = bytes.clone();
        let mut header = Header::from_byte_slice(&bytes[..512]).clone();
        header.as_old_mut().size[..11].copy_from_slice(size.as_bytes());
        header.set_cksum();
        bytes[..512].copy_from_slice(header.as_bytes());
        assert!(unpacked(&bytes, &Limits::default()).is_err(), "{size}");
    }
    // Within the limits, and more than is there.
    let mut last = bytes.clone();
    let mut header = Header::from_byte_slice(&bytes[..512]).clone();
    header.as_old_mut().size[..11].copy_from_slice(b"00000100000");
    header.set_cksum();
    last[..512].copy_from_slice(header.as_bytes());
    refused(&last, "P0853", "");
    // A checksum that does not fit.
    let mut wrong = bytes;
    wrong[digits.start] ^= 1;
    refused(&wrong, "P0853", "its tar is broken");
}
