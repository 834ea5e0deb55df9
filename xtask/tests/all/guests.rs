//! Each guest does what its name says.

use crate::host::{Answer, Request, guest, overlay, run};

fn hello(_: &Request) -> Answer {
    Ok((0, "hello".to_owned()))
}

fn denied(_: &Request) -> Answer {
    Err("denied".to_owned())
}

/// Answers like `env`: the variables, the later of two winning.
fn env(request: &Request) -> Answer {
    let mut variables = std::collections::BTreeMap::new();
    variables.extend(request.env.iter().cloned());
    Ok((
        0,
        variables
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect(),
    ))
}

#[test]
fn exec_args_asks_the_same_through_all_three_names() {
    let args = [
        "exec",
        "--cwd=/x",
        "--env=A=1",
        "--env=A=2",
        "--inherit-env",
        "--stdin=in",
        "--",
        "git",
        "log",
        "-1",
    ];
    for name in [
        "exec-args",
        "exec-args-my-cli",
        "exec-args-my-cli-versioned",
    ] {
        let ran = run(guest(name), &args, hello);
        assert_eq!(ran.ok(), "status=0\nstdout=hello\nstderr=\n", "{name}");
        let expected = Request {
            program: "git".into(),
            args: vec!["log".into(), "-1".into()],
            cwd: Some("/x".into()),
            env: vec![("A".into(), "1".into()), ("A".into(), "2".into())],
            inherit_env: true,
            stdin: Some(b"in".to_vec()),
        };
        assert_eq!(ran.requests, [expected], "{name}");
    }
}

#[test]
fn exec_args_hands_refusals_on() {
    assert_eq!(
        run(guest("exec-args"), &["exec", "--", "rm"], denied).err(),
        "denied"
    );
    let several = run(
        guest("exec-args"),
        &["exec", "--", "rm", ";;", "exec", "--", "curl"],
        denied,
    );
    assert_eq!(several.ok(), "error=denied\nerror=denied\n");
    assert_eq!(several.requests.len(), 2);
}

#[test]
fn overlay_answers_and_overrides() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        overlay(guest("overlay")),
        [
            pair("OVERLAY_ONE", "overlay"),
            pair("OVERLAY_BOTH", "overlay")
        ]
    );
    let ran = run(guest("overlay"), &[], env);
    assert_eq!(ran.ok(), "OVERLAY_BOTH=call\n");
    assert!(!ran.requests[0].inherit_env);
}

#[test]
fn contexts_hold_variables_of_their_own() {
    let ran = run(guest("context"), &["EXTRA=1"], env);
    assert_eq!(
        ran.ok(),
        "CONTEXT_BOTH=call\nCONTEXT_ONE=context\nEXTRA=1\n--\nCONTEXT_BOTH=call\n"
    );
}

#[test]
fn seed_hands_on_output_and_complaint() {
    let ran = run(guest("seed"), &["aws", "sts"], hello);
    assert_eq!(ran.ok(), "hello");
    assert_eq!(
        (
            ran.requests[0].program.as_str(),
            ran.requests[0].env[0].0.as_str()
        ),
        ("aws", "AWS_PROFILE")
    );
    assert_eq!(
        run(guest("seed"), &["aws"], |_| Ok((1, String::new()))).err(),
        "complaint"
    );
    assert_eq!(run(guest("seed"), &["aws"], denied).err(), "denied");
}

#[test]
fn trap_leaves_three_names_in_the_backtrace() {
    let trap = run(guest("trap"), &[], denied).result.unwrap_err();
    for name in [
        "expect_section",
        "parse_settings",
        "read_settings",
        "unreachable",
    ] {
        assert!(trap.contains(name), "{name} is missing in {trap}");
    }
}

#[test]
fn memory_hog_reaches_the_end_of_memory() {
    let text = run(guest("memory-hog"), &[], denied).ok().to_owned();
    let pages: u32 = text.strip_prefix("pages=").unwrap().parse().unwrap();
    // Without a limit of the host, to within a step of the 65,536 pages there can be.
    assert!((65_500..=65_536).contains(&pages), "{pages}");
}

#[test]
fn output_is_as_long_and_as_hostile_as_asked() {
    assert_eq!(
        run(guest("output"), &["long", "100000"], denied).ok().len(),
        100_000
    );
    let text = run(guest("output"), &["control"], denied).ok().to_owned();
    for part in [
        "\x1b[31m", "\x1b]52;", "\x1b]0;", "\x1bP", "\u{9b}", "\u{202e}", "\r",
    ] {
        assert!(text.contains(part), "{part:?} is missing");
    }
    assert_eq!(run(guest("output"), &["control-err"], denied).err(), text);
}

#[test]
fn noop_answers_with_nothing() {
    assert_eq!(run(guest("noop"), &["a"], denied).ok(), "");
}

#[test]
fn spin_is_still_running_when_its_fuel_is_used_up() {
    let engine = wasmtime::Engine::new(wasmtime::Config::new().consume_fuel(true)).unwrap();
    let component = wasmtime::component::Component::from_file(&engine, guest("spin")).unwrap();
    let mut store = wasmtime::Store::new(&engine, ());
    store.set_fuel(10_000_000).unwrap();
    let instance = wasmtime::component::Linker::new(&engine)
        .instantiate(&mut store, &component)
        .unwrap();
    let run = instance.get_func(&mut store, "run").unwrap();
    let mut results = [wasmtime::component::Val::Bool(false)];
    let args = wasmtime::component::Val::List(Vec::new());
    let error = run.call(&mut store, &[args], &mut results).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&wasmtime::Trap::OutOfFuel));
}

#[test]
fn guests_that_need_no_wasi_import_none() {
    let engine = wasmtime::Engine::default();
    let imports = |name: &str| {
        let component = wasmtime::component::Component::from_file(&engine, guest(name)).unwrap();
        let ty = component.component_type();
        ty.imports(&engine)
            .map(|(name, _)| name.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(imports("exec-args"), ["portcullis:cli/process@0.1.0"]);
    assert_eq!(imports("exec-args-my-cli"), ["my:cli/process"]);
    assert_eq!(
        imports("exec-args-my-cli-versioned"),
        ["my:cli/process@0.1.0"]
    );
    assert_eq!(imports("noop"), [""; 0]);
    let wasi = imports("wasi-probe");
    for name in [
        "wasi:cli/environment",
        "wasi:filesystem/preopens",
        "wasi:sockets/tcp",
        "wasi:random/random",
        "wasi:clocks/wall-clock",
    ] {
        assert!(
            wasi.iter().any(|import| import.starts_with(name)),
            "{name} is missing in {wasi:?}"
        );
    }
}
