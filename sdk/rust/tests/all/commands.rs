//! Commands, and what a test can say about them.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use portcullis::ErrorKind;
use portcullis::process::{Command, KillReason, Stdio};
use portcullis::testing::{Host, Reply};

fn kind_of(host: &Host, program: &str, args: &[&str]) -> Option<ErrorKind> {
    let output = host.run(|| Command::new(program).args(args).output());
    output.err().map(|error| error.kind())
}

#[test]
fn a_pattern_is_word_for_word_with_places_that_are_open() {
    let host = Host::new()
        .command(["git", "log"], Reply::new())
        .command(["git", "show", "*"], Reply::new())
        .command(["make", "**"], Reply::new());
    let granted: [(&str, &[&str]); 5] = [
        ("git", &["log"]),
        ("git", &["show", "HEAD"]),
        ("make", &[]),
        ("make", &["all"]),
        ("make", &["-j", "2"]),
    ];
    for (program, args) in granted {
        assert_eq!(kind_of(&host, program, args), None, "{program} {args:?}");
    }
    let denied: [(&str, &[&str]); 6] = [
        ("git", &[]),
        ("git", &["log", "-p"]),
        ("git", &["show"]),
        ("git", &["show", "a", "b"]),
        ("git", &["push"]),
        ("cmake", &[]),
    ];
    for (program, args) in denied {
        assert_eq!(
            kind_of(&host, program, args),
            Some(ErrorKind::Denied),
            "{program} {args:?}"
        );
    }
}

#[test]
fn a_call_has_all_that_was_asked() {
    let host = Host::new().command(["cat", "**"], Reply::new());
    host.run(|| {
        let mut command = Command::new("cat");
        command.args(["-n", "-"]).arg(Path::new("a/b"));
        command
            .env("A", "1")
            .envs([("B", "2"), ("C", "3")])
            .env_remove("B")
            .inherit_env(true);
        command
            .current_dir("sub")
            .timeout(Duration::from_secs(2))
            .input("text");
        assert_eq!(command.get_program(), "cat");
        assert_eq!(command.get_args().last(), Some("a/b"));
        command.output().unwrap();
        command.env_clear().spawn().unwrap();
    });
    let [whole, cleared] = &host.calls()[..] else {
        panic!("{:?}", host.calls())
    };
    assert_eq!(
        (&*whole.program, &whole.args[..]),
        ("cat", &["-n", "-", "a/b"].map(str::to_owned)[..])
    );
    assert_eq!(
        whole.env,
        [
            ("A".to_owned(), "1".to_owned()),
            ("C".to_owned(), "3".to_owned())
        ]
    );
    assert!(whole.inherit_env);
    assert_eq!(whole.current_dir.as_deref(), Some(Path::new("sub")));
    assert_eq!(whole.timeout, Some(Duration::from_secs(2)));
    assert_eq!(whole.stdin, b"text");
    assert!(cleared.env.is_empty() && !cleared.inherit_env && cleared.stdin == b"text");
}

#[test]
fn an_error_says_what_was_asked_and_why_not() {
    let host = Host::new().command(["gone"], Reply::error(ErrorKind::NotFound));
    host.run(|| {
        let denied = Command::new("git").arg("log").output().unwrap_err();
        assert_eq!(
            denied.to_string(),
            "cannot run `git`: denied: the operator's policy does not allow it"
        );
        let gone = Command::new("gone").spawn().unwrap_err();
        assert_eq!(
            (gone.kind(), &*gone.to_string()),
            (ErrorKind::NotFound, "cannot run `gone`: not found")
        );
        assert_eq!(
            std::io::Error::from(gone).kind(),
            std::io::ErrorKind::NotFound
        );
        let own = Command::new("gone")
            .stdin(Stdio::inherit())
            .spawn()
            .unwrap_err();
        assert_eq!(own.kind(), ErrorKind::Invalid);
    });
}

