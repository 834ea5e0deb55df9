//! The hosts that recipes name, served from files on loopback behind a company's proxy with certificates of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, OnceLock};

use portcullis_testkit::repository;

use crate::kit::{kit, open_to_all};
use crate::user::{command, find};

/// Every host that a recipe grants, one that is granted later, and one that never is.
const HOSTS: [&str; 8] = [
    "github.com",
    "api.github.com",
    "pypi.org",
    "files.pythonhosted.org",
    "registry.npmjs.org",
    "later.example",
    "refused.example",
    "127.0.0.1",
];

/// A site that is being served.
#[derive(Debug)]
pub(crate) struct Site {
    root: PathBuf,
    pub(crate) proxy: u16,
    pub(crate) tls: u16,
    server: Mutex<Child>,
}

static SITE: OnceLock<Site> = OnceLock::new();

/// Returns the site, made by the first who asks.
pub(crate) fn site() -> &'static Site {
    SITE.get_or_init(Site::new)
}

/// Ends the server.
pub(crate) fn end() {
    if let Some(site) = SITE.get() {
        let mut server = site.server.lock().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }
}

impl Site {
    fn new() -> Self {
        let root = kit().root().join("site");
        fs::create_dir(&root).unwrap();
        open_to_all(&root);
        certificates(&root);
        for host in HOSTS {
            fs::create_dir(root.join(host)).unwrap();
            fs::write(
                root.join(host).join("hello"),
                format!("hello from {host}\n"),
            )
            .unwrap();
        }
        let script = repository().join("crates/portcullis-cli/tests/recipes/site.py");
        let mut server = command(&find("python3").unwrap())
            .arg(script)
            .arg(&root)
            .args(["server.pem", "server.key"].map(|file| root.join(file)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ports = String::new();
        let stdout = server.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ports).unwrap();
        let mut ports = ports.split_whitespace().map(|port| port.parse().unwrap());
        Self {
            proxy: ports.next().unwrap(),
            tls: ports.next().unwrap(),
            root,
            server: Mutex::new(server),
        }
    }

    /// The files of a host.
    pub(crate) fn host(&self, host: &str) -> PathBuf {
        self.root.join(host)
    }

    /// The company's certificate, by which all hosts are trusted.
    pub(crate) fn company(&self) -> PathBuf {
        self.root.join("company.pem")
    }

    /// What a host was asked for, from the first recipe on.
    pub(crate) fn requests(&self, host: &str) -> Vec<String> {
        let requests = fs::read_to_string(self.root.join("requests")).unwrap();
        let own = requests
            .lines()
            .filter_map(|line| line.strip_prefix(host)?.strip_prefix(' '));
        own.map(str::to_owned).collect()
    }
}

/// A company's own authority, and one certificate for all hosts.
fn certificates(root: &Path) {
    let openssl = |args: &[&str]| {
        let done = command(&find("openssl").unwrap())
            .args(args)
            .current_dir(root)
            .output()
            .unwrap();
        assert!(done.status.success(), "{args:?}: {done:?}");
    };
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    let authority = [
        "req",
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=Company",
        "-keyout",
        "company.key",
        "-out",
        "company.pem",
    ];
    let usage = ["-addext", "keyUsage=critical,keyCertSign"];
    openssl(&[&authority[..], &key, &usage].concat());
    let request = [
        "req",
        "-subj",
        "/CN=hosts",
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
    ];
    openssl(&[&request[..], &key].concat());
    let names = HOSTS.map(|host| {
        let kind = if host.starts_with(|first: char| first.is_ascii_digit()) {
            "IP"
        } else {
            "DNS"
        };
        format!("{kind}:{host}")
    });
    let extensions = format!(
        "subjectAltName={}\nextendedKeyUsage=serverAuth\n",
        names.join(",")
    );
    fs::write(root.join("extensions"), extensions).unwrap();
    let sign = [
        "x509",
        "-req",
        "-days",
        "2",
        "-in",
        "server.csr",
        "-out",
        "server.pem",
        "-extfile",
        "extensions",
    ];
    openssl(
        &[
            &sign[..],
            &[
                "-CA",
                "company.pem",
                "-CAkey",
                "company.key",
                "-CAcreateserial",
            ],
        ]
        .concat(),
    );
}
