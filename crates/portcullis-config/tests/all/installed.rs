//! Entries about installed plugins: they are about a content, and not about whatever has its name.

use portcullis_config::edit::{self, grant_asked, of_content, rebind};
use portcullis_config::{
    ConfigCode, Context, FlagSet, Installed, Layer, Manifest, PolicySet, Trust,
};
use portcullis_policy::{KvOwner, PluginId};

use crate::support::Project;

const MANIFEST: &str = "id = \"notes\"\nversion = \"1.0.0\"\nworld = \"w\"\n";
const ASKS: &str = "
[[asks]]
capability = \"log\"
reason = \"r\"
[[asks]]
capability = \"kv\"
reason = \"r\"
[[asks]]
capability = \"exec\"
program = \"git\"
sub = [\"log\", \"status\"]
reason = \"r\"
[[asks]]
capability = \"exec\"
reason = \"any program\"
[[asks]]
capability = \"fs\"
path = \"${project}\"
reason = \"r\"
[[asks]]
capability = \"http\"
host = \"api.example.com\"
reason = \"r\"
[[asks]]
capability = \"http\"
reason = \"any host\"
[[asks]]
capability = \"env\"
name = \"TZ\"
reason = \"r\"
[[asks]]
capability = \"env\"
name = \"MY_*\"
reason = \"many\"
";

/// A context in which `notes` is installed, with content of this digest.
fn context(project: &Project, content: u8) -> Context {
    let manifest = Manifest::parse("plugin.toml".as_ref(), &format!("{MANIFEST}{ASKS}")).unwrap();
    let installed = Installed {
        id: PluginId::new("notes").unwrap(),
        file: project.root().join(format!("store/{content}/plugin.wasm")),
        sha256: [content; 32],
        manifest: ("plugin.toml".into(), manifest),
        record: "r1".to_owned(),
    };
    Context {
        installed: vec![installed],
        ..project.context.clone()
    }
}

fn sha256(content: u8) -> String {
    format!("{content:02x}").repeat(32)
}

fn load(context: &Context, text: &str) -> Result<PolicySet, portcullis_config::ConfigErrors> {
    let path = context.cwd.join("portcullis.toml");
    let layer = Layer::File {
        path,
        text: text.to_owned(),
        trust: Trust::Trusted,
    };
    PolicySet::load(&[layer, Layer::Flags(FlagSet::default())], context)
}

fn entry(content: u8) -> String {
    format!(
        "[[plugins]]\nid = \"notes\"\nsha256 = \"{}\"\nkv = true\n",
        sha256(content)
    )
}

#[test]
fn what_is_granted_to_a_content_is_not_granted_to_another_of_its_name() {
    let project = Project::new();
    let granted = load(&context(&project, 1), &entry(1))
        .unwrap()
        .plugin("notes")
        .unwrap();
    assert!(granted.installed && granted.grants.kv.is_some());
    assert_eq!(granted.sha256, Some([1; 32]));
    assert_eq!(granted.manifest.unwrap().1.id.as_str(), "notes");
    let another = load(&context(&project, 2), &entry(1)).unwrap();
    assert_eq!(another.ids().count(), 0, "no layer is about this content");
    // Where nothing is installed it is about nothing.
    assert_eq!(load(&project.context, &entry(1)).unwrap().ids().count(), 0);
}

#[test]
fn an_entry_about_an_installed_plugin_says_which_content_it_is_about() {
    let project = Project::new();
    let errors = load(
        &context(&project, 1),
        "[[plugins]]\nid = \"notes\"\nlog = true\n",
    )
    .unwrap_err();
    assert_eq!(errors.0[0].code, ConfigCode::Value);
    assert!(errors.0[0].helps[0].contains(&sha256(1)), "{errors}");
}

#[test]
fn a_file_and_an_installed_plugin_cannot_have_one_name() {
    let project = Project::new();
    let text = "[[plugins]]\nid = \"notes\"\npath = \"plugins/p.wasm\"\n";
    let errors = load(&context(&project, 1), text).unwrap_err();
    assert_eq!(errors.0[0].code, ConfigCode::Duplicate);
    assert!(load(&project.context, text).is_ok());
}

#[test]
fn state_belongs_to_what_is_installed_whatever_its_content_is() {
    let project = Project::new();
    let owner = |content| {
        let policy = load(&context(&project, content), &entry(content)).unwrap();
        policy.plugin("notes").unwrap().grants.kv.unwrap().owner
    };
    assert_eq!(owner(1), owner(2));
    assert_eq!(
        owner(1),
        KvOwner::Installed {
            record: "r1".to_owned()
        }
    );
}

#[test]
fn what_is_asked_for_is_granted_exactly_or_not_at_all() {
    let project = Project::new();
    let context = context(&project, 1);
    let manifest = context.installed[0].manifest.1.clone();
    let id = &manifest.id;
    let asks: Vec<_> = manifest.asks.iter().collect();
    let file = project.root().join("notes.toml");
    let head = of_content(id, &sha256(1));
    let (edited, left_out) = grant_asked(&head, id, &asks, &file, &context).unwrap();
    assert_eq!(
        left_out.len(),
        3,
        "any program, any host, many variables: {left_out:?}"
    );
    let grants = load(&context, &edited.text)
        .unwrap()
        .plugin("notes")
        .unwrap()
        .grants;
    let exec = grants.exec.as_ref().unwrap();
    assert!(!exec.any_program);
    assert_eq!(exec.allow.len(), 1);
    assert_eq!(
        exec.allow[0].arguments.sub,
        Some(vec!["log".to_owned(), "status".to_owned()])
    );
    assert_eq!(grants.fs[0].host, project.root());
    assert_eq!(grants.env, ["TZ"]);
    assert_eq!(grants.http.allow.len(), 1);
    assert!(grants.log && grants.kv.is_some());
    let missing: Vec<_> = manifest.asks_not_granted(&grants);
    assert_eq!(missing, left_out);
}

#[test]
fn a_text_is_bound_to_another_content_as_a_whole() {
    let project = Project::new();
    let id = PluginId::new("notes").unwrap();
    let text = rebind(&entry(1), &id, &sha256(2)).unwrap();
    assert_eq!(text, entry(2));
    assert!(
        load(&context(&project, 2), &text)
            .unwrap()
            .plugin("notes")
            .is_ok()
    );
    assert!(matches!(
        rebind("", &id, &sha256(2)),
        Err(edit::EditError::NoEntry(_))
    ));
}
