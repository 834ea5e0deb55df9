//! WASI 0.2: there, with nothing beyond the grants.

use portcullis::policy::{FsAccess, FsGrant, FsKind, Grants};
use portcullis_testkit::tests;

use crate::fixture::{Fixture, args, block_on, directory, programs, tests_by_wasi};

tests![the_network_is_not_there,];

tests_by_wasi![
    the_guest_sees_only_variables_that_were_granted,
    files_are_there_as_far_as_they_were_granted,
    clocks_and_random_numbers_are_there,
];

fn probe(guest: &str, fixture: &Fixture, grants: Grants, words: &[&str]) -> Result<String, String> {
    block_on(async {
        fixture
            .instance(guest, grants)
            .await
            .run(&args(words))
            .await
            .unwrap()
    })
}

fn the_guest_sees_only_variables_that_were_granted(guest: &'static str) {
    let fixture = Fixture::new();
    assert_eq!(
        probe(guest, &fixture, programs(&[]), &["env"]),
        Ok(String::new())
    );
    let grants = Grants {
        env: vec!["VISIBLE".to_owned(), "ABSENT".to_owned()],
        ..programs(&[])
    };
    assert_eq!(
        probe(guest, &fixture, grants, &["env"]),
        Ok("VISIBLE=yes\n".to_owned())
    );
    let all = Grants {
        env: vec!["*".to_owned()],
        ..programs(&[])
    };
    let seen = probe(guest, &fixture, all, &["env"]).unwrap();
    assert!(
        seen.contains("VISIBLE=yes\n") && !seen.contains("MY_TOKEN"),
        "{seen}"
    );
}

fn files_are_there_as_far_as_they_were_granted(guest: &'static str) {
    let fixture = Fixture::new();
    let base = fixture.path();
    for (name, text) in [("open/a.txt", "inside"), ("secret.txt", "outside")] {
        std::fs::create_dir_all(base.join("open")).unwrap();
        std::fs::write(base.join(name), text).unwrap();
    }
    std::os::unix::fs::symlink("../secret.txt", base.join("open/link")).unwrap();
    let with = |access| Grants {
        fs: vec![directory(&base.join("open"), "/data", access)],
        ..programs(&[])
    };
    let none = || Grants {
        fs: Vec::new(),
        ..programs(&[])
    };

    assert_eq!(
        probe(
            guest,
            &fixture,
            with(FsAccess::Read),
            &["read", "/data/a.txt"]
        ),
        Ok("inside".to_owned())
    );
    assert!(probe(guest, &fixture, none(), &["read", "/data/a.txt"]).is_err());
    // A single file is for commands: the guest does not see it.
    let file = || Grants {
        fs: vec![
            FsGrant {
                kind: FsKind::File,
                ..directory(&base.join("secret.txt"), "/file", FsAccess::Read)
            },
            directory(&base.join("open"), "/data", FsAccess::Read),
        ],
        ..programs(&[])
    };
    assert!(probe(guest, &fixture, file(), &["read", "/data/a.txt"]).is_ok());
    assert!(probe(guest, &fixture, file(), &["read", "/file"]).is_err());
    for escape in ["/data/../secret.txt", "/data/link", "/secret.txt"] {
        let answer = probe(
            guest,
            &fixture,
            with(FsAccess::ReadWrite),
            &["read", escape],
        );
        assert!(answer.is_err(), "{escape}: {answer:?}");
    }
    assert!(
        probe(
            guest,
            &fixture,
            with(FsAccess::Read),
            &["write", "/data/new.txt", "x"]
        )
        .is_err()
    );
    assert!(!base.join("open/new.txt").exists());
    assert!(
        probe(
            guest,
            &fixture,
            with(FsAccess::ReadWrite),
            &["write", "/data/new.txt", "x"]
        )
        .is_ok()
    );
    assert_eq!(
        std::fs::read_to_string(base.join("open/new.txt")).unwrap(),
        "x"
    );
}

fn the_network_is_not_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    // The control: the address answers, from outside the guest.
    std::net::TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).unwrap();
    listener.accept().unwrap();
    listener.set_nonblocking(true).unwrap();
    let answer = probe(
        "wasi-probe",
        &Fixture::new(),
        programs(&[]),
        &["connect", "127.0.0.1", &port],
    );
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(
        listener.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock,
        "nobody came"
    );
}

fn clocks_and_random_numbers_are_there(guest: &'static str) {
    let fixture = Fixture::new();
    assert!(
        probe(guest, &fixture, programs(&[]), &["clock"])
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 1_700_000_000
    );
    assert_eq!(
        probe(guest, &fixture, programs(&[]), &["random", "32"]),
        Ok("32".to_owned())
    );
}
