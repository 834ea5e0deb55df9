//! `read-file` and `write-file`, with real files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use portcullis::policy::{FsAccess, FsGrant, FsKind, Grants, Origin};
use portcullis::{Session, Source};
use serde_json::json;

use super::{call, manifest, nothing, session};
use crate::fixture::{Fixture, block_on};

portcullis_testkit::tests![
    t14_a_file_in_a_granted_directory_is_read,
    t15_a_file_outside_is_denied,
    t16_dots_lead_nowhere_outside,
    t17_a_link_that_leads_outside_is_not_read_through,
    t18_a_file_in_a_granted_directory_is_written,
    t19_a_file_outside_is_not_written,
    t20_a_file_of_more_than_eight_mib_is_too_large,
    t21_without_any_permission_nothing_is_read,
    t22_a_link_that_leads_outside_is_not_written_through,
    a_plugin_that_a_person_can_read_reads_a_file,
    weak_06_a_pipe_that_nobody_writes_keeps_no_call_waiting,
    weak_19_a_link_that_comes_and_goes_leads_nowhere_outside,
    weak_20_nothing_outside_is_told_of_not_even_whether_it_is_there,
    weak_21_what_is_written_is_not_written_under_another_name,
    weak_22_what_has_no_length_of_its_own_is_counted_while_it_is_read,
    weak_23_a_grant_that_is_reached_through_a_link_has_its_files,
    weak_24_every_failure_has_a_documented_text,
    weak_25_a_file_is_written_whole_or_not_at_all,
    weak_26_a_grant_to_read_is_none_to_write,
    weak_27_what_is_written_in_all_is_bounded,
    weak_28_nothing_granted_allows_nothing_and_no_new_name_leads_outside,
    weak_35_a_plugin_does_not_write_its_own_permissions,
];

const MIB: u64 = 1024 * 1024;

/// A directory that is granted and asked for, and what lies beside it.
struct Tree {
    fixture: Fixture,
    root: PathBuf,
}

impl Tree {
    fn new() -> Self {
        let fixture = Fixture::new();
        let root = fixture.path();
        fs::create_dir_all(root.join("granted/inner")).unwrap();
        fs::create_dir_all(root.join("granted-not")).unwrap();
        for (path, text) in [
            ("granted/a.txt", "inside"),
            ("granted-not/a.txt", "outside"),
            ("secret.txt", "outside"),
        ] {
            fs::write(root.join(path), text).unwrap();
        }
        Self { fixture, root }
    }

    fn path(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }

    fn grants(&self, access: FsAccess) -> Grants {
        Grants {
            fs: vec![FsGrant {
                host: self.root.join("granted"),
                kind: FsKind::Directory,
                guest: self.path("granted"),
                access,
                origin: Origin::Code,
            }],
            ..nothing()
        }
    }

    async fn session(&self) -> Session {
        let asked = json!({ "filesystem": [self.path("granted")] });
        let grants = self.grants(FsAccess::ReadWrite);
        session(&self.fixture, &manifest(asked, json!({})), grants).await
    }

    fn read(&self, path: &str) -> Result<String, String> {
        block_on(async { read(&self.session().await, path).await })
    }

    fn write(&self, path: &str, content: &str) -> Result<String, String> {
        block_on(async { write(&self.session().await, path, content).await })
    }

    fn content(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }
}

async fn read(session: &Session, path: &str) -> Result<String, String> {
    call(session, "read", json!({ "path": path })).await
}

async fn write(session: &Session, path: &str, content: &str) -> Result<String, String> {
    call(
        session,
        "write",
        json!({ "path": path, "content": content }),
    )
    .await
}

const DENIED: &str = "filesystem access denied";
const LINK: &str = "symlink points outside sandbox";

fn t14_a_file_in_a_granted_directory_is_read() {
    let tree = Tree::new();
    assert_eq!(
        tree.read(&tree.path("granted/a.txt")).as_deref(),
        Ok("inside")
    );
    let around = tree.path("granted/inner/../a.txt");
    assert_eq!(tree.read(&around).as_deref(), Ok("inside"));
}

fn t15_a_file_outside_is_denied() {
    let tree = Tree::new();
    for path in [
        "/etc/passwd",
        &tree.path("secret.txt"),
        &tree.path("granted-not/a.txt"),
        "/",
        "",
    ] {
        let said = tree.read(path).unwrap_err();
        assert!(said.starts_with(DENIED), "{path}: {said}");
    }
}

fn t16_dots_lead_nowhere_outside() {
    let tree = Tree::new();
    for dots in [
        "granted/../secret.txt",
        "granted/../../../../../../etc/passwd",
        "granted/inner/../../secret.txt",
    ] {
        let said = tree.read(&tree.path(dots)).unwrap_err();
        assert!(said.starts_with(DENIED), "{dots}: {said}");
    }
}

