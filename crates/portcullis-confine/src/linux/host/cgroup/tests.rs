//! Groups without limits, which every cgroup tree of version 2 has: made below the one of this process.

use std::{
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, WaitOptions},
};

use super::*;
use crate::{
    Report, Root, Tier,
    linux::{
        host::cell::Cell,
        process::{self, Side},
        socket,
    },
};

/// A group of a test, removed with all that is left in it.
struct Place(Ours, OwnedFd, String);

impl Place {
    /// `None`, said by name, where none can be made.
    fn new(test: &str) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let own = delegation::own_group();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("portcullis-test-{}-{number}", std::process::id());
        let made = own.ok_or(Errno::NOENT).and_then(|own| {
            rustix::fs::mkdirat(&own.dir, &*name, MODE)?;
            let dir = open_dir(&own.dir, &*name)?;
            let path = own.path.join(&name);
            Ok(Self(Ours { dir, path }, own.dir, name.clone()))
        });
        if let Err(errno) = &made {
            println!("SKIP cgroup::{test}: no group can be made here: {errno}");
        }
        made.ok()
    }

    fn groups(&self, limits: &[Protection]) -> Arc<Groups> {
        let above = Ours {
            dir: self.0.dir.try_clone().unwrap(),
            path: self.0.path.clone(),
        };
        let mut groups = Groups::make_in(above, Vec::new()).unwrap();
        groups.limits = limits.to_vec();
        Arc::new(groups)
    }

    fn names(&self) -> Vec<String> {
        below(&self.0.dir).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let removed = kill(&self.0.dir, END_TIMEOUT).and_then(|()| {
            for name in below(&self.0.dir)? {
                let dir = open_dir(&self.0.dir, &*name)?;
                remove(&self.0.dir, &name, &dir)?;
            }
            Ok(remove_at(&self.1, &self.2)?)
        });
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

fn unlimited(groups: &Arc<Groups>) -> Limited {
    Limited {
        groups: groups.clone(),
        memory: None,
        processes: None,
    }
}

#[expect(clippy::disallowed_methods, reason = "stands in for a command")]
fn sleeper(group: &OwnedFd) -> Child {
    let mut command = Command::new("/bin/sleep");
    let child = command.arg("1000").stdout(Stdio::null()).spawn().unwrap();
    write_at(group, "cgroup.procs", &child.id().to_string()).unwrap();
    child
}

#[test]
fn a_group_is_removed_when_nothing_lives_in_it_any_more() {
    let Some(place) = Place::new("removed") else {
        return;
    };
    let groups = place.groups(&[]);
    let group = unlimited(&groups).make().unwrap();
    let mut child = sleeper(&group.dir);
    assert!(group.holds(child.id()) && !group.holds(std::process::id()));
    let cells = |groups: &Groups| {
        let names = below(&groups.dir).unwrap();
        names.into_iter().filter(|name| name != SERVER).count()
    };
    drop(group);
    groups.clear();
    assert_eq!(cells(&groups), 1, "in use");
    child.kill().unwrap();
    child.wait().unwrap();
    groups.clear();
    assert_eq!((cells(&groups), groups.left().len()), (0, 0));
    drop(groups);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_copy_is_born_in_its_group() {
    let Some(place) = Place::new("born") else {
        return;
    };
    let groups = place.groups(&[]);
    let group = unlimited(&groups).make().unwrap();
    let (wait, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let side = process::fork_into(0, Some(group.dir())).unwrap();
    let Side::Parent { pid, .. } = side else {
        // Until the pipe's other end is closed, its copy here too.
        drop(go);
        let _: rustix::io::Result<usize> = rustix::io::read(&wait, &mut [0]);
        process::exit(0)
    };
    assert!(group.holds(pid));
    drop(go);
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    rustix::process::waitpid(pid, WaitOptions::empty()).unwrap();
}

#[test]
fn what_a_killed_host_left_is_removed_and_what_a_living_one_has_is_not() {
    let Some(place) = Place::new("left") else {
        return;
    };
    let living = place.groups(&[]);
    let kept = unlimited(&living).make().unwrap();
    let mut at_work = sleeper(&kept.dir);
    let left = format!("{PREFIX}1-1");
    for name in [left.clone(), format!("{left}/cell-0")] {
        rustix::fs::mkdirat(&place.0.dir, &*name, MODE).unwrap();
    }
    let cell = open_dir(&place.0.dir, format!("{left}/cell-0")).unwrap();
    let mut orphan = sleeper(&cell);
    rustix::fs::mkdirat(&place.0.dir, "another", MODE).unwrap();
    sweep(&place.0.dir).unwrap();
    let status = orphan.wait().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(libc::SIGKILL));
    // While it was dying its group could not be removed.
    sweep(&place.0.dir).unwrap();
    let mut names = place.names();
    names.sort();
    assert_eq!(names, ["another", &*living.name]);
    assert!(at_work.try_wait().unwrap().is_none());
    at_work.kill().unwrap();
    at_work.wait().unwrap();
}

#[test]
fn everything_in_a_group_and_below_is_killed() {
    let Some(place) = Place::new("killed") else {
        return;
    };
    let groups = place.groups(&[]);
    let made = [(); 2].map(|()| unlimited(&groups).make().unwrap());
    let mut children = made.each_ref().map(|group| sleeper(&group.dir));
    kill(&groups.dir, END_TIMEOUT).unwrap();
    for child in &mut children {
        assert!(!child.wait().unwrap().success());
    }
    // An empty one is no reason to wait.
    kill(&groups.dir, Duration::ZERO).unwrap();
}

/// A template could send the process of another cell, or one outside.
#[test]
#[expect(clippy::disallowed_methods, reason = "stands in for an init")]
fn a_cell_is_in_its_group_or_is_none() {
    let Some(place) = Place::new("none") else {
        return;
    };
    let groups = place.groups(&[]);
    let group = || unlimited(&groups).make().unwrap();
    let adopt = |child: &Child, group: Group| {
        let pair = || socket::pair(rustix::net::SocketFlags::empty()).unwrap().0;
        let pidfd = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty());
        let fds = vec![pair(), pair(), pidfd.unwrap()];
        let report = Report::new(Tier::Limits, 0, []);
        Cell::adopt(child.id(), report, fds, Some(group)).unwrap()
    };
    let (mine, another) = (group(), group());
    let mut inside = sleeper(&mine.dir);
    assert!(adopt(&inside, mine).is_some());
    inside.wait().unwrap();
    let mut command = Command::new("/bin/sleep");
    let mut outside = command.arg("1000").stdout(Stdio::null()).spawn().unwrap();
    assert!(adopt(&outside, another).is_none());
    // Whoever it is, it is not left running.
    outside.wait().unwrap();
}

#[test]
fn a_plan_that_could_write_the_limits_has_none() {
    let Some(place) = Place::new("writes") else {
        return;
    };
    let groups = place.groups(&[Protection::MemoryCgroup]);
    let plan = || Plan::new(Tier::Full).limit_memory(1 << 20);
    let tree = place.0.path.parent().unwrap();
    let with = |path: &Path, access| plan().root(Root::open(path, access).unwrap());
    assert!(groups.limited(&plan()).is_some());
    assert!(groups.limited(&with(tree, Access::Read)).is_some());
    for (path, access) in [
        (tree, Access::Write),
        (&place.0.path, Access::WriteExec),
        (Path::new("/sys"), Access::Write),
    ] {
        assert!(groups.limited(&with(path, access)).is_none(), "{path:?}");
    }
    // What no controller keeps, nothing is made for.
    let processes = Plan::new(Tier::Full).limit_processes(8);
    assert!(groups.limited(&processes).is_none());
    groups.give_up();
    assert!(groups.limited(&plan()).unwrap().make().is_none());
}

#[test]
fn numbers_by_their_names() {
    let text = "low 0\noom_kill 3\noom 2\nbad x\n";
    assert_eq!(field(text, "oom"), Some(2));
    assert_eq!(field(text, "oom_kill"), Some(3));
    assert_eq!((field(text, "bad"), field(text, "kill")), (None, None));
}

#[test]
fn only_this_limit_is_over() {
    let killed = |events: &str| killed_for_memory(events);
    assert_eq!(killed("max 9\noom 1\noom_kill 3\n"), Some(3));
    assert_eq!(killed("max 9\noom 0\noom_kill 3\n"), None, "somebody above");
    assert_eq!(killed("max 9\noom 1\noom_kill 0\n"), None, "made room");
    assert_eq!(killed(""), None);
}
