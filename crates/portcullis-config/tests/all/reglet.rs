//! `reglet`: grants in the words of Reglet, in both of its forms, become ours with the line that they stand in.

use portcullis_config::{ConfigCode, FlagSet, Layer, Trust};
use portcullis_policy::{FsAccess, FsKind, Grants, ProgramRef};

use crate::support::Project;

const HEAD: &str = "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\n";

fn grants(project: &Project, lines: &str) -> Grants {
    let text = format!("{HEAD}{lines}");
    project.entry(&text, FlagSet::default()).grants
}

fn programs(grants: &Grants) -> Vec<String> {
    let rules = grants.exec.iter().flat_map(|exec| &exec.allow);
    rules.map(|rule| rule.program.to_string()).collect()
}

#[test]
fn a_list_grants_what_it_says_and_keeps_its_lines() {
    let project = Project::new();
    let notes = project.root().join("notes");
    std::fs::write(notes.join("one"), "x").unwrap();
    let lines = format!(
        "reglet = [\n  \"exec:git\",\n  \"exec:/bin/df\",\n  \"inline:python3\",\n  \"env:LC_*\",\n  \"env:PATH\",\n  \
         \"fs:read:{0}/**\",\n  \"fs:write:{0}/one\",\n  \"network:outbound:*\",\n]",
        notes.display()
    );
    let grants = grants(&project, &lines);
    assert_eq!(programs(&grants), ["git", "/bin/df"]);
    let exec = grants.exec.as_ref().unwrap();
    assert!(!exec.any_program);
    assert!(
        exec.allow[1]
            .origin
            .to_string()
            .ends_with("portcullis.toml:6"),
        "{:?}",
        exec.allow[1].origin
    );
    assert_eq!(exec.allow[1].id.to_string(), "reglet[1]");
    assert_eq!(exec.allow_dangerous_env, ["PATH"]);
    assert_eq!(grants.env, ["LC_*", "PATH"]);
    let inline = &grants.reglet.as_ref().unwrap().inline_code;
    assert_eq!(inline[..], [ProgramRef::parse("python3").unwrap()]);
    let fs: Vec<_> = grants
        .fs
        .iter()
        .map(|fs| (fs.host.clone(), fs.kind, fs.access))
        .collect();
    assert_eq!(
        fs,
        [
            (notes.clone(), FsKind::Directory, FsAccess::Read),
            (notes.join("one"), FsKind::File, FsAccess::ReadWrite),
        ]
    );
    assert_eq!(grants.http.allow.len(), 1);
    assert_eq!(grants.http.allow[0].id.to_string(), "reglet[7]");
    let net = &grants.own_net;
    assert_eq!((net.connect.len(), net.lookup.len()), (1, 1));
    assert_eq!(net.connect[0].places.to_string(), "*:*");
    assert_eq!(net.connect[0].id.to_string(), "reglet[7]");
    assert!(
        net.lookup[0]
            .origin
            .to_string()
            .ends_with("portcullis.toml:12")
    );
}

#[test]
fn a_set_grants_the_same() {
    let project = Project::new();
    let lines = r#"
        [plugins.reglet.exec]
        commands = ["git", "/bin/df"]
        inline = ["python3"]
        [plugins.reglet.env]
        vars = ["LANG", "HOME"]
        [[plugins.reglet.network.rules]]
        hosts = ["a.example", "*.b.example"]
        ports = ["443", "8000-8001"]
    "#;
    let grants = grants(&project, lines);
    assert_eq!(programs(&grants), ["git", "/bin/df"]);
    assert_eq!(grants.env, ["LANG", "HOME"]);
    assert_eq!(grants.exec.as_ref().unwrap().allow_dangerous_env, ["HOME"]);
    assert_eq!(grants.http.allow.len(), 6);
    let places = grants
        .own_net
        .connect
        .iter()
        .map(|rule| rule.places.to_string());
    assert_eq!(
        places.collect::<Vec<_>>(),
        [
            "a.example:443",
            "a.example:8000-8001",
            "*.b.example:443",
            "*.b.example:8000-8001"
        ]
    );
    assert!(grants.own_net.lookup.is_empty(), "that takes port 53");
    assert_eq!(grants.reglet.unwrap().inline_code.len(), 1);
}

