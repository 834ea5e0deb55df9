//! `#!` scripts: what reads them is decided with them, and nobody can change them in between.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_exec::Status;
use portcullis_policy::{Code, Program, ProgramRule, Unfit};
use rustix::fs::Mode;
use tempfile::TempDir;

use crate::fixture::{Plugin, ask, ask_path, is_root, write_file};

crate::tests![
    a_script_of_the_system_runs,
    the_rule_for_a_script_is_none_for_its_interpreter,
    what_an_ordinary_user_can_change_is_refused,
    the_argument_list_of_a_script,
    env_finds_its_program_on_the_policys_path,
    options_of_env_are_refused,
    an_interpreter_is_checked_like_a_program,
    a_script_that_a_script_reads_is_refused,
    a_directory_that_others_may_write_is_refused,
];

/// A shell script that every Debian system has, and its harmless option.
pub(crate) fn system_script() -> PathBuf {
    let candidates = [
        "/usr/bin/gunzip",
        "/bin/gunzip",
        "/usr/bin/zcat",
        "/usr/bin/ldd",
    ];
    let script = candidates.into_iter().map(PathBuf::from).find(|path| {
        fs::read(path)
            .is_ok_and(|bytes| bytes.starts_with(b"#!/bin/sh") || bytes.starts_with(b"#!/bin/bash"))
    });
    script.expect("no shell script among the system's programs")
}

/// A directory in which only root can change anything; none for an ordinary user.
fn roots_dir() -> Option<TempDir> {
    let dir = is_root().then(|| tempfile::tempdir_in("/var/lib").unwrap())?;
    rustix::fs::chmod(dir.path(), Mode::from_raw_mode(0o755)).unwrap();
    Some(dir)
}

