//! A command runs in the directory that was opened and decided on.

use std::fs;

use portcullis_exec::{ExecAsk, ExecFailure, Place, Status, Step};
use portcullis_policy::{Code, FsAccess, HostEnvironment};

use crate::fixture::{Plugin, ask, executor, grant, is_full, shell};

crate::tests![
    default_is_the_project,
    requested_by_guest_name_relative_or_absolute,
    the_command_can_tell_where_it_is,
    outside_every_grant_is_refused,
    a_link_counts_where_it_leads,
    what_cannot_be_opened_is_refused,
    a_swap_after_the_decision_is_harmless,
    a_project_must_be_a_directory,
];

/// Prints the file `marker` of the directory that the command runs in.
fn marker(cwd: &str) -> ExecAsk {
    ExecAsk {
        cwd: Some(cwd.to_owned()),
        ..ask("cat", &["marker"])
    }
}

/// A project with two directories, each with a marker that has its name; one of them granted.
fn plugin() -> Plugin {
    let mut plugin = Plugin::new(&["cat", "sh", "pwd"]);
    let granted = plugin.make_dir("granted");
    plugin.make_dir("other");
    for name in ["granted", "other"] {
        plugin.write(&format!("{name}/marker"), name, 0o644);
    }
    plugin.write("marker", "project", 0o644);
    plugin.grants.fs = vec![grant(&granted, "/data", FsAccess::Read)];
    plugin
}

async fn default_is_the_project() {
    let plugin = plugin();
    let expected = format!("{}\n", plugin.place.project().display());
    assert_eq!(plugin.output(ask("pwd", &[])).await, expected);
    let marker = plugin.run(ask("cat", &["marker"])).await;
    if is_full() {
        // It was not granted: it is there, and empty.
        assert_eq!(marker.status, Status::Exited(1));
        assert_eq!(plugin.output(shell("ls -A")).await, "granted\n");
    } else {
        assert_eq!(marker.stdout, b"project");
    }
}

async fn requested_by_guest_name_relative_or_absolute() {
    let plugin = plugin();
    let absolute = plugin.path("granted").display().to_string();
    for cwd in [
        "/data",
        "/data/",
        "/data/.",
        "granted",
        "./granted",
        "other/../granted",
        &absolute,
    ] {
        assert_eq!(plugin.output(marker(cwd)).await, "granted", "{cwd}");
    }
}

async fn the_command_can_tell_where_it_is() {
    let plugin = plugin();
    let expected = format!("{}\n", plugin.path("granted").display());
    for ask in [
        ask("pwd", &["-P"]),
        shell("pwd"),
        shell("readlink /proc/$$/cwd"),
    ] {
        let ask = ExecAsk {
            cwd: Some("/data".to_owned()),
            ..ask
        };
        assert_eq!(plugin.output(ask).await, expected);
    }
}

async fn outside_every_grant_is_refused() {
    let plugin = plugin();
    for cwd in [
        "other",
        "/data/../other",
        ".",
        "/",
        "/etc",
        "..",
        "/database",
    ] {
        assert_eq!(plugin.denial(&marker(cwd)).0, Code::ExecCwd, "{cwd}");
    }
}

async fn a_link_counts_where_it_leads() {
    let plugin = plugin();
    std::os::unix::fs::symlink("../other", plugin.path("granted/out")).unwrap();
    std::os::unix::fs::symlink("../granted", plugin.path("other/in")).unwrap();
    assert_eq!(plugin.denial(&marker("/data/out")).0, Code::ExecCwd);
    assert_eq!(plugin.output(marker("other/in")).await, "granted");
}

async fn what_cannot_be_opened_is_refused() {
    let plugin = plugin();
    for cwd in [
        "",
        "none",
        "/data/marker",
        "/data/none",
        "a\0b",
        "/proc/self/cwd",
    ] {
        assert_eq!(plugin.denial(&marker(cwd)).0, Code::ExecCwd, "{cwd:?}");
    }
}

async fn a_swap_after_the_decision_is_harmless() {
    let plugin = plugin();
    let (authorized, opened) = plugin.decide(&marker("/data")).unwrap();
    fs::rename(plugin.path("granted"), plugin.path("moved")).unwrap();
    fs::rename(plugin.path("other"), plugin.path("granted")).unwrap();
    let run = executor().run(authorized, opened, None, None, plugin.permit());
    match run.await {
        Ok(completed) if !is_full() => assert_eq!(completed.stdout, b"granted"),
        // What was decided on lies elsewhere by now, where a cell has nothing.
        Err(ExecFailure::CannotStart {
            step: Step::WorkingDirectory,
            ..
        }) if is_full() => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(
        plugin.output(marker("/data")).await,
        "other",
        "it was swapped"
    );
}

async fn a_project_must_be_a_directory() {
    let plugin = plugin();
    for path in ["none", "marker"] {
        assert!(
            Place::open(&plugin.path(path), HostEnvironment::default()).is_err(),
            "{path}"
        );
    }
}
