//! How files, untrusted files and flags come together.

use portcullis_config::{AllowExec, FlagSet, Layer, OwnState, Trust};
use portcullis_policy::{Code, Commit, Confinement, FsAccess, Mode};

use crate::support::{Project, run};

const HEAD: &str = "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\n";

fn flags() -> FlagSet {
    FlagSet::default()
}

fn programs(names: &[&str]) -> Option<AllowExec> {
    Some(AllowExec::Programs(
        names.iter().map(|&name| name.to_owned()).collect(),
    ))
}

#[test]
fn later_scalars_win_and_lists_are_united() {
    let project = Project::new();
    let one = project.trusted(&format!(
        "mode = \"dev\"\nconfinement = \"limits\"\n{HEAD}exec = {{ allow = [\"git\"], deny = [\"rm\"], inherit_env = true }}\nlimits = {{ timeout = \"5s\", children = 2 }}\n"
    ));
    let two = project.named(
        "two.toml",
        "mode = \"production\"\n[[plugins]]\nid = \"p\"\nexec = { allow = [\"jq\"], deny = [\"curl\"], inherit_env = false }\nlimits = { timeout = \"9s\" }\n",
        Trust::Trusted,
    );
    let grants = project
        .load(&[one, two])
        .unwrap()
        .plugin("p")
        .unwrap()
        .grants;
    let exec = grants.exec.as_ref().unwrap();
    assert_eq!(
        (grants.mode, exec.inherit_env, exec.confinement),
        (Mode::Production, false, Confinement::Limits)
    );
    assert_eq!(
        (grants.limits.timeout.as_secs(), grants.limits.children),
        (9, 2)
    );
    assert!(run(&grants, "git", &[]).is_ok() && run(&grants, "jq", &[]).is_ok());
    assert_eq!(exec.deny.len(), 2);
}

#[test]
fn what_any_layer_wants_staged_is_staged() {
    let project = Project::new();
    std::fs::create_dir_all(project.path("out")).unwrap();
    let one = project.trusted(&format!(
        "{HEAD}fs.write = [{{ path = \"out\", staged = true }}, \"plugins\"]\nfs.commit = \"always\"\n"
    ));
    let two = project.named(
        "two.toml",
        "[[plugins]]\nid = \"p\"\nfs.write = [\"out\"]\nfs.commit = \"never\"\n",
        Trust::Trusted,
    );
    let load = |files: &[portcullis_config::Layer]| {
        project.load(files).unwrap().plugin("p").unwrap().grants
    };
    let mut grants = load(&[one.clone(), two]);
    assert_eq!(grants.staged, [project.path("out")]);
    assert_eq!(grants.commit, Commit::Never, "later scalars win");
    assert_eq!(load(&[one]).commit, Commit::Always);
    assert!(grants.stage_all().is_empty());
    assert_eq!(
        grants.staged,
        [project.path("out"), project.path("plugins")]
    );
}

#[test]
fn only_a_directory_that_is_written_is_staged() {
    let project = Project::new();
    std::fs::write(project.path("plain"), "").unwrap();
    for fs in [
        "fs.read = [{ path = \"plugins\", staged = true }]",
        "fs.write = [{ path = \"plain\", staged = true }]",
    ] {
        let file = project.trusted(&format!("{HEAD}{fs}\n"));
        let errors = project.load(&[file]).unwrap_err();
        assert!(
            errors
                .to_string()
                .contains("only a directory that is written"),
            "{errors}"
        );
    }
    let file = project.trusted(&format!("{HEAD}fs.read = [{{ path = \"plugins\" }}]\n"));
    let grants = project.load(&[file]).unwrap().plugin("p").unwrap().grants;
    assert!(grants.staged.is_empty() && grants.commit == Commit::Ask);
    assert_eq!(grants.fs[0].guest, "plugins", "`as` may be left out");
}

#[test]
fn a_deny_of_any_layer_beats_every_allow() {
    let project = Project::new();
    let all = FlagSet {
        allow_all: true,
        ..flags()
    };
    let trusted = project.trusted(&format!(
        "mode = \"dev\"\n{HEAD}exec = {{ allow = [\"curl\", \"git\"], deny = [\"rm\"] }}\n"
    ));
    let found = project.found("[[plugins]]\nid = \"p\"\nexec = { deny = [\"curl\"] }\n");
    let deny = FlagSet {
        deny_exec: vec!["git".to_owned()],
        ..flags()
    };
    let layers = [found, trusted, Layer::Flags(all), Layer::Flags(deny)];
    // The policy lies in the project, which `-A` would let the plugin write.
    assert!(project.mistakes(&layers).contains("P0110"));
    let project_dir = project.path("out");
    let context = portcullis_config::Context {
        project: project_dir,
        ..project.context.clone()
    };
    let grants = portcullis_config::PolicySet::load(&layers, &context)
        .unwrap()
        .plugin("p")
        .unwrap()
        .grants;
    for denied in ["rm", "curl", "git", "/usr/bin/git"] {
        assert_eq!(
            run(&grants, denied, &[]).unwrap_err().code,
            Code::ExecDenied,
            "{denied}"
        );
    }
    assert!(run(&grants, "jq", &[]).is_ok());
}

