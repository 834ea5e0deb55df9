//! Somebody else swaps directories and files for links, while a guest reads and writes in a loop.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use portcullis::Instance;
use portcullis::policy::{FsAccess, FsKind, Grants};
use portcullis_testkit::tests;
use rustix::fs::{CWD, Mode, RenameFlags};

use super::{GUEST_NAME, Outside, World, failed};
use crate::files::act;
use crate::fixture::{args, block_on, directory, none, tests_by_wasi};
use crate::fs_guard;

tests![
    a_directory_that_is_swapped_for_a_link_never_leads_out,
    a_file_that_is_swapped_for_a_link_never_leads_out,
    a_file_that_is_swapped_for_a_pipe_holds_nobody_up,
    a_granted_file_that_is_swapped_for_a_link_never_leads_out,
    a_granted_directory_that_is_swapped_for_a_link_never_leads_out,
];

tests_by_wasi![
    a_preopened_directory_that_is_swapped_for_a_link_never_leads_out,
    a_name_that_is_swapped_for_a_link_never_leads_a_wasi_guest_out,
    a_file_that_is_swapped_for_a_pipe_holds_no_wasi_guest_up,
];

/// Swaps until the guest is done. One race at a time: who swaps needs a processor of its own.
fn swapping<T>(swap: impl Fn() + Sync, guest: impl FnOnce() -> T) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    fs_guard::swapping(swap, guest)
}

/// Waits in the middle of a thread that others wait for too.
fn meanwhile<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

async fn said(instance: &mut Instance, acts: &[String]) -> String {
    instance.run(acts).await.unwrap().unwrap()
}

