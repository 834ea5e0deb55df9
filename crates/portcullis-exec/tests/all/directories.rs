//! Rules by directory: what lies directly in it is allowed by its path there, and denied whatever it is called.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use portcullis_exec::Status;
use portcullis_policy::{Code, ExecCeiling, FsAccess, Origin, ProgramRule};

use crate::fixture::{Plugin, ask, ask_path, grant, is_full};
use crate::script::{Scripts, system_script};

crate::tests![
    what_lies_directly_in_it_runs,
    every_other_spelling_is_refused,
    what_leads_out_of_it_is_refused,
    a_directory_behind_a_link_is_the_one_it_leads_to,
    a_directory_that_the_plugin_can_exchange_allows_nothing,
    what_the_plugin_may_write_is_never_run,
    a_hard_link_lies_where_it_is,
    argv_0_is_the_name_in_the_directory,
    a_cell_executes_only_the_program_that_was_asked_for,
    a_denied_directory_is_denied_however_it_is_called,
    a_denied_directory_denies_what_is_found_in_it,
    a_link_to_a_denied_program_is_denied_in_an_allowed_directory,
    a_script_brings_its_interpreter_and_no_denied_one,
    a_ceiling_by_directory_leaves_what_lies_in_it,
];

/// Tells a copy of the shell from anything else.
const EXIT_7: &[&str] = &["-c", "exit 7"];

/// A plugin that may run what lies in `bin`: `tool`, a shell. Another lies in `other`.
struct Tools {
    plugin: Plugin,
    bin: PathBuf,
    other: PathBuf,
}

impl Tools {
    fn new() -> Self {
        let mut plugin = Plugin::new(&[]);
        let (bin, other) = (plugin.make_dir("bin"), plugin.make_dir("other"));
        plugin.copy("/bin/sh", "bin/tool");
        plugin.copy("/bin/sh", "other/tool");
        plugin.exec().allow = vec![all_of(&bin)];
        Self { plugin, bin, other }
    }

    async fn runs(&self, program: impl AsRef<Path>) {
        let program = program.as_ref();
        let status = self.plugin.run(ask_path(program, EXIT_7)).await.status;
        assert_eq!(status, Status::Exited(7), "{}", program.display());
    }

    fn refused(&self, program: impl AsRef<Path>, code: Code) -> String {
        let program = program.as_ref();
        let denial = self.plugin.denial(&ask_path(program, EXIT_7));
        assert_eq!(denial.0, code, "{}: {}", program.display(), denial.1);
        denial.1
    }
}

/// The rule for all programs of a directory.
fn all_of(dir: &Path) -> ProgramRule {
    ProgramRule::any_arguments(&format!("{}/*", dir.display()))
}

async fn what_lies_directly_in_it_runs() {
    let mut tools = Tools::new();
    let tool = tools.bin.join("tool");
    tools.runs(&tool).await;
    // What is put there later is one of them.
    tools.plugin.copy("/bin/sh", "bin/later");
    tools.runs(tools.bin.join("later")).await;
    for spelled in ["bin//tool", "bin/./tool", "./bin/tool"] {
        let project = tools.plugin.place.project().display();
        tools.runs(format!("{project}/{spelled}")).await;
    }
    tools.plugin.exec().allow.clear();
    tools.refused(&tool, Code::ExecNoRule);
}

async fn every_other_spelling_is_refused() {
    let mut tools = Tools::new();
    fs::create_dir(tools.bin.join("deep")).unwrap();
    tools.plugin.copy("/bin/sh", "bin/deep/tool");
    for spelled in [
        "bin/../bin/tool",
        "bin/deep/../tool",
        "other/../bin/tool",
        "bin/deep/tool",
        "other/tool",
        "bin/../other/tool",
    ] {
        let project = tools.plugin.place.project().display();
        tools.refused(format!("{project}/{spelled}"), Code::ExecNoRule);
    }
    tools.refused(format!("{}/tool/", tools.bin.display()), Code::ExecInvalid);
    // Of a request it is a name like any other.
    tools.refused(tools.bin.join("*"), Code::ExecNotFound);
    tools.plugin.exec().search_path = vec![tools.bin.clone()];
    let note = tools.refused("tool", Code::ExecNoRule);
    assert!(note.contains("not by a bare name"), "{note}");
    let mut inside = ask("./tool", EXIT_7);
    inside.cwd = Some("bin".to_owned());
    assert_eq!(tools.plugin.denial(&inside).0, Code::ExecInvalid);
    inside.program = "tool".to_owned();
    assert_eq!(tools.plugin.denial(&inside).0, Code::ExecNoRule);
}

