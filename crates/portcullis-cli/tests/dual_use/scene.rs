//! One case's world: a directory that is granted, one outside with things to attack, two listeners, a victim. What
//! was gained is read from the world afterwards; nothing the payload says about itself counts.

use crate::entry::{Entry, Payload, directory};
use crate::kit::{Kit, open_directory};
use crate::power::{Power, Powers};
use std::error::Error;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// The mode of the file whose mode is attacked.
const MODE: u32 = 0o600;

/// The world of one case. Dropping it removes all of it.
#[derive(Debug)]
pub(crate) struct Scene {
    directory: TempDir,
    /// Numbers the payload is given, and texts it has to find.
    nonce: u32,
    secret: String,
    token: String,
    tcp: TcpListener,
    unix: UnixListener,
    victim: Child,
    user: Option<u32>,
}

impl Scene {
    /// Builds the world for a payload, owned by `user` (the one who runs the tests if there is none).
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub(crate) fn new(
        kit: &Kit,
        entry: &Entry,
        payload: Payload,
        user: Option<u32>,
    ) -> Result<Self, Box<dyn Error>> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let nonce = std::process::id() * 100 + COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = open_directory()?;
        let outside = directory.path().join("outside");
        for name in ["grant", "tools", "outside", "home"] {
            fs::create_dir(directory.path().join(name))?;
        }
        let secret = format!("secret-{}", nonce.wrapping_mul(2_654_435_761));
        let token = format!("token-{}", nonce.wrapping_mul(2_246_822_519));
        for (name, text) in [("secret", &*secret), ("target", "old"), ("moded", "old")] {
            fs::write(outside.join(name), format!("{text}\n"))?;
            fs::set_permissions(outside.join(name), fs::Permissions::from_mode(MODE))?;
        }
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        tcp.set_nonblocking(true)?;
        let unix = UnixListener::bind(outside.join("socket"))?;
        unix.set_nonblocking(true)?;
        let victim = victim(&token, user)?;
        let scene = Self {
            directory,
            nonce,
            secret,
            token,
            tcp,
            unix,
            victim,
            user,
        };
        scene.furnish(kit)?;
        if payload == Payload::Native {
            for (name, text) in &entry.files {
                scene.place(&scene.grant().join(name), text)?;
            }
        }
        own(scene.directory.path(), user)?;
        Ok(scene)
    }

    /// The directory that is granted for writing, and the working directory.
    pub(crate) fn grant(&self) -> PathBuf {
        self.directory.path().join("grant")
    }

    /// The directory that is granted for reading: the payloads.
    pub(crate) fn tools(&self) -> PathBuf {
        self.directory.path().join("tools")
    }

    /// The home of whoever runs the case.
    pub(crate) fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// The policy file, out of reach of the payload.
    pub(crate) fn policy(&self) -> PathBuf {
        self.directory.path().join("policy.toml")
    }

    /// Writes the policy file.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write_policy(&self, text: &str) -> Result<(), Box<dyn Error>> {
        fs::write(self.policy(), text)?;
        Ok(chown(self.policy(), self.user, self.user)?)
    }

    /// Where the output of the case goes.
    pub(crate) fn output(&self) -> PathBuf {
        self.directory.path().join("output")
    }

    /// Puts the payloads into `tools`.
    fn furnish(&self, kit: &Kit) -> Result<(), Box<dyn Error>> {
        fs::copy(kit.probe(), self.tools().join("probe"))?;
        fs::copy(kit.library(), self.tools().join("probe.so"))?;
        for file in fs::read_dir(directory().join("payload"))? {
            let file = file?;
            let text = fs::read_to_string(file.path())?;
            self.place(&self.tools().join(file.file_name()), &text)?;
        }
        let keys = [
            "nonce", "grant", "secret", "target", "moded", "port", "socket", "victim",
        ];
        let lines = keys.map(|key| format!("{key}=@{key}@\n")).concat();
        self.place(&self.tools().join("conf"), &lines)
    }

    fn place(&self, path: &Path, text: &str) -> Result<(), Box<dyn Error>> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, self.fill(text, ""))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Replaces the names between `@`. `script` is the payload in the program's own language.
    pub(crate) fn fill(&self, text: &str, script: &str) -> String {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        let native = path("tools/native.sh");
        let port = self.tcp.local_addr().map_or(0, |address| address.port());
        let values = [
            ("cmd", format!("sh {native}")),
            ("native", native),
            ("probe", path("tools/probe")),
            ("library", path("tools/probe.so")),
            ("script", path(&format!("tools/{script}"))),
            ("tools", path("tools")),
            ("grant", path("grant")),
            ("nonce", self.nonce.to_string()),
            ("secret", path("outside/secret")),
            ("target", path("outside/target")),
            ("moded", path("outside/moded")),
            ("socket", path("outside/socket")),
            ("port", port.to_string()),
            ("victim", self.victim.id().to_string()),
            ("environ", format!("/proc/{}/environ", self.victim.id())),
        ];
        values.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("@{name}@"), value)
        })
    }

    /// What the payload gained. Ends the victim.
    ///
    /// # Errors
    /// The world cannot be looked at.
    pub(crate) fn gains(&mut self) -> Result<Powers, Box<dyn Error>> {
        let outside = self.directory.path().join("outside");
        let left = |name: &str| {
            let bytes = fs::read(self.grant().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let answer = (u64::from(self.nonce) * 3 + 1).to_string();
        let mode = fs::metadata(outside.join("moded"))?.permissions().mode() & 0o7777;
        let target = fs::read_to_string(outside.join("target"))?;
        let seen = [
            (
                Power::RunCode,
                left("gain.run").lines().any(|line| line.trim() == answer),
            ),
            (Power::OtherPrograms, left("gain.id").contains("uid=")),
            (Power::Read, left("gain.secret").contains(&self.secret)),
            (Power::Write, target.contains(&self.nonce.to_string())),
            (Power::Chmod, mode != MODE),
            (Power::Environ, left("gain.environ").contains(&self.token)),
            (Power::Tcp, accepted(self.tcp.accept())?),
            (Power::UnixSocket, accepted(self.unix.accept())?),
            (Power::Signal, self.signalled()?),
        ];
        Ok(seen
            .iter()
            .filter(|(_, gained)| *gained)
            .map(|(power, _)| *power)
            .collect())
    }

    /// What the payload says it tried, up to the line `done`: a power that was never tried would look like one that
    /// was refused.
    pub(crate) fn tried(&self) -> String {
        fs::read_to_string(self.grant().join("tried")).unwrap_or_default()
    }

    /// A signal that was sent is delivered before the victim can see its input end.
    fn signalled(&mut self) -> Result<bool, Box<dyn Error>> {
        drop(self.victim.stdin.take());
        let status = self.victim.wait()?;
        Ok(status.signal() == Some(rustix::process::Signal::USR1.as_raw()))
    }

    /// Who runs the case, if not the one who runs the tests.
    pub(crate) fn user(&self) -> Option<u32> {
        self.user
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(self.victim.stdin.take());
        // It may have been waited for already.
        self.victim.wait().ok();
    }
}

/// A process of the same user that waits for its input to end, with a token in its environment.
fn victim(token: &str, user: Option<u32>) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new("/bin/cat");
    command
        .env_clear()
        .env("TOKEN", token)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let mut child = command.spawn()?;
    // Until it answers, its environment may not be there yet: a spawn returns in the middle of the kernel's exec.
    let (stdin, stdout) = (child.stdin.as_mut(), child.stdout.as_mut());
    stdin.ok_or("no pipe")?.write_all(b"?")?;
    stdout.ok_or("no pipe")?.read_exact(&mut [0])?;
    Ok(child)
}

/// Whether somebody had connected.
fn accepted<T>(result: std::io::Result<T>) -> Result<bool, Box<dyn Error>> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Hands a tree to a user.
fn own(path: &Path, user: Option<u32>) -> Result<(), Box<dyn Error>> {
    if user.is_none() {
        return Ok(());
    }
    chown(path, user, user)?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            own(&entry?.path(), user)?;
        }
    }
    Ok(())
}
