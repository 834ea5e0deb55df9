//! `exec`: a command without a plugin, with what was granted and nothing else. The confinement is real.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::context::{AUTHORITY, Context, shows};

/// Exit code, standard output and standard error.
fn ran(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn exec(context: &Context, flags: &[&str], script: &str) -> (i32, String, String) {
    let args = [&["exec"], flags, &["--", "sh", "-c", script]].concat();
    ran(context.output(&args))
}

#[test]
fn outputs_and_code_are_the_commands_own() {
    let context = Context::beside_tmp();
    assert_eq!(
        exec(&context, &[], "echo out; echo err >&2; exit 7"),
        (7, "out\n".to_owned(), "err\n".to_owned())
    );
    for (signal, code) in [("TERM", 143), ("KILL", 137), ("SEGV", 139)] {
        assert_eq!(
            exec(&context, &[], &format!("kill -{signal} $$; sleep 60")).0,
            code
        );
    }
}

#[test]
fn our_own_ends_have_codes_of_their_own() {
    let context = Context::beside_tmp();
    shows!(context, ["exec", "--", "nosuch"], @"
    exit 127
    -- stderr
    error[P0205]: `portcullis exec` may not run `nosuch`
      note: it is allowed, but not found in `/usr/local/bin`, `/usr/bin`, `/bin`
    ");
    shows!(context, ["exec", "--timeout", "soon", "--", "true"], @"
    exit 125
    -- stderr
    error[P0907]: `soon` is not a time
      note: expected a whole number and `ms`, `s`, `m` or `h`, such as 30s
    ");
    assert_eq!(exec(&context, &["--timeout", "100ms"], "sleep 600").0, 124);
    assert_eq!(
        exec(&context, &["--net", "none", "--net", "open"], "").0,
        125
    );
    assert_eq!(context.output(&["exec"]).status.code(), Some(125));
    assert_eq!(
        context
            .output(&["exec", "--exec", "a/b", "--", "ls"])
            .status
            .code(),
        Some(125)
    );
}

#[test]
fn the_working_directory_is_empty_unless_it_is_granted() {
    let context = Context::beside_tmp();
    let file = context.write("file", "secret");
    let (code, stdout, stderr) = exec(&context, &[], "pwd; ls -A; cat file");
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(stdout, format!("{}\n", context.project().display()));
    assert!(stderr.contains("No such file or directory"), "{stderr}");
    let (code, _, stderr) = exec(&context, &[], "echo x > new");
    assert!(
        code != 0 && stderr.contains("Read-only file system"),
        "{stderr}"
    );

    let (code, stdout, stderr) = exec(&context, &["--read", "."], "cat file; echo x > file");
    assert_eq!((code, stdout.as_str()), (2, "secret"), "{stderr}");
    assert!(stderr.contains("Read-only file system"), "{stderr}");
    assert_eq!(fs::read(&file).unwrap(), b"secret");

    let written = exec(&context, &["--write", "."], "echo x > file; echo y > new");
    assert_eq!(written.0, 0, "{}", written.2);
    assert_eq!(fs::read(&file).unwrap(), b"x\n");
    assert_eq!(fs::read(context.project().join("new")).unwrap(), b"y\n");
}

#[test]
fn what_lies_outside_and_the_home_are_not_there() {
    let context = Context::beside_tmp();
    let outside = context.root().join("outside");
    fs::write(&outside, "theirs").unwrap();
    let secret = context.home().join("secret");
    fs::write(&secret, "mine").unwrap();
    let script = format!(
        "cat {}; cat ~/secret; echo x > {}",
        outside.display(),
        outside.display()
    );
    let (code, stdout, stderr) = exec(&context, &["--write", "."], &script);
    assert!(code != 0 && stdout.is_empty(), "{stdout}");
    assert_eq!(
        stderr.matches("No such file or directory").count(),
        2,
        "{stderr}"
    );
    assert_eq!(fs::read(&outside).unwrap(), b"theirs");
    // The same with the grant.
    let granted = exec(
        &context,
        &["--read", secret.to_str().unwrap()],
        "cat ~/secret",
    );
    assert_eq!(granted, (0, "mine".to_owned(), String::new()));
}

#[test]
fn nobody_else_is_seen() {
    let context = Context::beside_tmp();
    let (_, stdout, _) = exec(&context, &[], "echo /proc/[0-9]*; cat /proc/self/status");
    let seen = stdout.lines().next().unwrap();
    assert_eq!(
        seen.split(' ').count(),
        2,
        "the init and the command: {seen}"
    );
    for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(stdout.contains(line), "{line} in {stdout}");
    }
}

/// Asks for something at a port of this machine, through the proxy if there is one.
fn dial(port: u16) -> String {
    format!(
        "at=127.0.0.1/{port}; [ -z \"$https_proxy\" ] || at=${{https_proxy#http://}}; \
         exec 3<>/dev/tcp/${{at/:/\\/}} || exit 9; \
         printf 'CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n' >&3; head -n1 <&3"
    )
}

fn bash(context: &Context, flags: &[&str], script: &str) -> (i32, String, String) {
    let args = [&["exec"], flags, &["--", "bash", "-c", script]].concat();
    ran(context.output(&args))
}

#[test]
fn the_network_is_what_was_granted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            greet(stream.unwrap());
        }
    });
    let context = Context::beside_tmp();
    let script = dial(port);
    let (code, stdout, stderr) = bash(&context, &[], &script);
    assert!(code == 9 && stdout.is_empty(), "{stdout} {stderr}");
    let (code, stdout, stderr) = bash(&context, &["--net", "loopback"], &script);
    assert!(
        code == 9 && stdout.is_empty(),
        "another loopback: {stdout} {stderr}"
    );
    let (code, stdout, stderr) = bash(&context, &["--net", "open"], &script);
    assert_eq!(
        (code, stdout.trim_end()),
        (0, "HTTP/1.1 299 it was reached"),
        "{stderr}"
    );
    let host = format!("127.0.0.1:{port}");
    let (_, stdout, stderr) = bash(&context, &["--net", &host], &script);
    assert!(stdout.starts_with("HTTP/1.1 200"), "{stdout} {stderr}");
    let (_, stdout, _) = bash(&context, &["--net", "127.0.0.1:1"], &script);
    assert!(stdout.starts_with("HTTP/1.1 403"), "{stdout}");
}