fn t17_a_link_that_leads_outside_is_not_read_through() {
    let tree = Tree::new();
    symlink(tree.path("secret.txt"), tree.path("granted/link")).unwrap();
    symlink("../..", tree.path("granted/inner/up")).unwrap();
    symlink("a.txt", tree.path("granted/within")).unwrap();
    for path in ["granted/link", "granted/inner/up/secret.txt"] {
        let said = tree.read(&tree.path(path)).unwrap_err();
        assert_eq!(said, format!("{LINK}: {}", tree.path(path)));
    }
    let within = tree.read(&tree.path("granted/within"));
    assert_eq!(within.as_deref(), Ok("inside"), "its twin");
}

fn t18_a_file_in_a_granted_directory_is_written() {
    let tree = Tree::new();
    for path in ["granted/new.txt", "granted/a.txt"] {
        assert_eq!(
            tree.write(&tree.path(path), "w\u{e9}").as_deref(),
            Ok("written")
        );
        assert_eq!(tree.content(path), "w\u{e9}");
    }
}

fn t19_a_file_outside_is_not_written() {
    let tree = Tree::new();
    for path in [
        "secret.txt",
        "granted-not/a.txt",
        "granted/../secret.txt",
        "fresh.txt",
    ] {
        let said = tree.write(&tree.path(path), "written").unwrap_err();
        assert!(said.starts_with(DENIED), "{path}: {said}");
    }
    assert_eq!(
        tree.content("secret.txt") + &tree.content("granted-not/a.txt"),
        "outsideoutside"
    );
    assert!(!tree.root.join("fresh.txt").exists());
}

fn t20_a_file_of_more_than_eight_mib_is_too_large() {
    let tree = Tree::new();
    let sized = |bytes: u64| {
        let path = tree.path("granted/big");
        let file = fs::File::create(&path).unwrap();
        file.set_len(bytes).unwrap();
        path
    };
    let said = tree.read(&sized(8 * MIB + 1)).unwrap_err();
    assert!(said.starts_with("file too large: 838860"), "{said}");
    assert!(said.ends_with(", max 8388608"), "{said}");
    let whole = tree.read(&sized(4 * MIB)).unwrap();
    assert_eq!(whole.len() as u64, 4 * MIB, "its twin");
}

fn t21_without_any_permission_nothing_is_read() {
    let tree = Tree::new();
    let path = tree.path("granted/a.txt");
    let said = |manifest, grants| {
        block_on(async { read(&session(&tree.fixture, &manifest, grants).await, &path).await })
    };
    let unasked = said(
        manifest(json!({}), json!({})),
        tree.grants(FsAccess::ReadWrite),
    );
    let asked = json!({ "filesystem": [tree.path("granted")] });
    let ungranted = said(manifest(asked, json!({})), nothing());
    let told = Err("filesystem access not permitted".to_owned());
    assert_eq!((&unasked, &ungranted), (&told, &told));
}

fn t22_a_link_that_leads_outside_is_not_written_through() {
    let tree = Tree::new();
    symlink("../..", tree.path("granted/inner/up")).unwrap();
    let path = tree.path("granted/inner/up/secret.txt");
    assert_eq!(tree.write(&path, "written"), Err(format!("{LINK}: {path}")));
    assert_eq!(tree.content("secret.txt"), "outside");
    // A link in the place of the file itself: whatever is said, nothing is written through it.
    symlink(tree.path("secret.txt"), tree.path("granted/link")).unwrap();
    let path = tree.path("granted/link");
    assert_eq!(tree.write(&path, "written"), Err(format!("{LINK}: {path}")));
    assert_eq!(tree.content("secret.txt"), "outside");
}

fn a_plugin_that_a_person_can_read_reads_a_file() {
    let tree = Tree::new();
    let bytes = portcullis_testkit::wat("clawft");
    let grants = tree.grants(FsAccess::Read);
    block_on(async {
        let plugin = tree
            .fixture
            .host
            .load(Source { bytes, grants })
            .await
            .unwrap();
        let session = plugin.session("test");
        let said = session
            .execute_tool("any", &tree.path("granted/a.txt"))
            .await;
        assert_eq!(said.unwrap().as_deref(), Ok("inside"));
        let said = session.execute_tool("any", "/etc/passwd").await.unwrap();
        assert!(said.unwrap_err().starts_with(DENIED));
        let described = session.describe().await.unwrap();
        assert_eq!(
            portcullis::Description::parse(&described).unwrap().name,
            "reader"
        );
    });
}

