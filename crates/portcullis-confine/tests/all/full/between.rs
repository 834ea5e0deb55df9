//! Two commands of equal rights, an attacker and its victim, side by side and one after the other; and a third that
//! finds everything as the first did.

use portcullis_confine::{Cell, Event, Net, Plan, Status};

use super::{OWN_ROOT, cells_of, output};
use crate::{
    fixture::{Cells, Run, cell_of, event_of, read_all},
    probe::{Tried, probe, probe_outside},
};

crate::tests![
    processes_side_by_side,
    the_same_outside_is_possible,
    memory_and_queues_side_by_side,
    sockets_side_by_side,
    files_side_by_side,
    what_share_shares_and_what_not,
    a_third_call_behaves_as_the_first,
    an_attacker_cannot_break_what_makes_cells,
];

/// A victim with a secret in its environment and its arguments, and all that can be attacked; it runs until its
/// standard input ends, then says that it is well.
const VICTIM: &str = "python3 -c '
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.shmget(4711, 4096, 0o1666)
libc.mq_open(b\"/victim\", os.O_CREAT | os.O_RDWR, 0o666, None)
abstract = socket.socket(socket.AF_UNIX); abstract.bind(b\"\\0victim\"); abstract.listen()
if sys.argv[1] == \"loopback\":
    tcp = socket.socket(); tcp.bind((\"127.0.0.1\", 4711)); tcp.listen()
for place in (\"/tmp\", \"/dev/shm\", \"/home/ann\"):
    open(place + \"/victim\", \"w\").write(\"secret\")
print(\"up\", flush=True)
sys.stdin.read()
print(\"well\")
' \"$@\" secret-argument";

struct Victim {
    cell: Cell,
    pipes: crate::fixture::Pipes,
    stdin: std::io::PipeWriter,
}

impl Victim {
    fn start(cells: &Cells, net: &str) -> Self {
        use std::io::Read;

        let cell = cell_of(cells);
        let (reader, stdin) = std::io::pipe().unwrap();
        let mut run = Run::program("/bin/sh", &["sh", "-c", VICTIM, "sh", net]);
        run.env
            .extend(crate::fixture::c_strings(&["SECRET=secret-value"]));
        run.stdin = reader.into();
        let mut pipes = run.start(&cell).unwrap();
        drop(run);
        let mut up = [0; 3];
        if pipes.stdout.read_exact(&mut up).is_err() {
            panic!("{}", read_all(&mut pipes.stderr));
        }
        Self { cell, pipes, stdin }
    }

    /// Nothing has happened to it.
    fn expect_well(mut self) {
        drop(self.stdin);
        assert_eq!(read_all(&mut self.pipes.stdout), "well\n");
        let event = event_of(&self.cell);
        let well = matches!(
            event,
            Event::Exited {
                status: Status::Code(0),
                ..
            }
        );
        assert!(well, "{event:?}");
    }
}

fn plans(share: bool) -> impl Iterator<Item = (Cells, &'static str)> {
    let nets = [(Net::None, "none"), (Net::Loopback, "loopback")];
    let tiers = OWN_ROOT.into_iter();
    tiers.flat_map(move |tier| {
        nets.map(|(net, name)| {
            let plan = Plan::new(tier).network(net).home("/home/ann");
            let plan = if share { plan.share_scratch() } else { plan };
            (cells_of(plan), name)
        })
    })
}

/// An attacker that tries something on every process that there can be, and says on how many it had success.
const ATTACKS: &str = "python3 -c '
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
own = os.getpid()
parents = {own, os.getppid()}
done = []
def attempt(name, act):
    for pid in range(1, 300):
        if pid in parents: continue
        try:
            if act(pid): done.append((name, pid))
        except OSError: pass
def readable(name): return lambda pid: len(open(\"/proc/%d/%s\" % (pid, name), \"rb\").read()) > 0
for name in (\"environ\", \"maps\", \"auxv\"): attempt(name, readable(name))
attempt(\"cmdline\", lambda pid: b\"secret\" in open(\"/proc/%d/cmdline\" % pid, \"rb\").read())
attempt(\"exe\", lambda pid: os.readlink(\"/proc/%d/exe\" % pid))
attempt(\"mem\", lambda pid: open(\"/proc/%d/mem\" % pid, \"r+b\"))
attempt(\"root\", lambda pid: os.listdir(\"/proc/%d/root\" % pid))
attempt(\"pidfd\", lambda pid: pid != 1 and os.pidfd_open(pid))
attempt(\"ptrace\", lambda pid: libc.ptrace(16, pid, 0, 0) == 0)
attempt(\"affinity\", lambda pid: (os.sched_setaffinity(pid, {0}), True)[1])
attempt(\"priority\", lambda pid: (os.setpriority(os.PRIO_PROCESS, pid, 19), True)[1])
attempt(\"prlimit\", lambda pid: libc.prlimit(pid, 7, ctypes.byref((ctypes.c_ulong * 2)(3, 3)), None) == 0)
attempt(\"signal\", lambda pid: pid != 1 and (os.kill(pid, signal.SIGKILL), True)[1])
print(done)
'";

fn processes_side_by_side() {
    for share in [false, true] {
        for (cells, net) in plans(share) {
            let victim = Victim::start(&cells, net);
            assert_eq!(output(&cells, ATTACKS), "[]\n", "share: {share}");
            victim.expect_well();
        }
    }
}

/// The control: the same attacker has success where it is not confined.
fn the_same_outside_is_possible() {
    let cells = cells_of(Plan::limits());
    let script = format!("(exec sleep 1000) & sleep 0.05; {ATTACKS}");
    let done = output(&cells, &script);
    for act in [
        "environ", "maps", "exe", "pidfd", "priority", "prlimit", "signal",
    ] {
        assert!(done.contains(&format!("'{act}'")), "{act}: {done}");
    }
}

fn memory_and_queues_side_by_side() {
    let shmget = libc::SYS_shmget.to_string();
    let shm = ["syscall", &shmget, "4711", "4096", "0"];
    for share in [false, true] {
        for (cells, net) in plans(share) {
            let victim = Victim::start(&cells, net);
            assert_eq!(probe(&cells, &shm) == Tried::Done, share, "{net}");
            // Landlock has no rule that would let anybody have a queue.
            let queues = share && cell_of(&cells).report().landlock_abi() == 0;
            let queue = probe(&cells, &["queue", "/victim"]);
            assert_eq!(queue == Tried::Done, queues, "{net}: {queue:?}");
            victim.expect_well();
        }
    }
}

fn sockets_side_by_side() {
    for share in [false, true] {
        for (cells, net) in plans(share) {
            let victim = Victim::start(&cells, net);
            let tried = probe(&cells, &["abstract", "victim"]);
            let landlocked = cell_of(&cells).report().landlock_abi() > 0;
            // A shared network has one list of abstract names; Landlock keeps its domains apart all the same.
            let expected = match (share, landlocked) {
                (false, _) => Tried::Refused(libc::ECONNREFUSED),
                (true, true) => Tried::Refused(libc::EPERM),
                (true, false) => Tried::Done,
            };
            assert_eq!(tried, expected, "{net}");
            if net == "loopback" {
                let reached = probe(&cells, &["connect", "127.0.0.1:4711"]) == Tried::Done;
                assert_eq!(reached, share);
            }
            victim.expect_well();
        }
    }
}

const PLACES: [&str; 3] = ["/tmp/victim", "/dev/shm/victim", "/home/ann/victim"];

fn files_side_by_side() {
    for (cells, net) in plans(false) {
        let victim = Victim::start(&cells, net);
        for file in PLACES {
            let tried = probe(&cells, &["read", file]);
            assert_eq!(tried, Tried::Refused(libc::ENOENT), "{file}");
            assert_eq!(probe(&cells, &["create", file]), Tried::Done);
        }
        let text = output(
            &cells,
            "find / -name victim -not -path '/proc/*' 2>/dev/null; true",
        );
        assert_eq!(text, "");
        victim.expect_well();
    }
}

/// It is an opt-in, and this is what it opts into.
fn what_share_shares_and_what_not() {
    for (cells, net) in plans(true) {
        let victim = Victim::start(&cells, net);
        for file in PLACES {
            assert_eq!(probe(&cells, &["read", file]), Tried::Done, "{net} {file}");
        }
        let processes = output(&cells, "ls -d /proc/[0-9]* | wc -l");
        assert!(processes.trim().parse::<u32>().unwrap() <= 4, "{processes}");
        victim.expect_well();
    }
}

/// Everything that one command could have left for the next.
const SNAPSHOT: &str = "
    for place in /tmp /dev/shm /home/ann; do echo $place; ls -lA --time-style=+ $place; stat -c %a $place; done
    cat /proc/sysvipc/shm /proc/sysvipc/sem /proc/sysvipc/msg
    ulimit -a
    cat /proc/self/oom_score_adj
    grep -E '^(Cpus_allowed|Mems_allowed|Sig|NoNewPrivs|Seccomp|Cap)' /proc/self/status
    nice; umask; pwd; uname -n; cat /proc/net/unix | wc -l
    ls /proc/self/fd | wc -l
    cat /proc/self/cgroup /proc/self/mounts; env";

/// Leaves what can be left, takes what can be taken, and changes what can be changed.
const HOSTILE: &str = "python3 -c '
import ctypes, os, resource, socket
libc = ctypes.CDLL(None, use_errno=True)
libc.shmget(815, 4096, 0o1666)
libc.semget(815, 1, 0o1666)
libc.msgget(815, 0o1666)
libc.mq_open(b\"/left\", os.O_CREAT | os.O_RDWR, 0o666, None)
for place in (\"/tmp\", \"/dev/shm\", \"/home/ann\"):
    open(place + \"/left\", \"w\").write(\"#!/bin/sh\")
    os.chmod(place + \"/left\", 0o777)
for place in (\"/home/ann\",): os.chmod(place, 0o777)
open(\"/home/ann/.gitconfig\", \"w\").write(\"[core] fsmonitor = evil\")
resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))
os.nice(5)
os.sched_setaffinity(0, {0})
os.umask(0o777)
for pid in (1, os.getppid()):
    for act in (lambda: os.setpriority(0, pid, 19), lambda: os.sched_setaffinity(pid, {0})):
        try: act()
        except OSError: pass
' ; true";

fn a_third_call_behaves_as_the_first() {
    for (cells, _) in plans(false) {
        let first = output(&cells, SNAPSHOT);
        assert!(first.contains("/home/ann"), "{first}");
        for _ in 0..3 {
            Run::shell(HOSTILE).finish_in(&cell_of(&cells));
        }
        assert_eq!(output(&cells, SNAPSHOT), first);
        // The control: what was left would have been seen.
        let seen = output(&cells, &format!("{HOSTILE}; {SNAPSHOT}"));
        assert_ne!(seen, first);
        assert!(seen.contains(".gitconfig"), "{seen}");
    }
}

/// The zygote of a shared cell could be starved of descriptors or time: `prlimit(1, NOFILE, 3)`, `nice(1, 19)`.
fn an_attacker_cannot_break_what_makes_cells() {
    for share in [false, true] {
        for (cells, _) in plans(share) {
            let attacker = cell_of(&cells);
            let prlimit = libc::SYS_prlimit64.to_string();
            for pid in ["1", "2"] {
                let act = ["syscall", prlimit.as_str(), pid, "7", "0", "0"];
                let tried = probe(&cells, &act);
                assert_eq!(tried, Tried::Refused(libc::EPERM));
            }
            let script =
                "ulimit -n 3; renice 19 -p 1 2>/dev/null; kill -STOP 1 -1 2>/dev/null; exit 0";
            let (event, ..) = Run::shell(script).finish_in(&attacker);
            assert!(matches!(event, Event::Exited { .. }), "{event:?}");
            for _ in 0..5 {
                assert_eq!(output(&cells, "echo ok"), "ok\n");
            }
        }
    }
    let prlimit = libc::SYS_prlimit64.to_string();
    let own = std::process::id().to_string();
    let act = ["syscall", prlimit.as_str(), own.as_str(), "7", "0", "0"];
    assert_eq!(probe_outside(&act), Tried::Done, "the control");
}
