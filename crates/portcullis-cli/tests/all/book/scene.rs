//! The scenes in which pages are played: a home with the files that a page tells of, and a shell that stands somewhere in it.
//! `None` where a tool is missing that the page is about; the test is skipped by name then.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use portcullis_testkit::{guest, repository};

use super::pages;
use crate::context::{Context, skip};
use crate::{fledge, installing, kit, reglet, signed};

pub(super) struct Scene {
    pub(super) context: Context,
    /// Where the shell stands.
    pub(super) here: PathBuf,
    /// What a page writes, and what it is in this scene.
    names: Vec<(String, String)>,
    /// What a page says is done before its second screen.
    between: Option<fn(&Self)>,
    /// For as long as the scene.
    _server: Option<portcullis_testkit::Registry>,
}

impl Scene {
    /// In an empty home, with the machine's own programs and Portcullis.
    fn new(context: Context) -> Self {
        let portcullis = PathBuf::from(env!("CARGO_BIN_EXE_portcullis"));
        let own = context.home().join("bin");
        fs::create_dir(&own).unwrap();
        symlink(portcullis, own.join("portcullis")).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let path = path.to_str().unwrap();
        let context = context
            .env("PATH", &format!("{}:{path}", own.display()))
            .env("REPOSITORY", repository().to_str().unwrap());
        let home = context.home();
        Self {
            names: vec![("/home/ann".to_owned(), home.display().to_string())],
            here: home,
            context,
            between: None,
            _server: None,
        }
    }

    /// A command as it is run here.
    pub(super) fn as_real(&self, command: &str) -> String {
        let names = self.names.iter();
        names
            .into_iter()
            .fold(command.to_owned(), |text, (page, here)| {
                text.replace(page, here)
            })
    }

    /// What was printed, as a page writes it.
    pub(super) fn as_written(&self, printed: &str) -> String {
        let names = self.names.iter();
        names
            .into_iter()
            .fold(printed.to_owned(), |text, (page, here)| {
                text.replace(here, page)
            })
    }

    /// Does what a page says between its screens.
    pub(super) fn before(&self, screen: usize) {
        if let (1, Some(between)) = (screen, self.between) {
            between(self);
        }
    }

    /// Prepares something where the shell stands.
    fn sh(self, script: &str) -> Self {
        let mut shell = self.context.command("sh");
        let output = shell.args(["-ec", script]).current_dir(&self.here);
        let output = output.output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        self
    }

    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.here.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Goes into a new directory.
    fn within(mut self, name: &str) -> Self {
        self.here.push(name);
        fs::create_dir_all(&self.here).unwrap();
        self
    }

    fn own_policy(self, policy: &str) -> Self {
        let path = self.context.own_policy();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, policy).unwrap();
        self
    }

    /// A repository in which so many files are not committed.
    fn repository(self, name: &str, changed: usize) -> Self {
        let files: String = (0..changed)
            .map(|nth| format!("touch file-{nth}; "))
            .collect();
        self.sh(&format!(
            "mkdir -p {name}; cd {name}; git init -q -b main; {files}"
        ))
    }
}

/// The first block of a page in a language.
fn piece(page: &str, language: &str) -> String {
    pages::of(page, language).remove(0).text
}

fn plain() -> Scene {
    Scene::new(Context::beside_tmp())
}

/// A clone of the repository with some history.
pub(super) fn readme() -> Option<Scene> {
    Some(plain().within("portcullis").sh(
        "mkdir examples; cp -r $REPOSITORY/examples/portcullis.toml $REPOSITORY/examples/repo-report examples
         git init -q; git config user.name You; git config user.email you@example.org; git add examples
         export GIT_AUTHOR_DATE=2026-11-21T09:35:46+00:00 GIT_COMMITTER_DATE=2026-11-21T09:35:46+00:00
         git commit -qm first
         for number in 2 3 4 5 6 7 8 9 10 11; do git commit -qm $number --allow-empty; done
         git commit -q --allow-empty -m 'Say how it is built, what is promised and how much of that holds'",
    ))
}

pub(super) fn testing() -> Option<Scene> {
    readme()
}

/// After a run of the plugin.
pub(super) fn audit() -> Option<Scene> {
    let run = "portcullis run --config examples/portcullis.toml examples/repo-report";
    readme().map(|scene| scene.sh(run))
}

pub(super) fn learn() -> Option<Scene> {
    readme()
}

pub(super) fn staged() -> Option<Scene> {
    Some(plain())
}

/// With a new version of the plugin, which asks for one commit more.
pub(super) fn replay() -> Option<Scene> {
    let change = "mkdir new; sed s/--max-count=1/--max-count=2/ examples/repo-report/repo-report.wasm > new/repo-report.wasm";
    readme().map(|scene| scene.sh(change))
}

