//! What no rule says is asked at the terminal: the answers, and what becomes of them.

use std::fs;

use crate::context::{Context, DEV};
use crate::session::{PROMPT, RUN, Session};

/// A policy in which something is asked: `printf` is allowed, anything else is not written.
fn context() -> Context {
    Context::with_policy("exec.allow = [\"printf\"]\n")
}

/// The arguments of a run that asks for these commands, one after the other.
fn run<'a>(commands: &[&[&'a str]]) -> Vec<&'a str> {
    let mut args = RUN.to_vec();
    for (at, command) in commands.iter().enumerate() {
        let begin: &[&str] = if at == 0 {
            &["exec", "--"]
        } else {
            &[";;", "exec", "--"]
        };
        args.extend(begin);
        args.extend(*command);
    }
    args
}

/// The events of the trail, in short.
fn trail(context: &Context) -> Vec<String> {
    let records = context.json(&["audit", "show", "--json"]);
    let events = records["records"].as_array().unwrap().iter();
    let short = |event: &serde_json::Value| {
        let what = [&event["answer"], &event["verdict"], &event["ended"]];
        let what = what.into_iter().find(|what| !what.is_null());
        format!(
            "{} {}",
            event["kind"].as_str().unwrap(),
            what.cloned().unwrap_or_default()
        )
    };
    events.map(|record| short(&record["event"])).collect()
}

#[test]
fn the_records_of_one_run_have_its_questions() {
    let context = context();
    let mut session = Session::start(&context, &run(&[&["echo", "hello"]]));
    session.answers("o");
    assert_eq!(session.ends().0, 0);
    let all = context.json(&["audit", "show", "--json"]);
    let run = all["records"][1]["event"]["run"].as_str().unwrap();
    let of_run = context.ended(&["audit", "show", "--run", run]).1;
    assert!(
        of_run.contains("call 1: asked for exec [\"echo\",\"hello\"]: allowed once"),
        "{of_run}"
    );
}

#[test]
fn once_is_for_one_command_and_a_run_for_all_of_them() {
    let echo: &[&str] = &["echo", "hello"];
    let context = context();
    let mut session = Session::start(&context, &run(&[echo, echo]));
    session.answers("o").answers("");
    let (code, text) = session.ends();
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("stdout=hello") && text.contains("error=denied"),
        "{text}"
    );
    let asked = "decision \"allow\"";
    assert_eq!(
        trail(&context)[2..],
        [
            "asked \"once\"",
            asked,
            "outcome {\"exited\":0}",
            "asked \"no\"",
            "decision \"deny\"",
            "run_ended null",
        ]
    );

    let mut session = Session::start(&context, &run(&[echo, echo, &["echo", "other"]]));
    session.answers("r").answers("n");
    let (code, text) = session.ends();
    assert_eq!(
        (code, text.matches("stdout=hello").count()),
        (0, 2),
        "{text}"
    );
    assert!(!text.contains("stdout=other"), "{text}");
}