async fn what_leads_out_of_it_is_refused() {
    let tools = Tools::new();
    let link = |target: &Path, name: &str| symlink(target, tools.bin.join(name)).unwrap();
    link(&tools.other.join("tool"), "out");
    link(&tools.bin.join("out"), "twice");
    link(Path::new("../other/tool"), "relative");
    link(&tools.other, "sub");
    for name in ["out", "twice", "relative"] {
        let note = tools.refused(tools.bin.join(name), Code::ExecNoRule);
        assert!(note.contains("other/tool"), "{note}");
    }
    tools.refused(tools.bin.join("sub/tool"), Code::ExecNoRule);
    // A link that stays in it is one of its programs; one into it from elsewhere is none.
    link(Path::new("tool"), "in");
    tools.runs(tools.bin.join("in")).await;
    let into = tools.other.join("into");
    symlink(tools.bin.join("tool"), &into).unwrap();
    tools.refused(&into, Code::ExecNoRule);
}

async fn a_directory_behind_a_link_is_the_one_it_leads_to() {
    let mut tools = Tools::new();
    let alias = tools.plugin.path("alias");
    symlink(&tools.bin, &alias).unwrap();
    tools.refused(alias.join("tool"), Code::ExecNoRule);
    tools.plugin.exec().allow = vec![all_of(&alias)];
    tools.runs(alias.join("tool")).await;
    tools.refused(tools.bin.join("tool"), Code::ExecNoRule);
    symlink(tools.other.join("tool"), tools.bin.join("out")).unwrap();
    tools.refused(alias.join("out"), Code::ExecNoRule);
}

async fn a_directory_that_the_plugin_can_exchange_allows_nothing() {
    let mut tools = Tools::new();
    let writable = tools.plugin.make_dir("writable");
    let exchanged = writable.join("bin");
    symlink(&tools.bin, &exchanged).unwrap();
    // On the way, at the end of it, and in the text of a link.
    let (on_the_way, through) = (tools.plugin.path("way"), tools.plugin.path("through"));
    symlink(&writable, &on_the_way).unwrap();
    symlink("writable/bin", &through).unwrap();
    symlink(exchanged.join("tool"), tools.bin.join("around")).unwrap();
    let places = [exchanged, on_the_way.join("bin"), through];
    tools.plugin.exec().allow = places.iter().map(|dir| all_of(dir)).collect();
    tools.plugin.exec().allow.push(all_of(&tools.bin));
    let spelled = places.iter().map(|dir| dir.join("tool"));
    let spelled: Vec<_> = spelled.chain([tools.bin.join("around")]).collect();
    for program in &spelled {
        tools.runs(program).await;
    }
    let access = FsAccess::ReadWrite;
    tools.plugin.grants.fs.push(grant(&writable, "/w", access));
    for program in &spelled {
        let why = tools.refused(program, Code::ExecUnfit);
        assert!(why.contains("which the plugin may write"), "{why}");
    }
    tools.runs(tools.bin.join("tool")).await;
}

async fn what_the_plugin_may_write_is_never_run() {
    let mut tools = Tools::new();
    let access = FsAccess::ReadWrite;
    tools.plugin.grants.fs.push(grant(&tools.bin, "/w", access));
    let denial = tools
        .plugin
        .denial(&ask_path(&tools.bin.join("tool"), EXIT_7));
    assert_eq!(denial.0, Code::ExecUnfit, "{}", denial.1);
}

async fn a_hard_link_lies_where_it_is() {
    let tools = Tools::new();
    let (inside, outside) = (tools.bin.join("linked"), tools.other.join("linked"));
    fs::hard_link(tools.other.join("tool"), &inside).unwrap();
    fs::hard_link(tools.bin.join("tool"), &outside).unwrap();
    tools.runs(&inside).await;
    tools.refused(&outside, Code::ExecNoRule);
}

async fn argv_0_is_the_name_in_the_directory() {
    let tools = Tools::new();
    symlink("tool", tools.bin.join("called")).unwrap();
    let print = ["-c", "/bin/cat /proc/$$/cmdline"];
    let output = tools
        .plugin
        .output(ask_path(&tools.bin.join("called"), &print));
    let output = output.await;
    assert!(output.starts_with("called\0-c\0"), "{output}");
}

async fn a_cell_executes_only_the_program_that_was_asked_for() {
    let tools = Tools::new();
    let second = tools.plugin.copy("/bin/sh", "bin/second");
    let script = format!("{} -c 'exit 7'", second.display());
    let ask = ask_path(&tools.bin.join("tool"), &["-c", &script]);
    let expected = if is_full() { 126 } else { 7 };
    assert_eq!(tools.plugin.run(ask).await.status, Status::Exited(expected));
}

