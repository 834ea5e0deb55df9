//! A registry that others wrote, for tests of pushing and pulling.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Debian's.
const PROGRAM: &str = "/usr/bin/docker-registry";
/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Debian's `docker-registry` on loopback, for as long as this is kept.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    address: SocketAddr,
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may be gone by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    /// Starts one that keeps everything in this directory. With a certificate and its key, both in PEM, it speaks TLS.
    /// `None` where it is not installed: the test is to be skipped by name.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(dir: &Path, certificate: Option<(&str, &str)>) -> Option<Self> {
        Path::new(PROGRAM)
            .exists()
            .then(|| Self::listening(dir, certificate))
    }

    /// `host:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    #[expect(
        clippy::disallowed_methods,
        clippy::unwrap_used,
        reason = "documented; it is a program of its own, and no command of a plugin"
    )]
    fn listening(dir: &Path, certificate: Option<(&str, &str)>) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let file = |name: &str| dir.join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
            file("blobs")
        );
        if let Some((certificate, key)) = certificate {
            let (at, key_at) = (file("certificate.pem"), file("key.pem"));
            fs::write(&at, certificate).unwrap();
            fs::write(&key_at, key).unwrap();
            config += &format!("  tls:\n    certificate: {at}\n    key: {key_at}\n");
        }
        fs::write(file("config.yml"), config).unwrap();
        let mut command = Command::new(PROGRAM);
        command.env_clear().args(["serve", &file("config.yml")]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Self {
            process: command.spawn().unwrap(),
            address,
        };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < until, "the registry does not start");
            thread::sleep(Duration::from_millis(20));
        }
        registry
    }
}