#[test]
fn a_status_is_what_it_was() {
    let host = Host::new()
        .command(
            ["seven"],
            Reply::new().code(7).stderr("\nno: seven\nmore\n"),
        )
        .command(["segv"], Reply::new().signal(11))
        .command(
            ["slow"],
            Reply::new().stdout("begun").takes(Duration::from_secs(30)),
        );
    host.run(|| {
        let seven = Command::new("seven").output().unwrap();
        assert_eq!(
            (
                seven.status.code(),
                seven.status.signal(),
                seven.status.success()
            ),
            (Some(7), None, false)
        );
        let error = Command::new("seven").read().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`seven` failed: exit status 7: no: seven"
        );
        assert_eq!(error.output().unwrap().stderr, seven.stderr);

        let segv = Command::new("segv").status().unwrap();
        assert_eq!(
            (segv.code(), segv.signal(), segv.killed()),
            (None, Some(11), None)
        );

        let mut slow = Command::new("slow");
        assert!(slow.output().unwrap().status.success(), "it has time");
        let cut = slow.timeout(Duration::from_secs(1)).output().unwrap();
        assert!(cut.status.timed_out() && cut.status.signal() == Some(9));
        assert_eq!(
            (&cut.stdout[..], cut.duration),
            (&b"begun"[..], Duration::from_secs(1))
        );
        assert_eq!(
            slow.read().unwrap_err().to_string(),
            "`slow` failed: its time was over"
        );
    });
}

#[test]
fn text_is_read_without_the_last_line_break_and_bytes_are_no_text() {
    for (said, read) in [
        ("a\n\n", "a\n"),
        ("a\r\n", "a"),
        ("a", "a"),
        ("", ""),
        ("\n", ""),
    ] {
        let host = Host::new().command(["say"], Reply::new().stdout(said));
        assert_eq!(
            host.run(|| Command::new("say").read()).unwrap(),
            read,
            "{said:?}"
        );
    }
    let host = Host::new().command(["say"], Reply::new().stdout([0xff]));
    let error = host.run(|| Command::new("say").read()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.to_string(), "`say` wrote something that is not UTF-8");
}

#[test]
fn an_answer_may_depend_on_the_call() {
    let count = Cell::new(0);
    let host = Host::new()
        .command_with(["cat"], |call| Reply::new().stdout(call.stdin.clone()))
        .command_with(["flaky"], move |_| {
            count.set(count.get() + 1);
            Reply::new().code(u8::from(count.get() < 3))
        });
    host.run(|| {
        assert_eq!(Command::new("cat").input("text").read().unwrap(), "text");
        let tries = std::iter::repeat_with(|| Command::new("flaky").status().unwrap());
        assert_eq!(tries.take_while(|status| !status.success()).count(), 2);

        let mut cat = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(cat.stdin.as_mut().unwrap(), "a\nb").unwrap();
        drop(cat.stdin.take());
        let lines: Vec<_> = BufReader::new(cat.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap)
            .collect();
        assert_eq!(lines, ["a", "b"]);
        assert!(cat.wait().unwrap().success());
    });
    assert_eq!(host.calls().last().unwrap().stdin, b"a\nb\n");
}

#[test]
fn a_child_is_over_when_its_time_has_passed() {
    let host = Host::new().command(["slow"], Reply::new().takes(Duration::from_millis(5)));
    host.run(|| {
        let mut child = Command::new("slow").spawn().unwrap();
        let mut looks = 0;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None => looks += 1,
            }
        };
        assert!(status.success() && looks == 5, "{looks}");
        child.kill().unwrap();
        assert!(child.wait().unwrap().success(), "it was over before");
    });
}

#[test]
fn a_child_that_is_killed_says_so() {
    let host = Host::new().command(["slow"], Reply::new().takes(Duration::from_secs(9)));
    host.run(|| {
        let mut child = Command::new("slow").spawn().unwrap();
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(
            (status.signal(), status.killed()),
            (Some(9), Some(KillReason::Asked))
        );
        assert_eq!(child.try_wait().unwrap(), Some(status));
    });
}

#[test]
fn streams_lead_where_they_are_sent() {
    let host = Host::new().command(["both"], Reply::new().stdout("out").stderr("err"));
    host.run(|| {
        let child = Command::new("both").spawn().unwrap();
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());

        let merged = Command::new("both").stderr_to_stdout().output().unwrap();
        assert_eq!(
            (&merged.stdout[..], &merged.stderr[..]),
            (&b"outerr"[..], &b""[..])
        );

        let thrown = Command::new("both").stdout(Stdio::null()).output().unwrap();
        assert_eq!(
            (&thrown.stdout[..], &thrown.stderr[..]),
            (&b""[..], &b"err"[..])
        );

        let mut child = Command::new("both").stderr(Stdio::piped()).spawn().unwrap();
        let mut told = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut told)
            .unwrap();
        assert_eq!(told, "err");
    });
}