fn weak_06_a_pipe_that_nobody_writes_keeps_no_call_waiting() {
    let tree = Tree::new();
    let path = tree.path("granted/pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert_eq!(
        tree.read(&path),
        Err("read error: not a regular file".to_owned())
    );
    assert_eq!(
        tree.read(&tree.path("granted/inner")),
        Err("read error: not a regular file".to_owned()),
        "a directory"
    );
}

fn weak_19_a_link_that_comes_and_goes_leads_nowhere_outside() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let tree = Tree::new();
    let (file, link, swapped) = (
        tree.path("granted/inner/x"),
        tree.path("granted/inner/link"),
        tree.path("granted/inner/swapped"),
    );
    fs::write(&file, "inside").unwrap();
    symlink(tree.path("secret.txt"), &link).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // Each takes the place of the other, without a moment in which there is neither.
                for path in [&file, &link] {
                    let copy = format!("{swapped}.new");
                    let made = match fs::read_link(path) {
                        Ok(target) => symlink(target, &copy),
                        Err(_) => fs::copy(path, &copy).map(drop),
                    };
                    made.and_then(|()| fs::rename(&copy, &swapped)).unwrap();
                }
            }
        });
        block_on(async {
            let session = tree.session().await;
            while !Path::new(&swapped).exists() && fs::symlink_metadata(&swapped).is_err() {
                tokio::task::yield_now().await;
            }
            for _ in 0..300 {
                let said = read(&session, &swapped).await;
                assert_ne!(said.as_deref(), Ok("outside"));
                let _ = write(&session, &swapped, "changed").await;
            }
        });
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(tree.content("secret.txt"), "outside");
}

fn weak_20_nothing_outside_is_told_of_not_even_whether_it_is_there() {
    let tree = Tree::new();
    let there = tree.read("/etc/passwd");
    assert_eq!(there, tree.read("/etc/there-is-no-such-file"));
    assert_eq!(tree.read(&tree.path("secret.txt")), there);
    assert_eq!(tree.read(&tree.path("granted/../no-such")), there);
    let written = tree.write(&tree.path("no-such/x"), "x");
    assert_eq!(written, tree.write(&tree.path("granted-not/x"), "x"));
}

fn weak_21_what_is_written_is_not_written_under_another_name() {
    let tree = Tree::new();
    fs::hard_link(tree.path("secret.txt"), tree.path("granted/same")).unwrap();
    let path = tree.path("granted/same");
    // A hard link is a file of the directory like any other: whoever made it there had the file already.
    assert_eq!(tree.read(&path).as_deref(), Ok("outside"));
    assert_eq!(tree.write(&path, "written").as_deref(), Ok("written"));
    assert_eq!(tree.content("granted/same"), "written");
    assert_eq!(tree.content("secret.txt"), "outside");
}

fn weak_22_what_has_no_length_of_its_own_is_counted_while_it_is_read() {
    let tree = Tree::new();
    let asked = json!({ "filesystem": ["/proc/self"] });
    let host = Path::new("/proc/self").canonicalize().unwrap();
    let grants = Grants {
        fs: vec![FsGrant {
            kind: FsKind::Directory,
            guest: host.display().to_string(),
            access: FsAccess::Read,
            origin: Origin::Code,
            host: host.clone(),
        }],
        limits: portcullis::policy::Limits {
            file_read: 16,
            ..Default::default()
        },
        ..nothing()
    };
    block_on(async {
        let session = session(&tree.fixture, &manifest(asked, json!({})), grants).await;
        let path = host.join("status").display().to_string();
        assert_eq!(
            fs::metadata(&path).unwrap().len(),
            0,
            "by its metadata it is empty"
        );
        let said = read(&session, &path).await.unwrap_err();
        assert!(said.starts_with("file too large"), "{said}");
    });
}

fn weak_23_a_grant_that_is_reached_through_a_link_has_its_files() {
    let tree = Tree::new();
    symlink(tree.path("granted"), tree.path("alias")).unwrap();
    let asked = json!({ "filesystem": [tree.path("alias")] });
    let grants = tree.grants(FsAccess::Read);
    block_on(async {
        let session = session(&tree.fixture, &manifest(asked, json!({})), grants).await;
        let said = read(&session, &tree.path("granted/a.txt")).await;
        assert_eq!(said.as_deref(), Ok("inside"));
    });
}

