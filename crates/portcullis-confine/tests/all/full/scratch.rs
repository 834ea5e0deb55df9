//! `/tmp`, `/dev/shm` and `HOME` are the cell's own: nothing comes in, nothing stays.

use std::{collections::BTreeSet, fs, io};

use portcullis_confine::{Access, Net, Plan, Tier};

use super::{OWN_ROOT, cells_of, directory, open, output};
use crate::fixture::{Run, cell_of, read_all};
use crate::probe::{Tried, probe, probe_outside};

crate::tests![
    the_hosts_files_are_not_there,
    nothing_stays_for_the_next_cell,
    nothing_can_be_executed_there,
    their_size_is_limited_together,
    a_granted_file_in_home_is_found,
    shared_only_where_the_plan_says_so,
    every_cell_has_namespaces_of_its_own,
];

const PLACES: [&str; 3] = ["/tmp", "/dev/shm", "/home/ann"];

fn plan(tier: Tier) -> Plan {
    Plan::new(tier).home("/home/ann")
}

fn the_hosts_files_are_not_there() {
    let name = format!("portcullis-test-{}", std::process::id());
    for place in ["/tmp", "/dev/shm"] {
        let file = format!("{place}/{name}");
        fs::write(&file, "the host's").unwrap();
        assert_eq!(probe_outside(&["read", &file]), Tried::Done, "the control");
        for tier in OWN_ROOT {
            let cells = cells_of(plan(tier));
            assert_eq!(
                probe(&cells, &["read", &file]),
                Tried::Refused(libc::ENOENT)
            );
            assert_eq!(probe(&cells, &["create", &file]), Tried::Done);
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "the host's");
        fs::remove_file(file).unwrap();
    }
}

fn nothing_stays_for_the_next_cell() {
    for tier in OWN_ROOT {
        let cells = cells_of(plan(tier));
        for place in PLACES {
            let file = format!("{place}/left");
            for round in 0..2 {
                let tried = probe(&cells, &["create", &file]);
                assert_eq!(tried, Tried::Done, "{tier:?} {file} {round}");
            }
        }
        let all = output(&cells, "ls -A /tmp /dev/shm /home/ann");
        assert!(!all.contains("left"), "{all}");
    }
}

fn nothing_can_be_executed_there() {
    for tier in OWN_ROOT {
        let cells = cells_of(plan(tier));
        for place in PLACES {
            let script = format!(
                "cp /bin/echo {place}/program && chmod 755 {place}/program || exit 3
                 {place}/program 0 2>/dev/null; echo $?"
            );
            assert_eq!(output(&cells, &script), "126\n", "{tier:?} {place}");
        }
    }
}

fn their_size_is_limited_together() {
    for tier in OWN_ROOT {
        let cells = cells_of(plan(tier));
        // One file system: what one place holds the others have not.
        let script = "before=$(stat -f -c %a /dev/shm)
            head -c 40960 /dev/zero > /tmp/file
            echo $(( before - $(stat -f -c %a /dev/shm) )) $(stat -f -c '%S' /tmp)";
        assert_eq!(output(&cells, script), "10 4096\n", "{tier:?}");
        let size = output(&cells, "stat -f -c '%b %S' /home/ann");
        assert_eq!(size, format!("{} 4096\n", (1_u64 << 30) / 4096), "{tier:?}");
        assert_eq!(output(&cells, "stat -f -c '%c' /tmp"), "200000\n");
    }
}

fn a_granted_file_in_home_is_found() {
    let home = directory("home");
    fs::write(home.join(".gitconfig"), "granted").unwrap();
    fs::write(home.join(".netrc"), "secret").unwrap();
    let granted = home.join(".gitconfig");
    for tier in OWN_ROOT {
        let plan = Plan::new(tier)
            .home(&home)
            .root(open(&granted, Access::Read));
        let script = format!(
            "cd {0} && ls -A && cat .gitconfig && echo > new",
            home.display()
        );
        assert_eq!(
            output(&cells_of(plan), &script),
            ".gitconfig\ngranted",
            "{tier:?}"
        );
    }
    assert!(!home.join("new").exists());
}

fn shared_only_where_the_plan_says_so() {
    for tier in OWN_ROOT {
        for net in [Net::None, Net::Loopback] {
            let cells = cells_of(plan(tier).network(net).share_scratch());
            for place in PLACES {
                let file = format!("{place}/left");
                assert_eq!(probe(&cells, &["create", &file]), Tried::Done);
                let tried = probe(&cells, &["create", &file]);
                assert_eq!(tried, Tried::Refused(libc::EEXIST), "{tier:?} {file}");
            }
            // Another template of the same plan shares nothing with it.
            let other = cells_of(plan(tier).network(net).share_scratch());
            assert_eq!(probe(&other, &["create", "/tmp/left"]), Tried::Done);
        }
    }
}

/// A template makes them ahead, and none of them twice.
fn every_cell_has_namespaces_of_its_own() {
    let own = ["pid", "mnt", "ipc", "net"];
    let script = own.map(|name| format!("readlink /proc/self/ns/{name}; "));
    // It holds its namespaces until the test has seen the others: the kernel may give a number again.
    let script = script.concat() + "exec >&-; read line";
    for tier in OWN_ROOT {
        let cells = cells_of(plan(tier));
        let link = |name| fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        let mut seen = own.map(|name| BTreeSet::from([link(name).to_str().unwrap().to_owned()]));
        let mut running = Vec::new();
        for _ in 0..4 {
            let (stdin, held) = io::pipe().unwrap();
            let run = Run {
                stdin: stdin.into(),
                ..Run::shell(&script)
            };
            let cell = cell_of(&cells);
            let mut pipes = run.start(&cell).unwrap();
            let found = read_all(&mut pipes.stdout);
            assert_eq!(found.lines().count(), own.len(), "{found}");
            for (seen, found) in seen.iter_mut().zip(found.lines()) {
                assert!(seen.insert(found.to_owned()), "{tier:?} {found}");
            }
            running.push((cell, held));
        }
    }
}
