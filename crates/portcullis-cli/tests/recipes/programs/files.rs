//! Files.

use crate::Recipe;
use crate::world::World;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe {
        title: "Looking through files",
        needs: &["find", "grep", "jq", "sort"],
        test: looking,
    },
    Recipe {
        title: "tar",
        needs: &["tar"],
        test: tar,
    },
    Recipe {
        title: "sqlite3",
        needs: &["sqlite3"],
        test: sqlite3,
    },
    Recipe {
        title: "ssh",
        needs: &["ssh"],
        test: ssh,
    },
];

fn looking(world: &World) {
    world.file(
        "project/a/b.json",
        r#"{ "name": "found", "list": [3, 1, 2] }"#,
    );
    assert_eq!(
        world.succeeds(&["find", ".", "-name", "*.json"]),
        "./a/b.json\n"
    );
    assert_eq!(
        world.succeeds(&["grep", "-rl", "found", "."]),
        "./a/b.json\n"
    );
    assert_eq!(
        world.succeeds(&["jq", "-r", ".name, (.list | add)", "a/b.json"]),
        "found\n6\n"
    );
    world.file("project/lines", "b\na\n");
    assert_eq!(world.succeeds(&["sort", "lines"]), "a\nb\n");
    for words in [
        &["jq", ".", &world.secret()][..],
        &["grep", "commands", &world.secret()],
        &["find", &world.path("outside").display().to_string()],
        &["find", "a", "-name", "b.json", "-exec", "rm", "{}", "+"],
    ] {
        world.fails(words);
    }
    assert!(world.path("project/a/b.json").exists());
}

fn tar(world: &World) {
    world.directory("project/out");
    world.file("project/a/file", "text\n");
    world.succeeds(&["tar", "-czf", "out/a.tar.gz", "a"]);
    world.succeeds(&["tar", "-xzf", "out/a.tar.gz", "-C", "out"]);
    assert_eq!(world.read("project/out/a/file"), "text\n");
    assert_eq!(
        world.succeeds(&["tar", "-tzf", "out/a.tar.gz"]),
        "a/\na/file\n"
    );
    let (ran, _) = world.fails(&["tar", "-czf", "a.tar.gz", "a"]);
    assert!(ran.stderr.contains("Read-only file system"), "{ran:#?}");
    world.fails(&["tar", "-cf", "out/b.tar", &world.secret()]);
    assert!(!world.read("project/out/b.tar").contains("not for commands"));
}

fn sqlite3(world: &World) {
    world.directory("project/data");
    let made = "create table t (x); insert into t values (1), (2); pragma journal_mode = wal;";
    world.all_succeed(&[
        &["sqlite3", "data/d.db", made],
        &["sqlite3", "data/d.db", "insert into t values (4)"],
    ]);
    assert_eq!(
        world.succeeds(&["sqlite3", "data/d.db", "select sum(x) from t"]),
        "7\n"
    );
    let elsewhere = world.path("outside/d.db").display().to_string();
    world.fails(&["sqlite3", &elsewhere, made]);
    assert!(!world.path("outside/d.db").exists());
}

fn ssh(world: &World) {
    let runs = world.run(&[("", &["ssh", "-V"])]);
    assert!(runs.answers[0].stderr.starts_with("OpenSSH"), "{runs:#?}");
    world.file("home/.ssh/config", "Host there\n  HostName example.org\n");
    let options = world.succeeds(&["ssh", "-G", "there"]);
    assert!(options.contains("hostname there\n"), "{options}");
    world.fails(&["ssh", "-o", "BatchMode=yes", "127.0.0.1"]);
}
