//! A company's certificates, for programs that no variable tells of them.

use std::fs;

use libtest_mimic::Trial;

use crate::site::site;
use crate::user::{User, find};
use crate::world::World;

/// `sh` starts what it likes, and Java has to be told of the proxy by its own options.
const POLICY: &str = "
[[plugins]]
id = \"assistant\"
path = \"plugins/assistant.wasm\"
fs = { read = [\"${project}\"] }
net = [\"api.github.com:443\"]
exec = { allow = [\"java\", \"sh\"] }
";
const HELLO: &str = "https://api.github.com/hello";
/// Takes every variable away but those of the proxy.
const BARE: &str = "env -i PATH=$PATH HOME=$HOME https_proxy=$https_proxy";

/// Programs, with what each says that trusts the host.
const PROGRAMS: [(&str, &str, &str); 5] = [
    ("curl", "curl -sSf $URL", "hello from"),
    ("wget", "wget -nv -O- $URL", "hello from"),
    (
        "python3",
        "python3 -c \"import urllib.request as r; print(r.urlopen('$URL').read())\"",
        "hello from",
    ),
    // Once by the place that it was built with, once by the names in a directory.
    ("openssl", "openssl s_client $CONNECT", "Verification: OK"),
    (
        "openssl",
        "openssl s_client $CONNECT -no-CAfile -no-CAstore -CApath /etc/ssl/certs",
        "Verification: OK",
    ),
];
const CONNECT: &str =
    "-proxy 127.0.0.1:3128 -connect api.github.com:443 -verify_return_error -brief </dev/null 2>&1";

const GET: &str = "
import java.net.*;
class Get {
  public static void main(String[] args) throws Exception {
    try (var in = URI.create(args[0]).toURL().openStream()) { in.transferTo(System.out); }
  }
}
";

type Test = fn(User);

pub(crate) fn trials(user: User) -> Vec<Trial> {
    let tests: [(&str, Test); 3] = [
        ("programs_that_ignore_variables", programs),
        ("java", java),
        ("what_is_no_certificate_lets_nothing_run", no_certificate),
    ];
    let trial = |(name, test): (&str, Test)| {
        Trial::test(format!("trust::{}::{name}", user.name()), move || {
            test(user);
            Ok(())
        })
    };
    tests.into_iter().map(trial).collect()
}

/// With the company's certificates, or with its proxy alone.
fn world(user: User, trusting: bool) -> World {
    let world = World::new("curl", user);
    world.file("policy.toml", POLICY);
    if !trusting {
        let proxy = site().proxy;
        let company = format!("network.upstream_proxy = \"http://127.0.0.1:{proxy}\"\n");
        world.file("company.toml", &company);
    }
    world
}

fn programs(user: User) {
    let system = || fs::read("/etc/ssl/certs/ca-certificates.crt").ok();
    let before = system();
    let (trusting, other) = (world(user, true), world(user, false));
    for (program, line, trusted) in PROGRAMS {
        if find(program).is_none() {
            println!(
                "SKIP recipes::trust::{}: `{program}` is not installed",
                user.name()
            );
            continue;
        }
        let line = line.replace("$URL", HELLO).replace("$CONNECT", CONNECT);
        let line = format!("{BARE} {line}");
        let said = trusting.succeeds(&["sh", "-c", &line]);
        assert!(said.contains(trusted), "{line}: {said}");
        let (ran, _) = other.fails(&["sh", "-c", &line]);
        let said = format!("{}{}", ran.stdout, ran.stderr).to_lowercase();
        let certificate = ["certificate", "issuer"];
        assert!(
            certificate.iter().any(|word| said.contains(word)),
            "{line}: {said}"
        );
    }
    assert_eq!(system(), before, "the system's own");
}

fn java(user: User) {
    if find("java").is_none() {
        println!(
            "SKIP recipes::trust::{}: `java` is not installed",
            user.name()
        );
        return;
    }
    let get = |world: &World| {
        world.file("project/Get.java", GET);
        world.run(&[(
            "",
            &[
                "java",
                "-Dhttps.proxyHost=127.0.0.1",
                "-Dhttps.proxyPort=3128",
                "Get.java",
                HELLO,
            ],
        )])
    };
    let runs = get(&world(user, true));
    let ran = &runs.answers[0];
    assert_eq!(ran.stdout, "hello from api.github.com\n", "{runs:#?}");
    // No option that would be told at each start.
    assert_eq!(ran.stderr.trim(), "", "{runs:#?}");
    let runs = get(&world(user, false));
    assert!(
        runs.answers[0].stderr.contains("PKIX path building failed"),
        "{runs:#?}"
    );
}

fn no_certificate(user: User) {
    let world = world(user, true);
    world.file("company.pem", "none\n");
    let told = world.told(&["sh", "-c", "true"]);
    assert!(told.contains("cannot use the certificates of"), "{told}");
    assert!(told.contains("it has no certificate in PEM"), "{told}");
}