#[test]
fn an_untrusted_file_lowers_limits_and_denies() {
    let project = Project::new();
    let trusted = project.trusted(&format!(
        "{HEAD}exec = {{ allow = [\"git\"] }}\nlimits = {{ timeout = \"5s\" }}\n"
    ));
    let found = project.found(
        "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\nlimits = { timeout = \"1s\", output = \"1KiB\" }\nexec = { deny = [{ program = \"git\", sub = [\"push\"] }] }\n",
    );
    let grants = project
        .load(&[trusted, found])
        .unwrap()
        .plugin("p")
        .unwrap()
        .grants;
    assert_eq!(
        (grants.limits.timeout.as_secs(), grants.limits.output),
        (1, 1024)
    );
    assert!(run(&grants, "git", &["status"]).is_ok());
    assert!(run(&grants, "git", &["push"]).is_err());
}

#[test]
fn fuel_that_is_not_counted_is_lowered_by_any_number_and_raised_by_none() {
    let project = Project::new();
    let found = |fuel: u64| {
        project.found(&format!(
            "[[plugins]]\nid = \"p\"\nlimits = {{ fuel = {fuel} }}\n"
        ))
    };
    let trusted = |limits: &str| project.trusted(&format!("{HEAD}{limits}"));
    let fuel = |layers: &[Layer]| {
        let entry = project.load(layers).unwrap().plugin("p").unwrap();
        entry.grants.limits.fuel
    };
    let some = "limits = { fuel = 3000000 }\n";
    assert_eq!(fuel(&[trusted("")]), None);
    assert_eq!(fuel(&[trusted(""), found(2_000_000)]), Some(2_000_000));
    assert_eq!(fuel(&[trusted(some), found(2_000_000)]), Some(2_000_000));
    let raised = project.mistakes(&[trusted(some), found(4_000_000)]);
    assert!(raised.contains("`limits.fuel` is higher"), "{raised}");
    let ceiling = Layer::Ceiling {
        path: project.path("ceiling.toml"),
        text: "limits = { fuel = 2000000 }".to_owned(),
    };
    for limits in ["", some] {
        let met = fuel(&[trusted(limits), ceiling.clone()]);
        assert_eq!(met, Some(2_000_000), "{limits}");
    }
}

#[test]
fn fuel_has_a_least_and_a_most() {
    let project = Project::new();
    for (fuel, fits) in [
        ("999999", false),
        ("1000000", true),
        ("10000000000", true),
        ("10000000001", false),
    ] {
        let layer = project.trusted(&format!("{HEAD}limits.fuel = {fuel}\n"));
        match project.load(std::slice::from_ref(&layer)) {
            Ok(_) => assert!(fits, "{fuel}"),
            Err(_) => {
                assert!(!fits, "{fuel}");
                let mistakes = project.mistakes(&[layer]);
                let told = "P0102]: `limits.fuel` is from 1000000 to 10000000000";
                assert!(mistakes.contains(told), "{mistakes}");
            }
        }
    }
}

#[test]
fn a_denial_of_the_tree_grants_no_capability() {
    let project = Project::new();
    let found = project.found("[[plugins]]\nid = \"p\"\nexec = { deny = [\"rm\"] }\n");
    let trusted = project.trusted(&format!("mode = \"dev\"\n{HEAD}"));
    assert!(
        project
            .load(&[trusted, found])
            .unwrap()
            .plugin("p")
            .unwrap()
            .grants
            .exec
            .is_none()
    );
}

#[test]
fn flags_add_to_the_files_for_the_selected_plugin() {
    let project = Project::new();
    let set = FlagSet {
        allow_exec: programs(&["git", "/usr/bin/df"]),
        allow_env: vec!["LANG".to_owned(), "AWS_*".to_owned()],
        allow_read: vec!["notes".to_owned()],
        allow_write: vec!["out".to_owned()],
        ..flags()
    };
    let text = format!("{HEAD}env_allow_prefixes = [\"TF_\"]\n");
    let grants = project.entry(&text, set.clone()).grants;
    assert!(run(&grants, "git", &["push"]).is_ok() && run(&grants, "/usr/bin/df", &[]).is_ok());
    assert!(run(&grants, "curl", &[]).is_err());
    let exec = grants.exec.as_ref().unwrap();
    assert_eq!(exec.allow[0].origin.to_string(), "`--allow-exec=git`");
    assert_eq!(exec.env_allow_prefixes.as_deref().unwrap(), ["TF_", "AWS_"]);
    assert_eq!(grants.env, ["LANG", "AWS_*"]);
    assert!(
        grants
            .fs_grant(&project.path("out"), FsAccess::ReadWrite)
            .is_some()
    );
    assert!(
        grants
            .fs_grant(&project.path("notes"), FsAccess::Read)
            .is_some()
    );
    assert!(
        grants
            .fs_grant(&project.path("notes"), FsAccess::ReadWrite)
            .is_none()
    );
    // In dev mode a list of programs is one, with or without a file.
    let dev = FlagSet {
        mode: Some(Mode::Dev),
        ..set
    };
    assert!(run(&project.entry(HEAD, dev).grants, "curl", &[]).is_err());
}