/// With Python's tool where it is looked for, and one cache of compiled code for all that is made by it.
fn python_author() -> Option<Scene> {
    let Some(packages) = kit::componentizer("python-") else {
        skip("componentize-py is not there");
        return None;
    };
    let context = Context::sharing("interpreted");
    Some(Scene::new(context.env("TOOL", packages.to_str().unwrap())))
}

fn javascript_author() -> Option<(Scene, PathBuf)> {
    let Some(tool) = kit::componentizer("javascript-") else {
        skip("componentize-qjs is not there");
        return None;
    };
    let modules = tool.join("node_modules");
    let context = Context::beside_tmp().env("NODE_PATH", modules.to_str().unwrap());
    Some((Scene::new(context), modules))
}

pub(super) fn authors() -> Option<Scene> {
    Some(javascript_author()?.0.repository("work", 2))
}

pub(super) fn python() -> Option<Scene> {
    Some(python_author()?.repository("work/some-repository", 3))
}

pub(super) fn javascript() -> Option<Scene> {
    Some(javascript_author()?.0.repository("work/some-repository", 3))
}

/// Everything that the commands by hand name.
pub(super) fn languages() -> Option<Scene> {
    let (_, modules) = javascript_author()?;
    let page = "docs/languages.md";
    let scene = python_author()?
        .within("plugin")
        .file("app.py", piece(page, "python"))
        .file("app.js", piece(page, "js"))
        .sh("cp -r $REPOSITORY/wit .");
    symlink(modules, scene.here.join("node_modules")).unwrap();
    // As `pip install` puts it onto the path.
    let script = scene.context.home().join("bin/componentize-py");
    let start = "import sys; from componentize_py import script; sys.exit(script())";
    fs::write(
        &script,
        format!("#!/bin/sh\nPYTHONPATH=$TOOL exec python3 -c '{start}' \"$@\"\n"),
    )
    .unwrap();
    Some(scene.sh("chmod +x ~/bin/componentize-py"))
}

pub(super) fn rust() -> Option<Scene> {
    let author = kit::with_rust(Context::elsewhere(), &["wasm32-wasip2"]);
    let context = author
        .map_err(skip)
        .ok()?
        // What the page builds with `--release` is not measured: an optimizing compiler only takes time.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
    let mut scene = Scene::new(context).sh("git config --global init.defaultBranch main");
    scene.between = Some(|scene| {
        let page = "docs/rust.md";
        let manifest = scene.here.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        let lib = piece(page, "toml");
        fs::write(manifest, format!("{text}\n{lib}\n[workspace]\n")).unwrap();
        fs::write(scene.here.join("src/lib.rs"), piece(page, "rust")).unwrap();
    });
    Some(scene)
}

pub(super) fn c() -> Option<Scene> {
    let Some(clang) = kit::clang() else {
        skip("no clang that makes WebAssembly is installed");
        return None;
    };
    let scene = plain()
        .within("branch")
        .file("plugin.c", piece("docs/c.md", "c"))
        .repository(".", 0)
        .sh("cp $REPOSITORY/sdk/c/portcullis.h .");
    // Whichever version this machine has.
    Some(scene.sh(&format!("ln -s $(command -v {clang}) ~/bin/clang-19")))
}

/// A check that looks a name up, for hosts of Reglet.
const PROBE: &str = r#"package main

import (
	"context"

	"github.com/portcullis-rs/portcullis/sdk/go"
	"github.com/portcullis-rs/portcullis/sdk/go/net"
)

type probe struct{}

func (probe) Check(ctx context.Context, config sdk.Config) (sdk.Evidence, error) {
	records, err := net.Prober{}.Lookup(ctx, "example.com", "A", "")
	if err != nil {
		return sdk.Failure("net", err.Error()), nil
	}
	_, err = net.Prober{}.Connect(ctx, net.TCPRequest{})
	return sdk.Success(map[string]any{"records": records, "reached": err == nil}), nil
}

func init() { sdk.Register(probe{}) }
func main() {}
"#;

pub(super) fn go() -> Option<Scene> {
    if !kit::has_go() {
        skip("go is not installed");
        return None;
    }
    // Its standard library is compiled once, and not for each run of this test.
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("go-cache");
    let context = Context::beside_tmp().env("GOCACHE", cache.to_str().unwrap());
    let mut scene = Scene::new(context)
        .within("check")
        .file("main.go", piece("docs/go.md", "go"));
    scene.between = Some(|scene| fs::write(scene.here.join("main.go"), PROBE).unwrap());
    let page = piece("docs/go.md", "go.mod");
    let module = page.replace("../portcullis/", &format!("{}/", repository().display()));
    let ours = "require github.com/portcullis-rs/portcullis/sdk/go v0.0.0\n";
    let module = format!("module example.org/check\n\ngo 1.24\n\n{ours}{module}");
    Some(scene.file("go.mod", module))
}

