//! Every broken policy of `broken.md` gets exactly the message that stands under it.

use portcullis_config::{ConfigCode, Layer};

use crate::support::Project;

const CORPUS: &str = include_str!("broken.md");

struct Case {
    title: &'static str,
    trusted: bool,
    policy: String,
    message: String,
}

fn cases() -> Vec<Case> {
    let sections = CORPUS.split("\n## ").skip(1);
    let cases = sections.map(|section| {
        let mut parts = section.split("```");
        let title = parts.next().unwrap().lines().next().unwrap();
        let (kind, policy) = parts.next().unwrap().split_once('\n').unwrap();
        let message = parts
            .nth(1)
            .unwrap_or("text\n")
            .strip_prefix("text\n")
            .unwrap();
        assert!(matches!(kind, "toml" | "toml found"), "{title}: {kind}");
        Case {
            title,
            trusted: kind == "toml",
            policy: policy.to_owned(),
            message: message.trim_end().to_owned(),
        }
    });
    cases.collect()
}

fn layers(project: &Project, case: &Case) -> Vec<Layer> {
    if case.trusted {
        return vec![project.trusted(&case.policy)];
    }
    let trusted =
        "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\nexec = { allow = [\"git\"] }\n";
    vec![project.trusted(trusted), project.found(&case.policy)]
}

#[test]
fn each_mistake_gets_its_message() {
    let mut actual = String::new();
    let mut wrong = Vec::new();
    for case in cases() {
        let project = Project::new();
        let message = project.mistakes(&layers(&project, &case));
        if message != case.message {
            wrong.push(case.title);
        }
        let found = if case.trusted { "" } else { " found" };
        actual += &format!(
            "\n## {}\n```toml{found}\n{}```\n```text\n{message}\n```\n",
            case.title, case.policy
        );
    }
    assert!(
        wrong.is_empty(),
        "other messages for {wrong:#?}; all are:\n{actual}"
    );
}

#[test]
fn every_code_has_a_case_and_a_page() {
    let messages: String = cases().into_iter().map(|case| case.message).collect();
    for code in ConfigCode::ALL {
        assert!(
            // What only a manifest can get wrong: `manifest.rs`.
            *code == ConfigCode::Host || messages.contains(&format!("error[{code}]")),
            "no case for {code}"
        );
        assert!(code.page().lines().count() >= 3, "{code} has no page");
    }
    assert!(cases().len() >= 25);
}