fn greet(mut stream: TcpStream) {
    let mut asked = Vec::new();
    let mut byte = [0; 1];
    // The proxy's own connections say nothing.
    while stream.read(&mut byte).is_ok_and(|read| read > 0) {
        asked.extend(byte);
        if asked.ends_with(b"\r\n\r\n") {
            let _ = stream.write_all(b"HTTP/1.1 299 it was reached\r\n\r\n");
            return;
        }
    }
}

#[test]
fn the_upstream_proxy_and_the_certificates_of_the_policy_are_used() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstream = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 30];
        stream.read_exact(&mut asked).unwrap();
        String::from_utf8(asked.to_vec()).unwrap()
    });
    let context = Context::beside_tmp();
    context.write("ca.pem", AUTHORITY);
    let policy = format!(
        "network = {{ upstream_proxy = \"http://127.0.0.1:{port}\", ca_file = \"ca.pem\" }}\n"
    );
    context.write("policy.toml", policy);
    let flags = ["--policy", "policy.toml", "--net", "a.example.org:443"];
    let script = "exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT a.example.org:443 HTTP/1.1\\r\\n\\r\\n' >&3; \
                  head -n1 <&3 >/dev/null; cat \"$SSL_CERT_FILE\"";
    let (code, stdout, stderr) = bash(&context, &flags, script);
    assert_eq!((code, stdout.as_str()), (0, AUTHORITY), "{stderr}");
    assert_eq!(upstream.join().unwrap(), "CONNECT a.example.org:443 HTTP");
    let (_, stdout, _) = bash(&context, &[], "echo \"$SSL_CERT_FILE\"");
    assert_eq!(stdout, "\n");
}

#[test]
fn variables_are_those_that_are_written() {
    let context = Context::beside_tmp().env("MINE", "yours").env("OTHER", "x");
    let flags = [
        "--env",
        "MINE",
        "--env",
        "SET=a=b",
        "--env",
        "LD_LIBRARY_PATH=/x",
    ];
    let (_, stdout, _) = exec(&context, &flags, "env");
    for line in ["MINE=yours", "SET=a=b", "LD_LIBRARY_PATH=/x", "TERM=dumb"] {
        assert!(
            stdout.lines().any(|found| found == line),
            "{line} in {stdout}"
        );
    }
    assert!(!stdout.contains("OTHER="), "{stdout}");
}

