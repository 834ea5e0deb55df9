use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::{Dir, git, has_git};
use crate::care::{ApplyError, Edited, ReadError, apply, read_config, read_staged};

const BASE: &str = "[core]\n\tbare = false\n[branch \"x\"]\n\trebase = true\n";

fn edited(content: &str) -> Edited {
    Edited {
        content: content.into(),
        changes: Vec::new(),
    }
}

fn repository() -> Dir {
    let dir = Dir::new();
    dir.write("config", BASE);
    dir
}

#[test]
fn the_same_file_gets_the_new_text() {
    for content in [
        "[core]\n\tbare = false\n",
        "[core]\n\tbare = false\n[branch \"longer-than-before\"]\n\trebase = true\n",
    ] {
        let dir = repository();
        fs::set_permissions(dir.path("config"), fs::Permissions::from_mode(0o640)).unwrap();
        let before = fs::metadata(dir.path("config")).unwrap();
        apply(dir.opened("."), BASE.as_bytes(), &edited(content)).unwrap();
        assert_eq!(fs::read_to_string(dir.path("config")).unwrap(), content);
        let after = fs::metadata(dir.path("config")).unwrap();
        assert_eq!(
            (before.ino(), before.mode()),
            (after.ino(), after.mode()),
            "a mount on the name stays"
        );
        assert!(!dir.path("config.lock").exists());
    }
}

#[test]
fn what_changed_meanwhile_is_a_conflict() {
    let dir = repository();
    dir.write("config", "[core]\n\tbare = true\n");
    let error = apply(dir.opened("."), BASE.as_bytes(), &edited("")).unwrap_err();
    assert!(matches!(error, ApplyError::Conflict), "{error}");
    assert_eq!(
        fs::read_to_string(dir.path("config")).unwrap(),
        "[core]\n\tbare = true\n"
    );
    assert!(!dir.path("config.lock").exists());
}

#[test]
fn a_lock_is_respected_even_one_that_is_a_link() {
    for link in [false, true] {
        let dir = repository();
        if link {
            dir.link("config.lock", "target");
        } else {
            dir.write("config.lock", "other");
        }
        let error = apply(dir.opened("."), BASE.as_bytes(), &edited("")).unwrap_err();
        assert!(matches!(error, ApplyError::Locked), "{error}");
        assert_eq!(fs::read_to_string(dir.path("config")).unwrap(), BASE);
        assert!(
            fs::symlink_metadata(dir.path("config.lock")).is_ok() && !dir.path("target").exists()
        );
    }
}

#[test]
fn only_a_plain_file_with_one_name_is_written() {
    let dir = Dir::new();
    dir.write("target", BASE);
    dir.link("config", "target");
    let error = apply(dir.opened("."), BASE.as_bytes(), &edited("")).unwrap_err();
    assert!(
        matches!(error, ApplyError::Read(ReadError::NotAFile)),
        "{error}"
    );

    let dir = repository();
    fs::hard_link(dir.path("config"), dir.path("other")).unwrap();
    let error = apply(dir.opened("."), BASE.as_bytes(), &edited("")).unwrap_err();
    assert!(matches!(error, ApplyError::Linked), "{error}");
    assert_eq!(fs::read_to_string(dir.path("other")).unwrap(), BASE);

    let dir = Dir::new();
    let error = apply(dir.opened("."), BASE.as_bytes(), &edited("")).unwrap_err();
    assert!(
        matches!(error, ApplyError::Read(ReadError::Io(_))),
        "{error}"
    );
    assert_eq!(
        fs::read_dir(&dir.real).unwrap().count(),
        0,
        "the lock is gone"
    );
}

#[test]
fn a_copy_is_read_only_if_it_is_a_plain_file() {
    let dir = repository();
    assert_eq!(read_staged(dir.opened(".")).unwrap(), BASE.as_bytes());
    assert_eq!(read_config(dir.opened(".")).unwrap(), BASE.as_bytes());

    let link = Dir::new();
    link.write("secret", "x");
    link.link("config", "secret");
    let directory = Dir::new();
    directory.make("config");
    let fifo = Dir::new();
    rustix::fs::mknodat(
        fifo.opened("."),
        "config",
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from(0o600),
        0,
    )
    .unwrap();
    let socket = Dir::new();
    let _listener = std::os::unix::net::UnixListener::bind(socket.path("config")).unwrap();
    for dir in [&link, &directory, &fifo, &socket] {
        let error = read_staged(dir.opened(".")).unwrap_err();
        assert!(matches!(error, ReadError::NotAFile), "{error}");
    }
    let large = Dir::new();
    large.write("config", vec![b'\n'; 10 << 20]);
    assert!(matches!(
        read_staged(large.opened(".")).unwrap_err(),
        ReadError::TooLarge(_)
    ));
    let none = Dir::new();
    assert!(matches!(
        read_staged(none.opened(".")).unwrap_err(),
        ReadError::Io(_)
    ));
}

/// Our lock is git's: while one holds it, the other does not write.
#[test]
fn git_and_we_lock_alike() {
    if !has_git("care::staged_files::git_and_we_lock_alike") {
        return;
    }
    let dir = Dir::new();
    git(&dir.real, &["init", "-q"]);
    dir.write(".git/config.lock", "");
    let output = super::program("git", &dir.real)
        .args(["config", "a.b", "c"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    fs::remove_file(dir.path(".git/config.lock")).unwrap();
    let base = read_config(dir.opened(".git")).unwrap();
    let content = [&base[..], b"[branch \"x\"]\n\trebase = true\n"].concat();
    apply(
        dir.opened(".git"),
        &base,
        &Edited {
            content,
            changes: Vec::new(),
        },
    )
    .unwrap();
    assert_eq!(
        git(&dir.real, &["config", "branch.x.rebase"]).stdout,
        b"true\n"
    );
}