/// The plugin of the page's manifest, and the page's policy for it.
pub(super) fn clawft() -> Option<Scene> {
    let page = "docs/clawft.md";
    let scene = plain()
        .within("work")
        .file("helper/clawft.plugin.json", piece(page, "json"))
        .file("helper/helper.wasm", fs::read(guest("clawft")).unwrap())
        .sh("mkdir ~/notes");
    let helper = format!("path = \"{}\"", scene.here.join("helper").display());
    let policy = piece(page, "toml").replace("path = \"helper\"", &helper);
    let policy = scene.as_real(&policy);
    let mut scene = scene.own_policy(&policy);
    scene.context = scene.context.env("LANG", "C");
    Some(scene)
}

pub(super) fn exec() -> Option<Scene> {
    Some(
        plain()
            .within("work")
            .file("notes.txt", "TODO: write\n")
            .sh("mkdir out"),
    )
}

pub(super) fn fledge() -> Option<Scene> {
    let manifest = fledge::manifest("0.1.0", "");
    let scene = plain()
        .within("work")
        .file("my-plugin/plugin.toml", manifest)
        .file("my-plugin/tool.wasm", fledge::leaves_with(0))
        .file("my-plugin/other.wasm", fledge::leaves_with(0));
    Some(scene)
}

pub(super) fn reglet() -> Option<Scene> {
    let result = r#"{"status":"success","message":"33% used","data":{"used":33}}"#;
    let plugin = reglet::says(result, reglet::MANIFEST);
    Some(plain().within("checks").file("disk.wasm", plugin))
}

/// The plugin `notes` and its manifest.
fn notes() -> Scene {
    let ask = |ask: &str, reason: &str| format!("[[asks]]\n{ask}\nreason = \"{reason}\"\n");
    let git = "capability = \"exec\"\nprogram = \"git\"\nsub = [\"log\"]";
    let api = "capability = \"http\"\nhost = \"api.example.com\"";
    let asks = ask(git, "reads the history") + &ask(api, "publishes it");
    let scene = plain().within("work");
    installing::write(&scene.context, "1.0.0", &asks, b'a');
    scene.sh("mv ../../project/notes .")
}

pub(super) fn plugins() -> Option<Scene> {
    Some(notes())
}

pub(super) fn sources() -> Option<Scene> {
    let mut scene = notes();
    let (server, network) = signed::registry_of(&scene.context)?;
    scene
        .names
        .push(("registry.example.com".to_owned(), server.host()));
    scene._server = Some(server);
    Some(scene.own_policy(&network))
}

/// A plugin that runs the command it is told.
fn commander(id: &str) -> Scene {
    let plugin = format!("plugins/{id}.wasm");
    plain()
        .within("project")
        .file(&plugin, fs::read(guest("exec-args")).unwrap())
}

pub(super) fn policy() -> Option<Scene> {
    let scene = commander("backup");
    let plugin = scene.here.join("plugins/backup.wasm");
    let policy = format!(
        "mode = \"dev\"\n[[plugins]]\nid = \"backup\"\npath = {plugin:?}\nfs.read = [\"${{project}}\"]\nexec.allow = [\"df\"]\n"
    );
    Some(scene.own_policy(&policy))
}

/// The first of the recipes.
pub(super) fn recipes() -> Option<Scene> {
    let scene = commander("assistant").sh("mkdir ~/other; touch ~/other/notes.txt");
    let plugin = format!("path = {:?}", scene.here.join("plugins/assistant.wasm"));
    let policy = piece("docs/recipes.md", "toml");
    let policy = policy.replace("path = \"plugins/assistant.wasm\"", &plugin);
    Some(scene.own_policy(&policy))
}

/// The policy with the mistake that the page is about.
pub(super) fn secrets() -> Option<Scene> {
    let policy = piece("docs/secrets.md", "toml");
    let scene = plain().within("project").file("notes.toml", policy);
    Some(scene.file("notes.wasm", fs::read(guest("noop")).unwrap()))
}

/// The files of the other hosts.
pub(super) fn migrating() -> Option<Scene> {
    let page = "docs/migrating.md";
    let scene = plain()
        .within("project")
        .file("policy.yaml", piece(page, "yaml"));
    Some(scene.file("settings.json", piece(page, "json")))
}