#[test]
fn exec_alone_is_any_program_in_every_mode_and_a_list_is_none_other() {
    let project = Project::new();
    for text in [
        "reglet = [\"exec\"]",
        "reglet = [\"exec:**\"]",
        "reglet = { exec = { commands = [\"**\"] } }",
    ] {
        let exec = grants(&project, text).exec.unwrap();
        assert!(exec.any_program && exec.allow.is_empty(), "{text}");
    }
    let text = format!("mode = \"dev\"\n{HEAD}exec = {{}}\nreglet = [\"exec:git\"]");
    let entry = project.entry(&text, FlagSet::default());
    assert!(
        !entry.grants.exec.unwrap().any_program,
        "who names one means no other"
    );
    for text in [
        "reglet = [\"exec:/usr/bin/*\"]",
        "reglet = { exec = { commands = [\"/usr/bin/*\"] } }",
    ] {
        let grants = grants(&project, text);
        assert_eq!(programs(&grants), ["/usr/bin/*"], "{text}");
        assert!(!grants.exec.unwrap().any_program, "{text}");
    }
    let none = grants(&project, "reglet = []");
    assert!(none.exec.is_none() && none.reglet.is_some());
    assert!(grants(&project, "").reglet.is_none());
}

#[test]
fn what_has_no_counterpart_is_a_mistake_with_its_place() {
    let project = Project::new();
    for (lines, says) in [
        (
            "reglet = [\"exec:/usr/**\"]",
            "`exec:/usr/**` is no grant of ours: a rule is about one program",
        ),
        ("reglet = [\"network:outbound:https\"]", "no port"),
        ("reglet = [\"network:outbound:private\"]", "`addresses`"),
        ("reglet = [\"kv:read:a\"]", "keys and values"),
        ("reglet = [\"fs:read:/etc/*.conf\"]", "one file"),
        ("reglet = [\"fs:read:/nonexistent/**\"]", "cannot be opened"),
        ("reglet = [7]", "must be"),
        ("reglet = \"exec\"", "must be"),
        ("reglet = { kv = {} }", "unknown key `kv`"),
        (
            "reglet = { exec = { command = [] } }",
            "unknown key `command`",
        ),
        (
            "reglet = { exec = { commands = [\"a/b\"] } }",
            "neither a bare name",
        ),
    ] {
        let message = project.mistakes(&[project.trusted(&format!("{HEAD}{lines}"))]);
        assert!(message.contains(says), "{lines}: {message}");
    }
    let directory = project.root().join("notes");
    let exact = format!("reglet = [\"fs:read:{}\"]", directory.display());
    let message = project.mistakes(&[project.trusted(&format!("{HEAD}{exact}"))]);
    assert!(message.contains("is a directory: with `/**`"), "{message}");
}

#[test]
fn a_file_that_is_not_trusted_grants_nothing_by_it_and_a_ceiling_cuts_it() {
    let project = Project::new();
    let base = project.trusted(HEAD);
    let found = project.named(
        "found.toml",
        "[[plugins]]\nid = \"p\"\nreglet = [\"exec:git\"]",
        Trust::Narrowing,
    );
    let errors = project.load(&[base, found]).unwrap_err();
    assert_eq!(errors.0[0].code, ConfigCode::Untrusted);
    let given = project.trusted(&format!(
        "{HEAD}reglet = [\"exec:git\", \"env:LANG\", \"network:outbound:*\"]"
    ));
    let ceiling = Layer::Ceiling {
        path: project.root().join("ceiling.toml"),
        text: "env = [\"TERM\"]\nhttp = { allow = [\"a.example\"] }\n[exec]\nallow = [\"/usr/bin/df\"]\n".to_owned(),
    };
    let entry = project
        .load(&[given, ceiling])
        .unwrap()
        .plugin("p")
        .unwrap();
    assert!(entry.grants.env.is_empty(), "{:?}", entry.grants.env);
    assert!(entry.grants.exec.unwrap().ceiling.is_some());
    assert!(!entry.cut.is_empty());
}