#[test]
fn other_programs_are_those_that_are_listed() {
    let context = Context::beside_tmp();
    let (code, stdout, _) = exec(&context, &[], "/usr/bin/id -u >/dev/null; echo $?");
    assert_eq!((code, stdout.as_str()), (0, "0\n"));
    let script = "/usr/bin/id; echo $?; /usr/bin/env true; echo $?";
    let (_, stdout, _) = exec(&context, &["--exec", "none"], script);
    assert_eq!(stdout, "126\n126\n");
    let (_, stdout, _) = exec(&context, &["--exec", "env", "--exec", "true"], script);
    assert_eq!(stdout, "126\n0\n");
}

#[test]
fn files_of_our_own_are_granted_to_nobody() {
    let context = Context::beside_tmp();
    // So that there is something to reach.
    assert_eq!(exec(&context, &[], "true").0, 0);
    let home = context.home();
    let data = home.join(".local/share/portcullis");
    fs::create_dir_all(context.own_policy().parent().unwrap()).unwrap();
    for (flag, path) in [
        ("--write", home.clone()),
        ("--write", home.join(".config/portcullis")),
        ("--write", home.join(".cache/portcullis")),
        ("--read", data.clone()),
        ("--read", home.join(".local")),
    ] {
        let path = path.to_str().unwrap();
        let (code, _, stderr) = exec(&context, &[flag, path], "true");
        assert_eq!(code, 125, "{flag} {path}: {stderr}");
        assert!(
            stderr.contains("files of Portcullis itself are granted to nobody")
                && stderr.contains(&format!("{flag} {path}")),
            "{stderr}"
        );
    }
    let fine = home.join("fine");
    fs::create_dir(&fine).unwrap();
    assert_eq!(
        exec(&context, &["--write", fine.to_str().unwrap()], "true").0,
        0
    );
}

const LISTING: &str = "[[plugins]]\nid = \"exec\"\nfs.read = [\"${project}\"]\nlimits.output = \"1KiB\"\n\
                       exec = { allow = [\"cat\", \"seq\"], deny = [\"rm\"] }\n";

#[test]
fn a_policy_that_lists_programs_runs_no_others() {
    let context = Context::beside_tmp();
    context.write("policy.toml", LISTING);
    let run = |args: &[&str]| {
        ran(context.output(&[&["exec", "--policy", "policy.toml", "--"], args].concat()))
    };
    assert_eq!(
        run(&["cat", "policy.toml"]),
        (0, LISTING.to_owned(), String::new())
    );
    let (code, _, stderr) = run(&["echo", "x"]);
    assert_eq!(code, 126);
    assert!(
        stderr.starts_with("error[P0201]: `portcullis exec` may not run `/usr/bin/echo`")
            && stderr.contains("`exec.allow` of the entry `exec`")
            && !stderr.contains("portcullis grant"),
        "{stderr}"
    );
    let (code, stdout, stderr) = run(&["seq", "100000"]);
    assert_eq!(
        (code, stdout.len()),
        (137, 1024),
        "a limit that is written holds"
    );
    assert!(stderr.contains("P0223"), "{stderr}");
    let without = ran(context.output(&["exec", "--", "rm", "--version"]));
    assert_eq!(without.0, 0, "nothing names the file");
}

#[test]
fn a_file_of_the_tree_takes_away_and_gives_nothing() {
    let context = Context::beside_tmp();
    let own = context.own_policy();
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::write(&own, "[[plugins]]\nid = \"exec\"\nnet = \"open\"\n").unwrap();
    let found = context.write(
        "portcullis.toml",
        "[[plugins]]\nid = \"exec\"\nexec.deny = [\"rm\"]\n",
    );
    let (code, _, stderr) = ran(context.output(&["exec", "--", "rm", "x"]));
    assert!(code == 126 && stderr.contains("P0202"), "{stderr}");
    assert_eq!(exec(&context, &[], "true").0, 0);
    fs::write(&found, "[[plugins]]\nid = \"exec\"\nfs.read = [\".\"]\n").unwrap();
    let (code, _, stderr) = exec(&context, &[], "true");
    assert!(
        code == 125 && stderr.contains("not trusted may not set `fs`"),
        "{stderr}"
    );
}

