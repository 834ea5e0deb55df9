//! What a command finds where the system keeps the certificates that programs trust.

use std::fs;

use portcullis_confine::{Access, Certificates, Plan, Tier};

use super::{OWN_ROOT, cells_of, directory, open, output};
use crate::probe::{Tried, probe};

crate::tests![
    they_are_where_the_system_has_its_own,
    they_cannot_be_written,
    what_was_granted_lies_among_them,
    they_can_be_large,
];

/// Where this system keeps a bundle, if it does.
const SYSTEM: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

fn certificates() -> Certificates {
    Certificates::new(b"bundle\n", b"store\n", vec![0xb, 0x1234_5678]).unwrap()
}

fn they_are_where_the_system_has_its_own() {
    let system: Vec<_> = SYSTEM
        .iter()
        .filter_map(|path| Some((path, fs::read_to_string(path).ok()?)))
        .collect();
    for tier in OWN_ROOT {
        let (with, without) = (
            cells_of(Plan::new(tier).certificates(certificates())),
            cells_of(Plan::new(tier)),
        );
        for (path, text) in &system {
            let cat = format!("cat {path}");
            assert_eq!(output(&with, &cat), "bundle\n", "{tier:?} {path}");
            assert_eq!(
                output(&without, &cat),
                *text,
                "{tier:?} {path}, the control"
            );
        }
        let place = Certificates::PLACE;
        let own = format!(
            "cat {}; cd {place}; cat 0000000b.0 12345678.0 java/cacerts; ls",
            Certificates::BUNDLE
        );
        let names = "0000000b.0\n12345678.0\nadoptium\nca-bundle.crt\nca-bundle.trust.crt\nca-certificates.crt\njava\n";
        let expected = format!("bundle\nbundle\nbundle\nstore\n{names}");
        assert_eq!(output(&with, &own), expected, "{tier:?}");
        // Whatever the system has besides is not there.
        let listed = "if cd /etc/ssl/certs 2>/dev/null; then ls; fi";
        let listed = output(&with, listed);
        assert!(listed.is_empty() || listed == names, "{tier:?} {listed}");
        let javas = "for store in /usr/lib/jvm/*/lib/security/cacerts; do \
                     [ ! -e \"$store\" ] || [ \"$(cat \"$store\")\" = store ] || echo \"$store\"; done";
        assert_eq!(output(&with, javas), "", "{tier:?}");
    }
    for (path, text) in &system {
        assert_eq!(fs::read_to_string(path).unwrap(), *text, "outside");
    }
}

fn they_cannot_be_written() {
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier).certificates(certificates()));
        let new = format!("{}/new", Certificates::PLACE);
        for act in [
            ["write", Certificates::BUNDLE],
            ["remove", Certificates::BUNDLE],
            ["create", &new],
        ] {
            let tried = probe(&cells, &act);
            let refused = [Tried::Refused(libc::EROFS), Tried::Refused(libc::EACCES)];
            assert!(refused.contains(&tried), "{tier:?} {act:?}: {tried:?}");
        }
    }
}

fn what_was_granted_lies_among_them() {
    // One of those that the system has in a directory of its own, if it does.
    let names = fs::read_dir("/etc/ssl/certs")
        .into_iter()
        .flatten()
        .flatten();
    let mut files = names.filter(|entry| entry.file_type().unwrap().is_file());
    let mut own: Vec<_> = files.by_ref().map(|entry| entry.path()).collect();
    own.retain(|path| !path.ends_with("ca-certificates.crt"));
    let dir = directory("certificates");
    fs::write(dir.join("ca.pem"), "granted\n").unwrap();
    own.push(dir.join("ca.pem"));
    for tier in OWN_ROOT {
        for path in &own {
            let plan = Plan::new(tier)
                .certificates(certificates())
                .root(open(path, Access::Read));
            let cells = cells_of(plan);
            let script = format!("cat {} {}", path.display(), Certificates::BUNDLE);
            let expected = format!("{}bundle\n", fs::read_to_string(path).unwrap());
            assert_eq!(output(&cells, &script), expected, "{tier:?}");
            let beside = format!("{}/new", Certificates::PLACE);
            assert_ne!(probe(&cells, &["create", &beside]), Tried::Done);
            if path.starts_with("/etc") {
                let beside = path.with_file_name("new");
                let tried = probe(&cells, &["create", beside.to_str().unwrap()]);
                assert_ne!(tried, Tried::Done, "{tier:?} {}", beside.display());
            }
        }
    }
}

fn they_can_be_large() {
    let bytes = vec![b'x'; Certificates::MAX_BYTES];
    let large = Certificates::new(&bytes, &bytes, (0..2000).collect()).unwrap();
    let cells = cells_of(Plan::new(Tier::Full).certificates(large));
    let script = format!(
        "cd {}; cat *.crt java/cacerts | wc -c; ls *.0 | wc -l",
        Certificates::PLACE
    );
    let count = 4 * Certificates::MAX_BYTES;
    assert_eq!(output(&cells, &script), format!("{count}\n2000\n"));
}