async fn a_denied_directory_is_denied_however_it_is_called() {
    let mut tools = Tools::new();
    let alias = tools.plugin.path("alias");
    symlink(&tools.bin, &alias).unwrap();
    let into = tools.other.join("into");
    symlink(tools.bin.join("tool"), &into).unwrap();
    let round = tools.other.join("../bin/tool");
    let exec = tools.plugin.exec();
    exec.any_program = true;
    exec.search_path = vec![tools.bin.clone()];
    let spelled = [
        tools.bin.join("tool"),
        PathBuf::from("tool"),
        alias.join("tool"),
        into,
        round,
    ];
    for program in &spelled {
        tools.runs(program).await;
    }
    for rule in [all_of(&alias), all_of(&tools.bin)] {
        tools.plugin.exec().deny = vec![rule];
        for program in &spelled {
            tools.refused(program, Code::ExecDenied);
        }
        tools.runs(tools.other.join("tool")).await;
    }
    // A rule that names the program gives way too.
    tools.plugin.exec().any_program = false;
    tools.plugin.exec().allow = vec![ProgramRule::any_arguments("tool")];
    tools.refused("tool", Code::ExecDenied);
    // Whether there is something is not told.
    tools.refused(tools.bin.join("none"), Code::ExecDenied);
}

async fn a_denied_directory_denies_what_is_found_in_it() {
    let mut tools = Tools::new();
    symlink(tools.other.join("tool"), tools.bin.join("out")).unwrap();
    let alias = tools.plugin.path("alias");
    symlink(&tools.bin, &alias).unwrap();
    let exec = tools.plugin.exec();
    exec.any_program = true;
    exec.search_path = vec![alias.clone()];
    exec.deny = vec![all_of(&tools.bin)];
    for program in [
        tools.bin.join("out"),
        PathBuf::from("out"),
        alias.join("out"),
    ] {
        tools.refused(program, Code::ExecDenied);
    }
    tools.runs(tools.other.join("tool")).await;
}

async fn a_link_to_a_denied_program_is_denied_in_an_allowed_directory() {
    let mut tools = Tools::new();
    let other_name = tools.bin.join("other-name");
    symlink("tool", &other_name).unwrap();
    tools.runs(&other_name).await;
    let denied = tools.bin.join("tool");
    tools.plugin.exec().deny = vec![ProgramRule::any_arguments(denied.to_str().unwrap())];
    tools.refused(&other_name, Code::ExecDenied);
}

async fn a_script_brings_its_interpreter_and_no_denied_one() {
    let script = system_script();
    let mut plugin = Plugin::new(&[]);
    plugin.exec().allow = vec![all_of(script.parent().unwrap())];
    let version = ask_path(&script, &["--version"]);
    let completed = plugin.run(version.clone()).await;
    assert_eq!(completed.status, Status::Exited(0));
    for denied in ["sh", "bash", "/bin/sh", "/bin/bash"] {
        plugin.exec().deny.push(ProgramRule::any_arguments(denied));
    }
    assert_eq!(plugin.denial(&version).0, Code::ExecDenied);

    // In a directory of its own, without its interpreter.
    let mut scripts = Scripts::new();
    let script = scripts.write("script", "#!/bin/sh\necho ran\n");
    scripts.plugin.exec().any_program = false;
    scripts.plugin.exec().allow = vec![all_of(script.parent().unwrap())];
    if let Some(output) = scripts.output(&script, &[]).await {
        assert_eq!(output, "ran\n");
        let sh = scripts.plugin.denial(&ask_path(Path::new("/bin/sh"), &[]));
        assert_eq!(sh.0, Code::ExecNoRule);
        let shells = Path::new("/bin").canonicalize().unwrap();
        scripts.plugin.exec().deny = vec![all_of(&shells)];
        assert_eq!(
            scripts.plugin.denial(&ask_path(&script, &[])).0,
            Code::ExecDenied
        );
        // Who names the script means it with its interpreter.
        let named = ProgramRule::any_arguments(script.to_str().unwrap());
        scripts.plugin.exec().allow = vec![named];
        scripts.output(&script, &[]).await;
    }
}

async fn a_ceiling_by_directory_leaves_what_lies_in_it() {
    let mut tools = Tools::new();
    symlink(tools.other.join("tool"), tools.bin.join("out")).unwrap();
    tools.plugin.exec().any_program = true;
    tools.plugin.exec().ceiling = Some(ExecCeiling {
        allow: vec![all_of(&tools.bin)],
        origin: Origin::Code,
    });
    tools.runs(tools.bin.join("tool")).await;
    for program in [tools.bin.join("out"), tools.other.join("tool")] {
        tools.refused(program, Code::ExecCeiling);
    }
    tools.plugin.exec().search_path = vec![tools.bin.clone()];
    let note = tools.refused("tool", Code::ExecCeiling);
    assert!(note.contains("not by a bare name"), "{note}");
}