/// A plugin that may run anything, with a script in a directory of root's or else in its project,
/// where it has to be refused.
pub(crate) struct Scripts {
    pub(crate) plugin: Plugin,
    dir: Option<TempDir>,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        let mut plugin = Plugin::new(&[]);
        plugin.exec().any_program = true;
        Self {
            plugin,
            dir: roots_dir(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        let dir = self
            .dir
            .as_ref()
            .map_or(self.plugin.place.project(), |dir| dir.path());
        dir.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        write_file(&path, text, 0o755);
        path
    }

    /// The output of a script; as an ordinary user, that it is refused for being changeable.
    pub(crate) async fn output(&self, script: &Path, args: &[&str]) -> Option<String> {
        if is_root() {
            return Some(self.plugin.output(ask_path(script, args)).await);
        }
        assert_eq!(
            self.unfit(script),
            Unfit::ScriptNotPinned(script.to_owned())
        );
        None
    }

    fn unfit(&self, script: &Path) -> Unfit {
        assert_eq!(
            self.plugin.denial(&ask_path(script, &[])).0,
            Code::ExecUnfit
        );
        match self.plugin.resolve(&ask_path(script, &[])).0.found {
            Program::Unfit { why, .. } => why,
            other => panic!("{other:?}"),
        }
    }

    /// Why a script is refused whose first line cannot be followed; `None` for an ordinary user, who
    /// does not get that far.
    fn refusal(&self, script: &Path) -> Option<String> {
        match self.unfit(script) {
            Unfit::Script(why) => Some(why),
            Unfit::ScriptNotPinned(_) if !is_root() => None,
            other => panic!("{other:?}"),
        }
    }
}

async fn a_script_of_the_system_runs() {
    let script = system_script();
    let plugin = Plugin::new(&[script.to_str().unwrap()]);
    let completed = plugin.run(ask_path(&script, &["--version"])).await;
    assert_eq!(completed.status, Status::Exited(0));
    assert!(!completed.stdout.is_empty());
    let (request, _) = plugin.resolve(&ask_path(&script, &[]));
    let Program::Found(found) = request.found else {
        panic!("{:?}", request.found)
    };
    let interpreter = found.interpreter.unwrap();
    assert!(interpreter.path.starts_with("/usr/bin") || interpreter.path.starts_with("/bin"));
}

async fn the_rule_for_a_script_is_none_for_its_interpreter() {
    let script = system_script();
    let plugin = Plugin::new(&[script.to_str().unwrap()]);
    for shell in ["sh", "bash", "/bin/sh", "/bin/bash"] {
        assert_eq!(
            plugin.denial(&ask(shell, &["-c", "exit 7"])).0,
            Code::ExecNoRule,
            "{shell}"
        );
    }
}

async fn what_an_ordinary_user_can_change_is_refused() {
    let mut plugin = Plugin::new(&[]);
    let script = plugin.write("script", "#!/bin/sh\nexit 7\n", 0o755);
    plugin.exec().allow = vec![ProgramRule::any_arguments(script.to_str().unwrap())];
    let (code, note) = plugin.denial(&ask_path(&script, &[]));
    assert_eq!(code, Code::ExecUnfit);
    // Root's own file lies in a directory in which others can put another under its name.
    let changeable = if is_root() {
        std::env::temp_dir()
    } else {
        script
    };
    assert_eq!(note, Unfit::ScriptNotPinned(changeable).to_string());
}

async fn the_argument_list_of_a_script() {
    let scripts = Scripts::new();
    let print = "tr '\\0' '|' < /proc/$$/cmdline\n";
    let script = scripts.write("script", &format!("#! /bin/sh -e -u \n{print}"));
    // `-e -u` is one argument, as with the kernel; the shell refuses it, and says its name.
    if is_root() {
        let completed = scripts.plugin.run(ask_path(&script, &[])).await;
        assert_eq!(completed.status, Status::Exited(2));
    }
    let script = scripts.write("script", &format!("#!/bin/sh -eu\n{print}"));
    if let Some(output) = scripts.output(&script, &["a b", "", "-c"]).await {
        assert_eq!(output, format!("sh|-eu|{}|a b||-c|", script.display()));
    }
}

async fn env_finds_its_program_on_the_policys_path() {
    let mut scripts = Scripts::new();
    let dir = scripts.plugin.make_dir("bin");
    scripts.plugin.copy("/bin/sh", "bin/interpreter");
    scripts.plugin.exec().search_path = vec![dir.clone()];
    let script = scripts.write(
        "script",
        "#!/usr/bin/env interpreter\nreadlink=$0; echo \"$readlink\"\n",
    );
    if let Some(output) = scripts.output(&script, &[]).await {
        assert_eq!(output, format!("{}\n", script.display()));
        let (request, _) = scripts.plugin.resolve(&ask_path(&script, &[]));
        let Program::Found(found) = request.found else {
            panic!("{:?}", request.found)
        };
        assert_eq!(found.interpreter.unwrap().path, dir.join("interpreter"));
    }
    fs::remove_file(dir.join("interpreter")).unwrap();
    if let Some(why) = scripts.refusal(&script) {
        assert_eq!(why, "there is no interpreter `interpreter`");
    }
}

async fn options_of_env_are_refused() {
    let scripts = Scripts::new();
    for line in ["-S sh -e", "-i", "A=1 sh"] {
        let script = scripts.write("script", &format!("#!/usr/bin/env {line}\nexit 7\n"));
        if let Some(why) = scripts.refusal(&script) {
            assert!(why.contains("`env`"), "{why}");
        }
    }
}

async fn an_interpreter_is_checked_like_a_program() {
    let scripts = Scripts::new();
    let interpreter = scripts.plugin.copy("/bin/sh", "interpreter");
    let script = scripts.write(
        "script",
        &format!("#!{}\necho ran\n", interpreter.display()),
    );
    if let Some(output) = scripts.output(&script, &[]).await {
        assert_eq!(output, "ran\n");
    }
    rustix::fs::chmod(&interpreter, Mode::from_raw_mode(0o777)).unwrap();
    if let Some(why) = scripts.refusal(&script) {
        assert!(why.ends_with(&Unfit::WritableByOthers.to_string()), "{why}");
    }
}

async fn a_script_that_a_script_reads_is_refused() {
    let scripts = Scripts::new();
    let inner = scripts.write("inner", "#!/bin/sh\nexit 7\n");
    let outer = scripts.write("outer", &format!("#!{}\n", inner.display()));
    if let Some(why) = scripts.refusal(&outer) {
        assert_eq!(
            why,
            format!("its interpreter `{}` is a script itself", inner.display())
        );
    }
}

async fn a_directory_that_others_may_write_is_refused() {
    let scripts = Scripts::new();
    let script = scripts.write("script", "#!/bin/sh\necho ran\n");
    let Some(output) = scripts.output(&script, &[]).await else {
        return;
    };
    assert_eq!(output, "ran\n");
    let dir = script.parent().unwrap();
    for mode in [0o775, 0o757, 0o1777] {
        rustix::fs::chmod(dir, Mode::from_raw_mode(mode)).unwrap();
        assert_eq!(
            scripts.unfit(&script),
            Unfit::ScriptNotPinned(dir.to_owned()),
            "{mode:o}"
        );
    }
}
