//! Templates: one for each set of rights in use, at most sixteen, and none that is lost for good.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use portcullis_exec::{ExecFailure, Executor, Status};
use portcullis_policy::FsAccess;
use rustix::process::{Pid, Signal};

use crate::fixture::{Plugin, Refused, grant, new_executor, shell};

crate::tests![
    equal_rights_have_one_template,
    other_rights_have_another,
    no_more_than_sixteen_are_kept,
    a_lost_template_is_made_again,
    a_server_that_does_not_come_back_is_tried_again,
    no_two_commands_have_a_cell_in_common,
];

/// The templates of a server that have not ended.
pub(crate) fn templates_of(server: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let templates = stats.filter_map(|stat| {
        let pid = stat.split_whitespace().next()?.parse().ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let alive = fields.next()? != "Z";
        (alive && fields.next()?.parse() == Ok(server)).then_some(pid)
    });
    templates.collect()
}

/// Waits until a server has that many: one that is not wanted any more ends a moment later.
async fn wait_for(server: u32, count: usize) -> Vec<u32> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let templates = templates_of(server);
        if templates.len() == count {
            return templates;
        }
        assert!(Instant::now() < end, "{templates:?}, not {count}");
        tokio::task::yield_now().await;
    }
}

async fn run(executor: &Executor, plugin: &Plugin, script: &str) -> Result<String, Refused> {
    let completed = plugin.try_run_on(executor, shell(script), None).await?;
    assert_eq!(completed.status, Status::Exited(0), "{completed:?}");
    Ok(String::from_utf8(completed.stdout).unwrap())
}

async fn equal_rights_have_one_template() {
    let (executor, plugin) = (new_executor(), Plugin::new(&["sh"]));
    let server = executor.server_pid().unwrap();
    run(&executor, &plugin, "true").await.unwrap();
    let first = wait_for(server, 1).await;
    for _ in 0..5 {
        run(&executor, &plugin, "true").await.unwrap();
    }
    assert_eq!(wait_for(server, 1).await, first);
}

/// A plugin that may read `number` more directories than another.
fn reading(plugin: &mut Plugin, number: usize) {
    let more = plugin.make_dir(&format!("more-{number}"));
    // Beside the project, or it would add nothing.
    let fs = vec![grant(&more, &format!("/more-{number}"), FsAccess::Read)];
    plugin.grants.fs = fs;
}

async fn other_rights_have_another() {
    let (executor, mut plugin) = (new_executor(), Plugin::new(&["sh"]));
    let server = executor.server_pid().unwrap();
    run(&executor, &plugin, "true").await.unwrap();
    reading(&mut plugin, 0);
    run(&executor, &plugin, "true").await.unwrap();
    wait_for(server, 2).await;
}

async fn no_more_than_sixteen_are_kept() {
    let (executor, mut plugin) = (new_executor(), Plugin::new(&["sh"]));
    let server = executor.server_pid().unwrap();
    let first = plugin.grants.fs.clone();
    run(&executor, &plugin, "true").await.unwrap();
    let [template] = wait_for(server, 1).await[..] else {
        panic!("there is one");
    };
    for number in 0..20 {
        reading(&mut plugin, number);
        run(&executor, &plugin, "true").await.unwrap();
        // Used again and again, so it is never the one unused for longest.
        let latest = std::mem::replace(&mut plugin.grants.fs, first.clone());
        run(&executor, &plugin, "true").await.unwrap();
        plugin.grants.fs = latest;
    }
    let kept = wait_for(server, 16).await;
    assert!(kept.contains(&template));
}

async fn a_lost_template_is_made_again() {
    let (executor, plugin) = (new_executor(), Plugin::new(&["sh"]));
    let server = executor.server_pid().unwrap();
    run(&executor, &plugin, "true").await.unwrap();
    let [template] = wait_for(server, 1).await[..] else {
        panic!("there is one");
    };
    let pid = Pid::from_raw(template.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    wait_for(server, 0).await;
    // A call fails as often as it finds a dead cell that was parked, and then once for the template.
    let mut lost = 0;
    while let Err(refused) = run(&executor, &plugin, "true").await {
        assert!(
            matches!(refused, Refused::Failed(ExecFailure::Server(_))),
            "{refused:?}"
        );
        lost += 1;
        assert!(lost <= 4, "it does not come back");
    }
    assert_eq!(executor.server_pid(), Some(server), "it was not to blame");
    let again = wait_for(server, 1).await;
    assert_ne!(again, [template]);
}

/// The helper is the file of these tests; for the time of one start it is another's.
async fn a_server_that_does_not_come_back_is_tried_again() {
    use portcullis_exec::{ExecutorOptions, Helper};

    let plugin = Plugin::new(&["sh"]);
    let helper = plugin.copy("/proc/self/exe", "helper");
    let found = Helper::find(Some(&helper)).unwrap();
    let executor = Executor::start(found, &ExecutorOptions::default()).unwrap();
    run(&executor, &plugin, "true").await.unwrap();
    let server = executor.server_pid().unwrap();
    let pid = Pid::from_raw(server.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    let mut failed = 0;
    while executor.server_pid().is_some() {
        assert!(run(&executor, &plugin, "sleep 1000").await.is_err());
        failed += 1;
        assert!(failed <= 5, "it is not noticed");
    }
    // Its file is the one that was found, and it starts again from there.
    assert_eq!(run(&executor, &plugin, "echo ok").await.unwrap(), "ok\n");
    assert_ne!(executor.server_pid(), Some(server));
}

/// Also of one plugin with itself, and of two plugins with equal rights.
async fn no_two_commands_have_a_cell_in_common() {
    let (executor, one, mut other) = (new_executor(), Plugin::new(&["sh"]), Plugin::new(&["sh"]));
    other.place = one.place.clone();
    other.grants.fs.clone_from(&one.grants.fs);
    let script = "for kind in pid mnt ipc net; do readlink /proc/self/ns/$kind; done";
    // All at once: the number of a namespace that is gone may be given again.
    let script = format!("{script}; exec sleep 0.5");
    let [a, b, c, d] = [&one, &other, &one, &other].map(|plugin| run(&executor, plugin, &script));
    let (a, b, c, d) = tokio::join!(a, b, c, d);
    let outputs = [a, b, c, d].map(Result::unwrap);
    let namespaces: BTreeSet<&str> = outputs.iter().flat_map(|output| output.lines()).collect();
    assert_eq!(namespaces.len(), 16, "{outputs:?}");
    assert_eq!(templates_of(executor.server_pid().unwrap()).len(), 1);
}
