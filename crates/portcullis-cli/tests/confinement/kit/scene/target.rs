//! What an attack is aimed at: services, a victim, what the machine shares.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream},
    },
    path::Path,
    process::{Child, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use super::{Scene, machine};
use crate::kit::case::Prepare;

/// One of them, alive while the scene is.
#[derive(Debug)]
pub(super) enum Target {
    Nothing,
    Tcp(TcpListener),
    Udp(UdpSocket),
    Unix(UnixListener),
    Datagram(UnixDatagram),
    /// Both ends, of which the first is inherited.
    Pair {
        _ends: (UnixStream, UnixStream),
    },
    Victim(Victim),
}

/// A process of the user's with a secret in its memory.
#[derive(Debug)]
pub(super) struct Victim {
    child: Child,
    secret: String,
}

impl Target {
    pub(super) fn make(scene: &mut Scene, prepare: Prepare) -> Self {
        match prepare {
            Prepare::Nothing
            | Prepare::InheritedFile
            | Prepare::Terminal
            | Prepare::ReplacedRoot => {}
            Prepare::TcpService => return Self::tcp(scene),
            Prepare::UdpService => return Self::udp(scene),
            Prepare::UnixService => return Self::unix(scene, "outside/socket"),
            Prepare::GrantedUnixService => return Self::unix(scene, "project/ro/socket"),
            Prepare::UnixDatagramService => return Self::datagram(scene),
            Prepare::AbstractService => return Self::abstract_name(scene),
            Prepare::InheritedSocket => return Self::pair(),
            Prepare::Victim => return Self::Victim(Victim::new(scene)),
            Prepare::Key => {
                scene.set("key", unique("probe-key"));
                prepared(scene, &["add-key", "{key}", "{nonce}"]);
            }
            Prepare::SharedMemory => {
                scene.set("key", 0x7072_0000 + number());
                prepared(scene, &["make-shm", "{key}", "{nonce}"]);
            }
            Prepare::Queue => {
                scene.set("key", format!("/{}", unique("probe-queue")));
                prepared(scene, &["make-mq", "{key}", "{nonce}"]);
            }
            Prepare::ShmFile => {
                let path = Path::new("/dev/shm").join(unique("probe-shm"));
                fs::write(&path, scene.fill("{nonce}")).unwrap();
                scene.user().own(&path);
                scene.set("shm", path.display());
            }
            Prepare::HostSecret => {
                let nonce = scene.fill("{nonce}");
                scene.set_environment("PLAIN_NAME", &nonce);
            }
            Prepare::SetId => scene.make_set_id(),
            Prepare::ForeignFormat => scene.make_foreign(),
            Prepare::OwnProgram => scene.make_own_program(),
        }
        Self::Nothing
    }

    fn tcp(scene: &mut Scene) -> Self {
        let service = TcpListener::bind("127.0.0.1:0").unwrap();
        service.set_nonblocking(true).unwrap();
        scene.set("port", service.local_addr().unwrap().port());
        Self::Tcp(service)
    }

    fn udp(scene: &mut Scene) -> Self {
        let service = UdpSocket::bind("127.0.0.1:0").unwrap();
        service.set_nonblocking(true).unwrap();
        scene.set("port", service.local_addr().unwrap().port());
        Self::Udp(service)
    }

    fn unix(scene: &mut Scene, place: &str) -> Self {
        let path = scene.root().join(place);
        let service = UnixListener::bind(&path).unwrap();
        scene.user().own(&path);
        service.set_nonblocking(true).unwrap();
        scene.set("socket", path.display());
        Self::Unix(service)
    }

    fn datagram(scene: &mut Scene) -> Self {
        let path = scene.root().join("outside/socket");
        let service = UnixDatagram::bind(&path).unwrap();
        scene.user().own(&path);
        service.set_nonblocking(true).unwrap();
        scene.set("socket", path.display());
        Self::Datagram(service)
    }

    fn abstract_name(scene: &mut Scene) -> Self {
        let name = unique("probe-abstract");
        let service =
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        service.set_nonblocking(true).unwrap();
        scene.set("abstract", format!("@{name}"));
        Self::Unix(service)
    }

    fn pair() -> Self {
        let (inherited, kept) = UnixStream::pair().unwrap();
        // Small numbers are those that everybody on the way uses for their own.
        let inherited = rustix::io::fcntl_dupfd_cloexec(&inherited, 200).unwrap();
        // Every child that this process starts from here on has it; `portcullis` may pass it to none of its own.
        rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
        Self::Pair {
            _ends: (inherited.into(), kept),
        }
    }

    /// Whether anybody came.
    pub(super) fn was_reached(&self) -> bool {
        let mut byte = [0; 16];
        match self {
            Self::Tcp(service) => service.accept().is_ok(),
            Self::Unix(service) => service.accept().is_ok(),
            Self::Udp(service) => service.recv(&mut byte).is_ok(),
            Self::Datagram(service) => service.recv(&mut byte).is_ok(),
            Self::Nothing | Self::Pair { .. } | Self::Victim(_) => panic!("no service to reach"),
        }
    }

    pub(super) fn victim_state(&self) -> String {
        match self {
            Self::Victim(victim) => victim.state(),
            _ => panic!("no victim"),
        }
    }

    /// Whether its memory is not as it was; it ends with this.
    pub(super) fn victim_is_hurt(&mut self) -> bool {
        match self {
            Self::Victim(victim) => victim.is_hurt(),
            _ => panic!("no victim"),
        }
    }
}

impl Victim {
    fn new(scene: &mut Scene) -> Self {
        let secret = scene.fill("{nonce}");
        let mut child = scene
            .user()
            .command(machine().probe())
            .args(["victim", &secret])
            .env("SECRET", &secret)
            .current_dir(scene.fill("{outside}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        // The victim writes this line and nothing more until it ends: nothing is lost in the buffer.
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let (pid, address) = line.trim().split_once(' ').unwrap();
        scene.set("victim", pid);
        scene.set("address", address);
        Self { child, secret }
    }

    /// Whether it runs, its limits, priority, scheduling and processors.
    fn state(&self) -> String {
        let read = |name: &str| {
            fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default()
        };
        let status = read("status");
        let lines = |names: &[&str], text: &str| -> String {
            let wanted = |line: &&str| names.iter().any(|name| line.starts_with(name));
            text.lines().filter(wanted).collect::<Vec<_>>().join("\n")
        };
        let stat = read("stat");
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        let fields: Vec<_> = after_name.split(' ').collect();
        let stopped = matches!(fields.first(), Some(&("T" | "t" | "Z")) | None);
        let nice = fields.get(16).copied().unwrap_or_default();
        let scheduling = fields.get(38).copied().unwrap_or_default();
        format!(
            "stopped {stopped} nice {nice} scheduling {scheduling}\n{}\n{}",
            lines(&["Cpus_allowed_list", "TracerPid"], &status),
            lines(&["Max open files"], &read("limits")),
        )
    }

    fn is_hurt(&mut self) -> bool {
        // A stopped victim goes on, a dead one stays dead.
        let id = rustix::process::Pid::from_child(&self.child);
        let _gone = rustix::process::kill_process(id, rustix::process::Signal::CONT);
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        !text.contains(&self.secret)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// # Panics
/// `INVALID`: what the attack is aimed at is not there.
fn prepared(scene: &Scene, act: &[&str]) {
    assert!(scene.helper(act), "INVALID: cannot prepare {act:?}");
}

fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    (std::process::id() & 0xff) * 256 + NEXT.fetch_add(1, Ordering::Relaxed)
}

fn unique(word: &str) -> String {
    format!("{word}-{}-{}", std::process::id(), number())
}