#[test]
fn a_question_says_what_would_run_and_its_keys_come_last() {
    let context = context();
    let mut session = Session::start(
        &context,
        &[
            &RUN[..],
            &[
                "exec",
                "--env=LC_X=1",
                "--stdin=x",
                "--",
                "cat",
                "a b",
                "\"",
                "-n",
            ],
        ]
        .concat(),
    );
    session.waits_for(PROMPT).waits_for("] ");
    let question = session.question().join("\n");
    insta::assert_snapshot!(context.plain(&question), @r#"
    portcullis: no rule of the policy is about this command
      plugin     "p"
      program    "/usr/bin/cat"
      arguments  "a b" "\"" "-n"
      in         "[DIR]/project"
      variables  "LC_X"
      input      the plugin's
      it may     everything that you can reach
      o: once   r: for this run   n: no
    Allow it? [o/r/a/N]
    "#);
    session.types("\n");
    let (code, text) = session.ends();
    assert_eq!(code, 126);
    assert!(
        text.contains("you were asked, and did not allow it"),
        "{text}"
    );
}

#[test]
fn always_is_written_to_the_users_own_file_for_exactly_this() {
    let context = context();
    fs::create_dir_all(context.own_policy().parent().unwrap()).unwrap();
    fs::write(
        context.own_policy(),
        "# mine\nmode = \"dev\" # while I write it\n",
    )
    .unwrap();
    let echo: &[&str] = &["echo", "a*b", "?"];
    let mut session = Session::start(&context, &run(&[echo]));
    session.answers("a");
    let (code, text) = session.ends();
    assert_eq!(code, 0, "{text}");
    let own = fs::read_to_string(context.own_policy()).unwrap();
    assert!(
        own.starts_with("# mine\nmode = \"dev\" # while I write it\n"),
        "{own}"
    );
    assert!(
        own.contains("plugin_sha256") && own.contains("stdin = false"),
        "{own}"
    );
    assert_eq!(trail(&context)[2], "asked \"always\"");

    // The second run has no terminal, and needs none.
    let second = context.output(&run(&[echo]));
    assert!(
        second.status.success(),
        "{}",
        String::from_utf8_lossy(&second.stderr)
    );
    for other in [
        &["echo", "axb", "?"][..],
        &["echo", "a*b"],
        &["echo", "a*b", "?", "x"],
    ] {
        assert_eq!(
            context.output(&run(&[other])).status.code(),
            Some(126),
            "{other:?}"
        );
    }
    // Nothing of it is in a file of the tree.
    let policy = fs::read_to_string(context.project().join("policy.toml")).unwrap();
    assert_eq!(policy, format!("{DEV}exec.allow = [\"printf\"]\n"));
}

#[test]
fn always_is_for_the_plugin_that_asked() {
    let context = context();
    let echo: &[&str] = &["echo", "x"];
    let mut session = Session::start(&context, &run(&[echo]));
    session.answers("always");
    assert_eq!(session.ends().0, 0);
    assert!(context.output(&run(&[echo])).status.success());
    // The same plugin with one more byte that says nothing: a custom section.
    let mut bytes = fs::read(context.project().join("p.wasm")).unwrap();
    bytes.extend([0, 2, 1, b'x']);
    context.write("p.wasm", bytes);
    let output = context.output(&run(&[echo]));
    assert_eq!(
        output.status.code(),
        Some(126),
        "the answer was for another plugin"
    );
    // In production what was answered holds, and nothing is asked.
    let mut production = run(&[echo]);
    production.insert(1, "--mode=production");
    assert_eq!(context.output(&production).status.code(), Some(126));
}

#[test]
fn always_beats_no_denial_of_any_layer() {
    let context = Context::with_policy("exec = { allow = [\"printf\"], deny = [\"echo\"] }\n");
    let session = Session::start(&context, &run(&[&["echo", "x"]]));
    let (code, text) = session.ends();
    assert_eq!(code, 126);
    assert!(text.contains("P0202") && !text.contains(PROMPT), "{text}");
    // Nor one that comes later, from the tree.
    let context = self::context();
    let mut session = Session::start(&context, &run(&[&["echo", "x"]]));
    session.answers("a");
    assert_eq!(session.ends().0, 0);
    context.write(
        "portcullis.toml",
        "[[plugins]]\nid = \"p\"\nexec.deny = [\"echo\"]\n",
    );
    let output = context.output(&run(&[&["echo", "x"]]));
    assert_eq!(output.status.code(), Some(126));
    assert!(String::from_utf8_lossy(&output.stderr).contains("P0202"));
}

#[test]
fn an_answer_that_cannot_be_kept_is_for_the_run() {
    let context = context();
    fs::create_dir_all(context.own_policy().parent().unwrap()).unwrap();
    // The user's own file has another plugin of this name.
    fs::write(
        context.own_policy(),
        "[[plugins]]\nid = \"p\"\npath = \"/other.wasm\"\n",
    )
    .unwrap();
    let before = fs::read(context.own_policy()).unwrap();
    let mut session = Session::start(&context, &run(&[&["echo", "x"], &["echo", "x"]]));
    session
        .answers("a")
        .waits_for("allowed for this run, but not always");
    let (code, text) = session.ends();
    assert_eq!((code, text.matches("stdout=x").count()), (0, 2), "{text}");
    assert_eq!(fs::read(context.own_policy()).unwrap(), before);
    assert_eq!(trail(&context)[2], "asked \"run\"");
}

#[test]
fn without_the_own_file_nothing_is_kept() {
    let context = context();
    let mut args = run(&[&["echo", "x"]]);
    args.insert(1, "--no-config");
    let mut session = Session::start(&context, &args);
    session.answers("a").answers("o");
    let (code, text) = session.ends();
    assert_eq!(code, 0, "{text}");
    assert!(
        !context.own_policy().exists() && !text.contains("always"),
        "{text}"
    );
}

#[test]
fn a_program_of_many_names_is_shown_with_the_one_it_is_called_by() {
    let context = context();
    let bin = context.home().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::copy("/bin/true", bin.join("many")).unwrap();
    std::os::unix::fs::symlink("many", bin.join("one")).unwrap();
    let one = bin.join("one").display().to_string();
    let mut session = Session::start(&context, &run(&[&[&one], &[&one]]));
    session.waits_for(PROMPT).waits_for("] ");
    let question = session.question().join("\n");
    assert!(question.contains("/many\" called \"one\""), "{question}");
    session.types("r\n");
    let (code, text) = session.ends();
    assert_eq!((code, text.matches("status=0").count()), (0, 2), "{text}");
}

#[test]
fn three_refusals_end_asking() {
    let context = context();
    let commands: Vec<Vec<String>> = (0..5)
        .map(|n| vec!["echo".to_owned(), n.to_string()])
        .collect();
    let commands: Vec<Vec<&str>> = commands
        .iter()
        .map(|c| c.iter().map(String::as_str).collect())
        .collect();
    let commands: Vec<&[&str]> = commands.iter().map(Vec::as_slice).collect();
    let mut session = Session::start(&context, &run(&commands));
    session.answers("n").answers("").answers("no");
    let (code, text) = session.ends();
    assert_eq!(
        (code, text.matches("error=denied").count()),
        (0, 5),
        "{text}"
    );
    assert_eq!(text.matches(PROMPT).count(), 3, "{text}");
    assert!(
        text.contains("after 3 refusals nothing more is asked in this run"),
        "{text}"
    );
    let asked = trail(&context)
        .iter()
        .filter(|event| event.starts_with("asked"))
        .count();
    assert_eq!(asked, 3);
}

#[test]
fn what_an_answer_would_not_allow_is_not_asked() {
    let context = context();
    for (options, program) in [
        ("--cwd=/", "echo"),
        ("--cwd=.", "nosuch"),
        ("--env=LD_PRELOAD=x", "echo"),
    ] {
        let args = [&RUN[..], &["exec", options, "--", program]].concat();
        let (code, text) = Session::start(&context, &args).ends();
        assert_eq!(code, 126, "{text}");
        assert!(!text.contains(PROMPT), "{text}");
    }
    let mut production = run(&[&["echo", "x"]]);
    production.insert(1, "--mode=production");
    let (code, text) = Session::start(&context, &production).ends();
    assert_eq!(code, 126);
    assert!(!text.contains(PROMPT), "{text}");
}

#[test]
fn what_the_manifest_does_not_ask_for_is_not_asked_either() {
    let context = context();
    context.write(
        "plugin.toml",
        "id = \"p\"\nversion = \"1.0.0\"\nworld = \"portcullis:cli/plugin@0.1.0\"\ncomponent = \"p.wasm\"\n\
         [[asks]]\ncapability = \"exec\"\nprogram = \"printf\"\nreason = \"prints\"\n",
    );
    let (code, text) = Session::start(&context, &run(&[&["echo", "x"]])).ends();
    assert_eq!(code, 126, "{text}");
    assert!(!text.contains(PROMPT), "{text}");
}

#[test]
fn a_command_that_a_person_types_is_asked_for_once() {
    let context = Context::new();
    context.write(
        "policy.toml",
        "mode = \"dev\"\nconfinement = \"limits\"\n[[plugins]]\nid = \"exec\"\nexec.allow = [\"printf\"]\n",
    );
    let args = ["exec", "--config", "policy.toml", "--", "echo", "x"];
    let mut session = Session::start(&context, &args);
    session.answers("r").answers("o");
    let (code, text) = session.ends();
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("Allow it? [o/N] o\nx\n"), "{text}");
    assert!(!text.contains("plugin"), "{text}");
}