/// One name for the other and back, at once.
fn exchange(one: &Path, other: &Path) {
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

/// Puts at a name what `make` makes under another, at once.
fn put(path: &Path, make: impl Fn(&Path)) {
    let draft = path.with_file_name("swapped-in");
    make(&draft);
    fs::rename(draft, path).unwrap();
}

/// Gives the other side time to find what was put there, by work that takes some.
fn linger(path: &Path) {
    for _ in 0..200 {
        let _ = fs::symlink_metadata(path);
    }
}

/// What a guest is answered that does this again and again while `swap` goes on; both of it did happen.
fn race(world: &World, grants: &Grants, swap: impl Fn() + Sync, act_again: &[&str]) {
    let acts = [act(&[&["again"], act_again].concat())];
    block_on(async {
        let mut instance = world.fixture.instance("files", grants.clone()).await;
        let mut answers = BTreeSet::new();
        // How the two fall together is the machine's; one of these times they do.
        for _ in 0..200 {
            let run = || meanwhile(said(&mut instance, &acts));
            let said = swapping(&swap, run);
            answers.extend(said.split('|').map(str::to_owned));
            for answer in &answers {
                let inner = matches!(answer.as_str(), "inner" | "ok");
                assert!(inner || failed(answer), "{act_again:?}: {answer}");
            }
            let refused = answers.iter().filter(|answer| failed(answer)).count();
            if refused > 0 && refused < answers.len() {
                return;
            }
        }
        panic!("{act_again:?} was never swapped: {answers:?}");
    });
}

fn a_directory_that_is_swapped_for_a_link_never_leads_out() {
    let world = World::new();
    let (swap, link) = (world.inside.join("swap"), world.inside.join("swap-link"));
    fs::create_dir(&swap).unwrap();
    fs::write(swap.join("secret"), "inner").unwrap();
    symlink("../outside", &link).unwrap();
    let outside = Outside::of(&world);
    let grants = world.grants(FsAccess::ReadWrite);
    let swap = || exchange(&swap, &link);
    race(
        &world,
        &grants,
        swap,
        &["2000", "read", "/data/swap/secret"],
    );
    race(
        &world,
        &grants,
        swap,
        &["300", "write", "/data/swap/secret", "inner"],
    );
    race(
        &world,
        &grants,
        swap,
        &["2000", "read", "/data/swap/../swap/secret"],
    );
    race(
        &world,
        &grants,
        swap,
        &["2000", "rename", "/data/swap/secret", "/data/swap/secret"],
    );
    outside.is_untouched();
}

fn a_file_that_is_swapped_for_a_link_never_leads_out() {
    let world = World::new();
    let file = world.inside.join("swap");
    fs::write(&file, "inner").unwrap();
    let outside = Outside::of(&world);
    let grants = world.grants(FsAccess::ReadWrite);
    let swap = || {
        put(&file, |path| symlink("../outside/secret", path).unwrap());
        put(&file, |path| fs::write(path, "inner").unwrap());
        linger(&file);
    };
    race(&world, &grants, swap, &["2000", "read", "/data/swap"]);
    race(
        &world,
        &grants,
        swap,
        &["300", "write", "/data/swap", "inner"],
    );
    outside.is_untouched();
}

fn a_file_that_is_swapped_for_a_pipe_holds_nobody_up() {
    let world = World::new();
    let file = world.inside.join("swap");
    fs::write(&file, "inner").unwrap();
    let outside = Outside::of(&world);
    let grants = world.grants(FsAccess::ReadWrite);
    let swap = || {
        put(&file, |path| {
            rustix::fs::mkfifoat(CWD, path, Mode::RWXU).unwrap()
        });
        put(&file, |path| fs::write(path, "inner").unwrap());
        linger(&file);
    };
    race(&world, &grants, swap, &["2000", "read", "/data/swap"]);
    race(
        &world,
        &grants,
        swap,
        &["300", "write", "/data/swap", "inner"],
    );
    outside.is_untouched();
}

fn a_granted_file_that_is_swapped_for_a_link_never_leads_out() {
    let world = World::new();
    let file = world.inside.join("swap");
    fs::write(&file, "inner").unwrap();
    let outside = Outside::of(&world);
    let mut grant = directory(&world.inside, GUEST_NAME, FsAccess::ReadWrite);
    (grant.host, grant.kind) = (file.clone(), FsKind::File);
    let grants = Grants {
        fs: vec![grant],
        ..none()
    };
    let swap = || {
        put(&file, |path| symlink("../outside/secret", path).unwrap());
        put(&file, |path| fs::write(path, "inner").unwrap());
        linger(&file);
    };
    race(&world, &grants, swap, &["2000", "read", GUEST_NAME]);
    race(
        &world,
        &grants,
        swap,
        &["300", "write", GUEST_NAME, "inner"],
    );
    outside.is_untouched();
}

fn a_granted_directory_that_is_swapped_for_a_link_never_leads_out() {
    let world = World::new();
    let link = world.above.join("swap-link");
    fs::write(world.inside.join("secret"), "inner").unwrap();
    symlink("outside", &link).unwrap();
    let outside = Outside::of(&world);
    let grants = world.grants(FsAccess::ReadWrite);
    let swap = || {
        exchange(&world.inside, &link);
        exchange(&world.inside, &link);
    };
    race(&world, &grants, swap, &["2000", "read", "/data/secret"]);
    race(
        &world,
        &grants,
        swap,
        &["300", "write", "/data/secret", "inner"],
    );
    outside.is_untouched();
}

fn a_preopened_directory_that_is_swapped_for_a_link_never_leads_out(guest: &'static str) {
    let world = World::new();
    let link = world.above.join("swap-link");
    fs::write(world.inside.join("secret"), "inner").unwrap();
    symlink("outside", &link).unwrap();
    let outside = Outside::of(&world);
    let swap = || {
        exchange(&world.inside, &link);
        exchange(&world.inside, &link);
        linger(&world.inside);
    };
    block_on(async {
        let grants = world.grants(FsAccess::Read);
        let plugin = world.fixture.load(guest, grants).await.unwrap();
        let (mut opened, mut refused) = (0, 0);
        let open = async {
            for _ in 0..5_000 {
                match plugin.instantiate("test").await {
                    Ok(mut instance) => {
                        let said = instance
                            .run(&args(&["read", "/data/secret"]))
                            .await
                            .unwrap();
                        assert_eq!(said, Ok("inner".to_owned()));
                        opened += 1;
                    }
                    Err(error) => {
                        assert!(error.to_string().contains("inside"), "{error}");
                        refused += 1;
                    }
                }
                if opened > 20 && refused > 20 {
                    break;
                }
            }
        };
        swapping(swap, || meanwhile(open));
        assert!(
            opened > 20 && refused > 20,
            "{opened} opened, {refused} refused"
        );
    });
    outside.is_untouched();
}

fn a_name_that_is_swapped_for_a_link_never_leads_a_wasi_guest_out(guest: &'static str) {
    let world = World::new();
    let (swap, link) = (world.inside.join("swap"), world.inside.join("swap-link"));
    fs::create_dir(&swap).unwrap();
    fs::write(swap.join("secret"), "inner").unwrap();
    symlink("../outside", &link).unwrap();
    let outside = Outside::of(&world);
    for act in [
        "read /data/swap/secret",
        "write /data/swap/secret inner",
        "times /data/swap/secret",
    ] {
        block_on(async {
            let grants = world.grants(FsAccess::ReadWrite);
            let mut instance = world.fixture.instance(guest, grants).await;
            let again = args(&["again", "1000", act]);
            let mut all = String::new();
            for _ in 0..40 {
                let run = || meanwhile(said(&mut instance, &again));
                let said = swapping(|| exchange(&swap, &link), run);
                all.push_str(&said);
                if all.contains("ok ") && all.contains("not-permitted ") {
                    return;
                }
            }
            panic!("{act} was never swapped: {all}");
        });
    }
    outside.is_untouched();
}

fn a_file_that_is_swapped_for_a_pipe_holds_no_wasi_guest_up(guest: &'static str) {
    let world = World::new();
    let file = world.inside.join("swap");
    fs::write(&file, "inner").unwrap();
    let swap = || {
        put(&file, |path| {
            rustix::fs::mkfifoat(CWD, path, Mode::RWXU).unwrap()
        });
        put(&file, |path| fs::write(path, "inner").unwrap());
        linger(&file);
    };
    for act in ["read /data/swap", "write /data/swap inner"] {
        block_on(async {
            let grants = world.grants(FsAccess::ReadWrite);
            let mut instance = world.fixture.instance(guest, grants).await;
            let again = args(&["again", "1000", act]);
            let mut all = String::new();
            for _ in 0..40 {
                let run = || meanwhile(said(&mut instance, &again));
                let said = swapping(swap, run);
                all.push_str(&said);
                if all.contains("ok ") && all.contains("not-permitted ") {
                    return;
                }
            }
            panic!("{act} was never swapped: {all}");
        });
    }
}
