//! `portcullis import`: what is printed, what is warned of, and that nothing is written over.

use std::fs;

use crate::context::{Context, shows};

const WEATHER: &str = r#"version: "1.0"
permissions:
  network:
    allow:
      - host: "127.0.0.1:8080"
  environment:
    allow:
      - key: "LANG"
"#;

#[test]
fn a_policy_of_wassette_is_printed_as_an_entry_that_is_read() {
    let context = Context::new();
    let dir = context.project();
    fs::write(dir.join("policy.yaml"), WEATHER).unwrap();
    shows!(context, ["import", "policy.yaml", "--plugin", "weather"], @r#"
    exit 0
    -- stdout
    # From `policy.yaml`, a policy of Wassette. A comment with a line of it says what is left out or means less here.

    [[plugins]]
    id = "weather"
    path = "weather.wasm"
    http.allow = ["127.0.0.1:8080"]
    env = ["LANG"]
    "#);
    shows!(context, ["import", "policy.yaml", "--plugin", "weather", "--output", "new.toml"], @r"
    exit 0
    -- stdout
    wrote `new.toml`
    ");
    let written = fs::read_to_string(dir.join("new.toml")).unwrap();
    assert!(written.ends_with("env = [\"LANG\"]\n"), "{written}");
    let checked = context.output(&["check", "--strict", "new.toml"]);
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn no_file_is_written_over() {
    let context = Context::new();
    let dir = context.project();
    fs::write(dir.join("policy.yaml"), WEATHER).unwrap();
    fs::write(dir.join("mine.toml"), "mine").unwrap();
    std::os::unix::fs::symlink("nowhere.toml", dir.join("link.toml")).unwrap();
    for name in ["mine.toml", "link.toml"] {
        let args = [
            "import",
            "policy.yaml",
            "--plugin",
            "weather",
            "--output",
            name,
        ];
        let out = context.output(&args);
        assert_eq!(out.status.code(), Some(2), "{out:?}");
    }
    assert_eq!(fs::read(dir.join("mine.toml")).unwrap(), b"mine");
    assert!(!dir.join("nowhere.toml").exists());
}

#[test]
fn what_is_left_out_is_warned_of() {
    let context = Context::new();
    let text = "version: '1.0'\npermissions:\n  storage:\n    allow:\n      - uri: \"fs:///srv/\\e[2J*\"\n        access: [read]\n";
    fs::write(context.project().join("policy.yaml"), text).unwrap();
    shows!(context, ["import", "policy.yaml", "--plugin", "weather"], @r#"
    exit 0
    -- stdout
    # From `policy.yaml`, a policy of Wassette. A comment with a line of it says what is left out or means less here.

    [[plugins]]
    id = "weather"
    path = "weather.wasm"
    # line 5: `fs:///srv/\u{1b}[2J*` is left out: a grant is one directory with all below it, or one file
    -- stderr
    warning[P0922]: `fs:///srv/\u{1b}[2J*` is left out: a grant is one directory with all below it, or one file
      note: written at policy.yaml:5
    "#);
    let strict = context.output(&["import", "--strict", "policy.yaml", "--plugin", "weather"]);
    assert_eq!(strict.status.code(), Some(1));
    shows!(context, ["import", "nowhere.yaml", "--plugin", "weather"], @r"
    exit 2
    -- stderr
    error[P0903]: cannot read `nowhere.yaml`
      note: no such file or directory
    ");
}