#[test]
fn a_command_is_written_down() {
    let context = Context::beside_tmp();
    let secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyzAB";
    assert_eq!(ran(context.output(&["exec", "--", "false", secret])).0, 1);
    shows!(context, ["audit", "show"], @r#"
    exit 0
    -- stdout
        1  [TIME]  a file of the trail begins
        2  [TIME]  run [RUN] of `exec` begins with ["false","ghp_[masked]"]
        3  [TIME]  run [RUN] call 1: allowed exec ["false","ghp_[masked]"] by rule `command line` (`portcullis exec`)
        4  [TIME]  run [RUN] call 1: exit code 1 after [N] µs
        5  [TIME]  run [RUN] ends with code 1 after [N] µs
    "#);
    assert!(context.output(&["audit", "verify"]).status.success());
    let trail = context.home().join(".local/state/portcullis/audit");
    fs::remove_dir_all(&trail).unwrap();
    fs::write(&trail, "").unwrap();
    let (code, stdout, _) = exec(&context, &[], "echo ran");
    assert_eq!((code, stdout.as_str()), (125, ""), "no line, no effect");
}

#[test]
fn what_was_in_force_is_in_the_document_and_what_was_not_is_said() {
    let context = Context::beside_tmp();
    let output = context.output(&["exec", "--json", "--", "sh", "-c", "echo out"]);
    assert_eq!(
        output.stderr, b"out\n",
        "standard output is for the document"
    );
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["exit_code"], 0);
    assert_eq!(document["status"]["exited"], 0);
    assert_eq!(
        document["children"]["confinement"],
        serde_json::json!(["full"])
    );
    let command = &document["children"]["commands"][0];
    assert!(
        command["in_force"]
            .as_array()
            .unwrap()
            .contains(&"Landlock".into()),
        "{command}"
    );
    assert_eq!(command["missing"], serde_json::json!([]));

    let quiet = exec(&context, &["-q", "--confinement", "limits"], "true").2;
    assert_eq!(
        quiet,
        "children: not confined (limits): they can do what you can do\n"
    );
    assert_eq!(
        exec(&context, &[], "true").2,
        "",
        "nothing to say of what is as it should be"
    );
    let open = context.json(&["exec", "--json", "--net", "open", "--", "true"]);
    assert_eq!(
        open["children"]["commands"][0]["missing"],
        serde_json::json!(["own network namespace"])
    );
}

#[test]
fn a_dry_run_says_what_it_would_be_allowed() {
    let context = Context::beside_tmp();
    shows!(context, ["exec", "--dry-run", "--read", ".", "--net", "a.example.org:443", "--exec", "none", "--", "ls"], @"
    exit 0
    -- stdout
    command: confined (full)
      read     [DIR]/project
      write    none
      network  a.example.org:443
      programs none but itself
    ");
    assert!(!context.home().join(".local/state").exists(), "nothing ran");
    let denied = context.json(&["exec", "--dry-run", "--json", "--", "nosuch"]);
    assert_eq!(denied["denials"][0]["code"], "P0205");
}

#[test]
fn the_directory_it_starts_in_can_be_another() {
    let context = Context::beside_tmp();
    fs::create_dir(context.project().join("sub")).unwrap();
    let (_, stdout, _) = exec(&context, &["--cwd", "sub"], "pwd");
    assert_eq!(
        stdout.trim_end(),
        context.project().join("sub").to_str().unwrap()
    );
    fs::copy("/usr/bin/echo", context.project().join("tool")).unwrap();
    let tool = ran(context.output(&["exec", "--", "./tool", "hi"]));
    assert_eq!(tool, (0, "hi\n".to_owned(), String::new()));
    let script = context.write("script", "#!/bin/sh\necho hi\n");
    let named = ran(context.output(&["exec", "--read", ".", "--", "sh", "./script"]));
    assert_eq!(named, (0, "hi\n".to_owned(), String::new()));
    // Somebody else could put another in its place.
    let elsewhere = Context::new();
    let script = elsewhere.write("script", fs::read(script).unwrap());
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let (code, _, stderr) = ran(elsewhere.output(&["exec", "--", "./script"]));
    assert!(
        code == 126 && stderr.contains("name its interpreter"),
        "{stderr}"
    );
}

#[test]
fn its_entry_in_a_policy_is_no_plugin() {
    let context = Context::beside_tmp();
    context.write("policy.toml", LISTING);
    let (code, _, stderr) = ran(context.output(&["run", "--config", "policy.toml", "exec"]));
    assert!(
        code == 125 && stderr.contains("`exec` is no plugin"),
        "{stderr}"
    );
    assert!(context.output(&["check", "policy.toml"]).status.success());
}
