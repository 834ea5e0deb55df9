//! What a cell's root has besides its plan's roots, as data.

/// Below `usr`: what programs need to run but are not. With a list of programs these can be read, the rest of `usr`
/// cannot.
pub(super) const LIBRARIES: [&str; 8] = [
    "usr/lib",
    "usr/lib32",
    "usr/lib64",
    "usr/libx32",
    "usr/share",
    "usr/include",
    "usr/local/lib",
    "usr/local/share",
];

/// The loaders of dynamic programs: the kernel executes one with each program, so a list of programs implies them.
pub(super) const LOADERS: [&str; 5] = [
    "lib64/ld-linux-x86-64.so.2",
    "lib/ld-linux-aarch64.so.1",
    "lib/ld-linux.so.2",
    "lib/ld-musl-x86_64.so.1",
    "lib/ld-musl-aarch64.so.1",
];

/// A file or directory of `/etc` that programs fail without, and which of them.
pub(super) struct Etc {
    pub(super) name: &'static str,
    #[expect(dead_code, reason = "read by whoever wants to remove one")]
    pub(super) reason: &'static str,
}

const fn etc(name: &'static str, reason: &'static str) -> Etc {
    Etc { name, reason }
}

/// Read-only. No host key, no password, nothing that names this machine.
pub(super) const ETC: [Etc; 25] = [
    etc("ld.so.cache", "the loader finds libraries with it"),
    etc("ld.so.conf", "as above, for tools that read it"),
    etc("ld.so.conf.d", "as above"),
    etc("passwd", "ssh and git ask for the user's name"),
    etc("group", "ls and tar ask for the group's name"),
    etc("nsswitch.conf", "how names are looked up"),
    etc("hosts", "localhost"),
    etc("host.conf", "how names are looked up"),
    etc("gai.conf", "how addresses are ordered"),
    etc("services", "names of ports"),
    etc("protocols", "names of protocols"),
    etc("localtime", "the time zone"),
    etc("timezone", "the time zone's name, for java"),
    etc("ssl", "certificates, and node's configuration"),
    etc("ca-certificates", "certificates"),
    etc("pki", "certificates, on Fedora"),
    etc("crypto-policies", "what OpenSSL allows, on Fedora"),
    etc("alternatives", "java, editor, awk are links through it"),
    etc("os-release", "which system this is"),
    etc("mime.types", "python's mimetypes"),
    etc("gitconfig", "the system's git configuration"),
    etc("inputrc", "readline"),
    etc("bash.bashrc", "bash"),
    etc("java-17-openjdk", "java's configuration, on Debian"),
    etc("java-21-openjdk", "java's configuration, on Debian"),
];

/// Only with the host's own network.
pub(super) const RESOLVER: Etc = etc("resolv.conf", "the name servers");

/// A directory of secrets inside a directory of [`ETC`]: hidden.
pub(super) const HIDDEN: [&str; 1] = ["etc/ssl/private"];

/// Device nodes that hold nothing.
pub(super) const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Links that programs expect in `/dev`.
pub(super) const DEVICE_LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Where a template keeps what its cells mount; gone from each cell before its command starts.
pub(super) const STAGE: &str = ".cell";
/// In the stage: the host's `/proc`, without which the kernel lets nobody mount another.
pub(super) const HOST_PROC: &str = "proc";
/// In the stage: where each cell mounts what its scratch directories are parts of.
pub(super) const SCRATCH: &str = "scratch";
/// In the directory under the stage: what no rule grants, so that a cell can try whether Landlock refuses it.
pub(super) const CANARY: &str = "canary";

/// A scratch directory of cells that have copies: in it one directory for each, by its number.
pub(super) const COPIES: &str = "/run/copies";

/// Directories in which systems keep the certificates that programs trust, a file each and all in one.
pub(super) const CERTIFICATE_DIRECTORIES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];
/// Files in which systems keep them, all in one.
pub(super) const CERTIFICATE_BUNDLES: [&str; 5] = [
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
];
/// The same for Java, where it is not one of the directories above.
pub(super) const CERTIFICATE_STORES: [&str; 3] = [
    "/etc/pki/java/cacerts",
    "/etc/pki/ca-trust/extracted/java/cacerts",
    "/etc/ca-certificates/extracted/java-cacerts.jks",
];
/// Below it each Java of the system may have a store of its own.
pub(super) const JAVAS: &str = "/usr/lib/jvm";
/// In each of them, since and before Java 9.
pub(super) const JAVA_STORES: [&str; 2] = ["lib/security/cacerts", "jre/lib/security/cacerts"];

/// Bytes that the scratch directories of one cell hold together.
pub(super) const SCRATCH_BYTES: u64 = 1 << 30;
/// Files in the scratch directories of one cell.
pub(super) const SCRATCH_FILES: u64 = 200_000;
