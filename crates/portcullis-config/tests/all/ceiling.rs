//! A ceiling is met with files, found files and flags, wherever it stands among them.

use portcullis_config::{AllowExec, FlagSet, Layer};
use portcullis_policy::{Code, Confinement, FsAccess, Mode, Net};

use crate::support::{Project, run};

const POLICY: &str = "mode = \"dev\"\nconfinement = \"limits\"\n[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\nnet = \"open\"\n\
    env = [\"*\"]\nfs = { read = [\"notes\"], write = [\"out\"] }\n\
    exec = { pass_env = [\"A\", \"B\"], allow_dangerous_env = [\"PATH\"], unprotect = [\".envrc\"] }\n";

fn ceiling(project: &Project, text: &str) -> Layer {
    Layer::Ceiling {
        path: project.path("ceiling.toml"),
        text: text.to_owned(),
    }
}

#[test]
fn it_bounds_every_layer_before_and_after_it() {
    let project = Project::new();
    let text = "confinement = \"landlock\"\nnet = [\"a.example:443\"]\nenv = [\"LANG\"]\nfs = { read = [\"notes\"] }\n\
        limits = { timeout = \"1s\" }\n[exec]\ndeny = [\"rm\"]\ninherit_env = false\npass_env = [\"A\"]\nallow_dangerous_env = []\nunprotect = []\n";
    let flags = Layer::Flags(FlagSet {
        allow_exec: Some(AllowExec::All),
        allow_write: vec!["out".to_owned()],
        confinement: Some(Confinement::Limits),
        ..FlagSet::default()
    });
    let above = ceiling(&project, text);
    for layers in [
        [above.clone(), project.trusted(POLICY), flags.clone()],
        [project.trusted(POLICY), flags, above],
    ] {
        let entry = project.load(&layers).unwrap().plugin("p").unwrap();
        let grants = entry.grants;
        let exec = grants.exec.as_ref().unwrap();
        assert_eq!(exec.confinement, Confinement::Landlock);
        assert!(matches!(&grants.net, Net::Hosts(hosts) if hosts.len() == 1));
        assert_eq!(
            (grants.env, grants.limits.timeout.as_secs()),
            (vec!["LANG".to_owned()], 1)
        );
        assert!(!exec.inherit_env && exec.allow_dangerous_env.is_empty());
        assert_eq!(exec.pass_env, ["A"]);
        assert!(grants.protect.lifted().is_empty());
        assert!(
            grants
                .fs
                .iter()
                .all(|grant| grant.access == FsAccess::Read && grant.host == project.path("notes"))
        );
        let what: Vec<_> = entry.cut.iter().map(|cut| cut.what.as_str()).collect();
        let out = project.path("out").display().to_string();
        assert!(
            what.contains(&format!("write `{out}`").as_str()),
            "{what:?}"
        );
        assert!(
            entry
                .cut
                .iter()
                .all(|cut| cut.ceiling.to_string().contains("ceiling.toml:"))
        );
    }
}

#[test]
fn its_denials_and_its_list_beat_flags() {
    let project = Project::new();
    let all = Layer::Flags(FlagSet {
        allow_exec: Some(AllowExec::All),
        ..FlagSet::default()
    });
    let text = "exec_path = [\"/usr/bin\"]\n[exec]\nallow = [\"git\", \"rm\"]\ndeny = [\"rm\"]\n";
    let layers = [ceiling(&project, text), project.trusted(POLICY), all];
    let grants = project.load(&layers).unwrap().plugin("p").unwrap().grants;
    assert!(run(&grants, "git", &["push"]).is_ok());
    assert_eq!(run(&grants, "rm", &[]).unwrap_err().code, Code::ExecDenied);
    assert_eq!(
        run(&grants, "curl", &[]).unwrap_err().code,
        Code::ExecCeiling
    );
}

#[test]
fn production_means_what_it_means_in_a_policy() {
    let project = Project::new();
    let dev = Layer::Flags(FlagSet {
        mode: Some(Mode::Dev),
        ..FlagSet::default()
    });
    let layers = [
        ceiling(&project, "mode = \"production\"\n"),
        project.trusted(POLICY),
        dev,
    ];
    let grants = project.load(&layers).unwrap().plugin("p").unwrap().grants;
    let exec = grants.exec.as_ref().unwrap();
    assert_eq!(grants.mode, Mode::Production);
    assert!(
        !exec.any_program && !exec.inherit_env,
        "what is not written is not granted"
    );
    assert!(
        project
            .load(&[ceiling(&project, "")])
            .unwrap()
            .forbids_trust()
            .is_none()
    );
    let policy = project
        .load(&[ceiling(&project, "\ntrust = false\n")])
        .unwrap();
    assert!(
        policy
            .forbids_trust()
            .unwrap()
            .to_string()
            .ends_with("ceiling.toml:2")
    );
}

#[test]
fn a_ceiling_with_a_mistake_is_refused_whole() {
    let project = Project::new();
    for (text, code) in [
        ("alow = []", "P0101"),
        ("[[plugins]]\nid = \"p\"\n", "P0101"),
        ("exec.allow = [\"git\"]", "P0102"),
        ("limits.timeout = \"5\"", "P0109"),
        ("fs.read = [\"${HOME}\"]", "P0104"),
    ] {
        let mistakes = project.mistakes(&[ceiling(&project, text)]);
        assert!(mistakes.contains(code), "{text}: {mistakes}");
    }
}