fn weak_24_every_failure_has_a_documented_text() {
    let tree = Tree::new();
    fs::write(tree.root.join("granted/bytes"), [0xff, 0xfe]).unwrap();
    let missing = "path does not exist or cannot be resolved";
    assert_eq!(
        tree.read(&tree.path("granted/none")),
        Err(missing.to_owned())
    );
    assert_eq!(
        tree.write(&tree.path("granted/none/x"), ""),
        Err(missing.to_owned())
    );
    let said = tree.read(&tree.path("granted/bytes")).unwrap_err();
    assert!(said.contains("file is not valid UTF-8"), "{said}");
    block_on(async {
        let session = tree.session().await;
        let params = json!({ "path": tree.path("granted/big"), "bytes": 4 * MIB + 1 });
        let said = call(&session, "write", params).await.unwrap_err();
        assert_eq!(
            said,
            "write content too large: 4194305 bytes (max 4194304 bytes)"
        );
    });
    assert!(!tree.root.join("granted/big").exists());
}

fn weak_25_a_file_is_written_whole_or_not_at_all() {
    let tree = Tree::new();
    let path = tree.root.join("granted/a.txt");
    let mut old = fs::File::open(&path).unwrap();
    assert!(tree.write(&tree.path("granted/a.txt"), "new").is_ok());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut old, &mut text).unwrap();
    assert_eq!(text, "inside", "who had it open has what it was");
    assert_eq!(tree.content("granted/a.txt"), "new");
    let names = fs::read_dir(tree.root.join("granted")).unwrap();
    assert_eq!(names.count(), 2, "nothing of the writing is left");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.path("granted/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(
        tree.write(&tree.path("granted/pipe"), "x").is_err(),
        "and no pipe is opened"
    );
}

fn weak_26_a_grant_to_read_is_none_to_write() {
    let tree = Tree::new();
    let asked = json!({ "filesystem": [tree.path("granted")] });
    block_on(async {
        let session = session(
            &tree.fixture,
            &manifest(asked, json!({})),
            tree.grants(FsAccess::Read),
        )
        .await;
        let path = tree.path("granted/a.txt");
        assert_eq!(read(&session, &path).await.as_deref(), Ok("inside"));
        let said = write(&session, &path, "written").await.unwrap_err();
        assert!(said.starts_with(DENIED), "{said}");
    });
    assert_eq!(tree.content("granted/a.txt"), "inside");
}

fn weak_27_what_is_written_in_all_is_bounded() {
    let tree = Tree::new();
    let asked = json!({ "filesystem": [tree.path("granted")] });
    let grants = Grants {
        limits: portcullis::policy::Limits {
            total_file_write: 10,
            ..Default::default()
        },
        ..tree.grants(FsAccess::ReadWrite)
    };
    block_on(async {
        let session = session(&tree.fixture, &manifest(asked, json!({})), grants).await;
        let path = tree.path("granted/b");
        assert!(write(&session, &path, "123456").await.is_ok());
        assert!(write(&session, &path, "123456").await.is_err());
        assert!(write(&session, &path, "1234").await.is_ok());
    });
    assert_eq!(tree.content("granted/b"), "1234");
}

fn weak_28_nothing_granted_allows_nothing_and_no_new_name_leads_outside() {
    let tree = Tree::new();
    for path in [
        "granted/../new.txt",
        "granted/none/../../new.txt",
        "granted/inner/../../new.txt",
        "granted/./../granted-not/new.txt",
    ] {
        assert!(tree.write(&tree.path(path), "written").is_err(), "{path}");
    }
    assert!(!tree.root.join("new.txt").exists());
    assert!(!tree.root.join("granted-not/new.txt").exists());
    block_on(async {
        let empty = manifest(json!({ "filesystem": [] }), json!({}));
        let grants = tree.grants(FsAccess::ReadWrite);
        let session = session(&tree.fixture, &empty, grants).await;
        let said = write(&session, &tree.path("granted/new.txt"), "written").await;
        assert_eq!(said, Err("filesystem access not permitted".to_owned()));
    });
    assert!(!tree.root.join("granted/new.txt").exists());
    let twin = tree.path("granted/inner/../new.txt");
    assert_eq!(tree.write(&twin, "written").as_deref(), Ok("written"));
}

fn weak_35_a_plugin_does_not_write_its_own_permissions() {
    // Permissions are policy, which no plugin's directory has: what a plugin writes there gives it nothing.
    let tree = Tree::new();
    let more = json!({ "network": ["*"], "filesystem": ["/"], "env_vars": ["HOME"] });
    for file in [
        "granted/clawft.plugin.json",
        "granted/approved_permissions.json",
        "granted/portcullis.toml",
    ] {
        tree.write(&tree.path(file), &more.to_string()).unwrap();
    }
    let said = tree.read("/etc/passwd").unwrap_err();
    assert!(said.starts_with(DENIED), "{said}");
    fs::set_permissions(tree.root.join("granted"), PermissionsExt::from_mode(0o700)).unwrap();
}