#[test]
fn allow_all_lowers_no_confinement() {
    let project = Project::new();
    let context = portcullis_config::Context {
        project: project.path("out"),
        ..project.context.clone()
    };
    let layers = [
        project.trusted(HEAD),
        Layer::Flags(FlagSet {
            allow_all: true,
            ..flags()
        }),
    ];
    let grants = portcullis_config::PolicySet::load(&layers, &context)
        .unwrap()
        .plugin("p")
        .unwrap()
        .grants;
    let exec = grants.exec.as_ref().unwrap();
    assert_eq!(
        (exec.confinement, grants.mode),
        (Confinement::Full, Mode::Production)
    );
    assert!(exec.any_program && exec.inherit_env && exec.allow_dangerous_env.is_empty());
    assert_eq!(grants.env, ["*"]);
    assert!(
        grants
            .fs_grant(&project.path("out"), FsAccess::ReadWrite)
            .is_some()
    );
    assert!(grants.fs_grant(&project.root(), FsAccess::Read).is_none());
}

#[test]
fn no_grant_reaches_own_state() {
    let mut project = Project::new();
    std::fs::create_dir(project.path("state")).unwrap();
    project.context.own_state = vec![OwnState {
        path: project.path("state/audit"),
        secret: true,
    }];
    let grant = |fs: &str| project.trusted(&format!("{HEAD}fs = {{ {fs} }}\n"));
    assert!(
        project
            .load(&[grant("read = [\"notes\"], write = [\"out\"]")])
            .is_ok()
    );
    for fs in [
        "read = [\"${project}\"]",
        "read = [\"state\"]",
        "write = [\"state\"]",
        "write = [\".\"]",
    ] {
        assert!(project.mistakes(&[grant(fs)]).contains("P0110"), "{fs}");
    }
    let flag = FlagSet {
        allow_write: vec!["state".to_owned()],
        ..flags()
    };
    assert!(
        project
            .mistakes(&[Layer::Flags(flag)])
            .contains("`--allow-write=state`: error[P0110]")
    );
}

#[test]
fn tests_of_a_trusted_file_cannot_be_made_to_fail_by_the_tree() {
    let project = Project::new();
    let trusted = project.trusted(&format!(
        "{HEAD}[plugins.exec]\nallow = [\"git\"]\n[[plugins.exec.test]]\nallow = [[\"git\", \"status\"]]\n"
    ));
    let found = project.found("[[plugins]]\nid = \"p\"\nexec = { deny = [\"git\"] }\n");
    let grants = project
        .load(&[trusted, found])
        .unwrap()
        .plugin("p")
        .unwrap()
        .grants;
    assert!(run(&grants, "git", &["status"]).is_err());
}

#[test]
fn a_file_of_the_tree_lets_no_output_past_a_plugin() {
    let project = Project::new();
    let trusted = |exec: &str| project.trusted(&format!("{HEAD}exec = {{ {exec} }}\n"));
    let found = project
        .found("[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\nexec.inherit_output = true\n");
    let mistakes = project.mistakes(&[trusted("allow = [\"git\"]"), found]);
    assert!(mistakes.contains("`exec.inherit_output`"), "{mistakes}");
    let said = project.load(&[trusted("inherit_output = true")]).unwrap();
    assert!(
        said.plugin("p")
            .unwrap()
            .grants
            .exec
            .unwrap()
            .inherit_output
    );
}

#[test]
fn directories_and_variables_of_commands_are_grants_like_others() {
    let project = Project::new();
    let read = |dirs: &[&str], env: &[&str]| {
        let own = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let set = FlagSet {
            dirs: own(dirs),
            env: own(env),
            ..flags()
        };
        let layers = [project.trusted(HEAD), Layer::Flags(set)];
        let set = portcullis_config::PolicySet::load(&layers, &project.context);
        Some(set.ok()?.plugin("p").ok()?.grants)
    };
    let grants = read(&["out::/data", "notes"], &["LANG", "A=1", "A=b=c"]).unwrap();
    let seen: Vec<_> = grants
        .fs
        .iter()
        .map(|grant| (grant.guest.as_str(), grant.access, grant.origin.to_string()))
        .collect();
    assert_eq!(
        seen,
        [
            (
                "/data",
                FsAccess::ReadWrite,
                "`--dir out::/data`".to_owned()
            ),
            ("notes", FsAccess::ReadWrite, "`--dir notes`".to_owned()),
        ]
    );
    assert_eq!(grants.env, ["LANG", "A"]);
    assert_eq!(grants.given_env, [("A".to_owned(), "b=c".to_owned())]);
    for dir in ["gone", "gone::/x", "out::", "::/x"] {
        assert!(read(&[dir], &[]).is_none(), "{dir}");
    }
    for name in ["", "=x", "A B", "A*"] {
        assert!(read(&[], &[name]).is_none(), "{name}");
    }
}
