//! What could pass for an answer, or for a question, and does not.

use std::fs;

use portcullis_testkit::guest;

use crate::context::Context;
use crate::session::{ECHO, PROMPT, RUN, Session};

fn context() -> Context {
    Context::with_policy("exec.allow = [\"printf\"]\n")
}

/// With a plugin that writes to the terminal itself.
fn painting() -> Context {
    let context = context();
    fs::copy(guest("painter"), context.project().join("p.wasm")).unwrap();
    context
}

fn ran(text: &str) -> bool {
    text.contains("stdout=ran") || text.contains("status=0")
}

#[test]
fn what_was_typed_before_the_question_answers_nothing() {
    let context = context();
    let mut session = Session::start(&context, &ECHO);
    session
        .types("o\no\na\nr\n")
        .waits_for("portcullis: no rule");
    session.types("o\n").waits_for("n: no").types("a\no");
    session.waits_for(PROMPT).waits_for("] ").types("\n");
    let (code, text) = session.ends();
    assert_eq!(code, 126, "{text}");
    assert!(!ran(&text) && !context.own_policy().exists(), "{text}");
}

#[test]
fn painted_text_stays_above_the_question() {
    let context = painting();
    // A question of the plugin's own, in the place of ours: at the bottom, the cursor up, hidden, in invisible colours,
    // and a sequence that is not complete.
    let fake = "\x1b[2J\x1b[1;1Hportcullis: no rule of the policy is about this command\r\n  program    \"/usr/bin/true\"\r\n\
                Allow it? [o/r/a/N] \x1b[24;1HAllow it? [y/N] y\x1b[12;1H\x1b[?25l\x1b[30;40m\x1b[8m\x1b[";
    let mut session = Session::start(&context, &[&RUN[..], &[fake, "echo", "real"]].concat());
    // The first is the plugin's.
    session
        .waits_for("/usr/bin/true")
        .waits_for(PROMPT)
        .waits_for("/usr/bin/echo")
        .waits_for(PROMPT)
        .waits_for("] ");
    let question = session.question();
    insta::assert_snapshot!(context.plain(&question.join("\n")), @r#"
    portcullis: no rule of the policy is about this command
      plugin     "p"
      program    "/usr/bin/echo"
      arguments  "real"
      in         "[DIR]/project"
      it may     everything that you can reach
      o: once   r: for this run   n: no
    Allow it? [o/r/a/N]
    "#);
    assert!(session.is_plain(question.len() + 1), "{}", session.text());
    session.types("\n");
    let (code, text) = session.ends();
    assert!(code == 0 && text.contains("denied: the operator"), "{text}");
}

#[test]
fn an_answer_to_a_painted_question_is_no_answer_to_ours() {
    let context = painting();
    let fake = "Allow it? [y/N] ";
    let mut session = Session::start(&context, &[&RUN[..], &[fake, "echo", "x"]].concat());
    session.waits_for(fake).types("a\n");
    session
        .waits_for("/usr/bin/echo")
        .waits_for(PROMPT)
        .waits_for("] ")
        .types("\n");
    let (_, text) = session.ends();
    assert!(
        text.contains("error=denied") && !context.own_policy().exists(),
        "{text}"
    );
}

#[test]
fn controls_in_arguments_are_shown_as_such() {
    let context = context();
    let hidden = "--safe\u{202e}\x1b[2K\r\" \"-rf\u{200b}\u{2502}\u{5d0}";
    let args = [&RUN[..], &["exec", "--", "echo", hidden]].concat();
    let mut session = Session::start(&context, &args);
    session.waits_for(PROMPT).waits_for("] ");
    let rows = session.rows().join("\n");
    let shown = r#"  arguments  "--safe\u{202e}\u{1b}[2K\u{d}\" \"-rf\u{200b}\u{2502}\u{5d0}""#;
    assert!(rows.contains(shown), "{rows}");
    session.types("\n");
    assert_eq!(session.ends().0, 126);
}

#[test]
fn nobody_agrees_to_rights_that_were_not_shown() {
    let names: Vec<_> = (0..20)
        .map(|at| format!("\"out/directory-{at}\""))
        .collect();
    let context = Context::with_policy(&format!(
        "fs.write = [{}]\nexec = {{ allow = [\"printf\"], confinement = \"full\" }}\n",
        names.join(", ")
    ));
    for at in 0..20 {
        let directory = context.project().join(format!("out/directory-{at}"));
        fs::create_dir_all(directory).unwrap();
    }
    let mut session = Session::start(&context, &ECHO);
    session.waits_for("Allow it? [s/N] ");
    let rows = session.rows().join("\n");
    assert!(!rows.contains("directory-10,"), "{rows}");
    assert!(rows.contains("\n             network none\n"), "{rows}");
    session.types("o\n").waits_for("Allow it? [s/N] ");
    session
        .types("s\n")
        .waits_for("directory-10,")
        .waits_for("Allow it? [o/r/a/N] ");
    session.types("\n");
    assert_eq!(session.ends().0, 126);
}

#[test]
fn nobody_agrees_to_arguments_that_were_not_shown() {
    let context = context();
    let long = format!("{}; rm -rf ~ ;{}", "x".repeat(50_000), "y".repeat(50_000));
    let args = [&RUN[..], &["exec", "--", "echo", &long]].concat();
    let mut session = Session::start(&context, &args);
    session.waits_for("Allow it? [s/N] ");
    let rows = session.rows();
    assert!(
        rows.len() < 24 && rows[0].starts_with("portcullis: no rule"),
        "{rows:?}"
    );
    assert!(!rows.join("").contains("rm -rf"), "{rows:?}");
    session.types("o\n").waits_for("Allow it? [s/N] ");
    session
        .types("s\n")
        .waits_for("; rm -rf ~ ;")
        .waits_for("Allow it? [o/r/a/N] ");
    let rows = session.rows();
    assert!(
        rows.iter().any(|row| row.contains("/usr/bin/echo")),
        "the question is whole: {rows:?}"
    );
    session.types("o\n");
    assert_eq!(session.ends().0, 0);
}

#[test]
fn an_interrupt_at_the_question_ends_the_run() {
    let context = context();
    let mut session = Session::start(&context, &ECHO);
    session.waits_for(PROMPT).waits_for("] ").types("\x03");
    let (code, text) = session.ends();
    assert_eq!(code, 130, "{text}");
    assert!(!ran(&text));
    let trail = context.json(&["audit", "tail", "-n", "1", "--json"]);
    assert_eq!(trail["records"][0]["event"]["kind"], "run_ended");
}

#[test]
fn the_end_of_input_is_no() {
    let context = context();
    let mut session = Session::start(&context, &ECHO);
    session.waits_for(PROMPT).waits_for("] ").types("\x04");
    let (code, text) = session.ends();
    assert_eq!((code, ran(&text)), (126, false), "{text}");
    let mut session = Session::start(&context, &ECHO);
    session.waits_for(PROMPT).waits_for("] ").types("o\x04\x04");
    let (code, text) = session.ends();
    assert_eq!((code, ran(&text)), (126, false), "{text}");
}

#[test]
fn a_terminal_that_goes_away_ends_the_run() {
    let context = context();
    let mut session = Session::start(&context, &ECHO);
    session.waits_for(PROMPT).waits_for("] ");
    assert_eq!(session.hangs_up(), 129);
    let trail = context.json(&["audit", "show", "--json"]);
    let events = trail["records"].as_array().unwrap().iter();
    let kinds: Vec<_> = events
        .map(|record| record["event"]["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.last(), Some(&"run_ended"));
    assert!(!kinds.contains(&"outcome"), "{kinds:?}");
}

#[test]
fn without_a_terminal_it_is_denied_and_said() {
    let context = context();
    let output = context.output(&ECHO);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(
        stderr.contains("nobody was asked: there is no terminal"),
        "{stderr}"
    );
}

#[test]
fn what_comes_from_standard_input_answers_nothing() {
    let context = context();
    for script in ["yes a | \"$@\"", "\"$@\" < answers"] {
        context.write("answers", "a\n".repeat(1000));
        let mut session = Session::script(&context, script, &ECHO);
        session.answers("n");
        let (code, text) = session.ends();
        assert_eq!((code, ran(&text)), (126, false), "{text}");
    }
    assert!(!context.own_policy().exists());
    // What is typed goes to the plugin: nobody is asked at the same terminal.
    let args = [&["run", "--stdin"], &ECHO[1..]].concat();
    let (code, text) = Session::start(&context, &args).ends();
    assert_eq!(code, 126);
    assert!(
        text.contains("with `--stdin` what is typed is the plugin's"),
        "{text}"
    );
    let mut session = Session::script(&context, "\"$@\" < answers", &args);
    session.answers("o");
    assert_eq!(session.ends().0, 0);
}

#[test]
fn what_a_plugin_wrote_into_a_pipe_cannot_come_over_a_question() {
    let context = painting();
    let commands = [
        "", "echo", "1", ";;", "painted", "echo", "2", ";;", "", "echo", "3",
    ];
    let args = [&RUN[..], &commands].concat();
    let mut session = Session::script(&context, "\"$@\" | cat", &args);
    session.answers("o");
    let (_, text) = session.ends();
    assert_eq!(
        (
            text.matches("status=0").count(),
            text.matches("error=denied").count()
        ),
        (1, 2),
        "{text}"
    );
    assert!(
        text.contains("whoever reads it could write over a question"),
        "{text}"
    );
    // Onto a terminal or into a file it can be told what comes after what.
    for script in ["\"$@\"", "\"$@\" > file"] {
        let mut session = Session::script(&context, script, &args);
        session.answers("o").answers("o").answers("o");
        assert_eq!(session.ends().0, 0);
    }
}

#[test]
fn a_job_in_the_background_does_not_ask() {
    let context = context();
    let session = Session::script(&context, "set -m; \"$@\" & wait %1", &ECHO);
    let (code, text) = session.ends();
    assert_eq!((code, ran(&text)), (126, false), "{text}");
    assert!(
        text.contains("the terminal belongs to another job"),
        "{text}"
    );
}

#[test]
fn a_job_that_was_stopped_asks_again() {
    let context = context();
    let mut session = Session::script(&context, "set -m; \"$@\"; fg", &ECHO);
    session.waits_for(PROMPT).waits_for("] ").types("\x1a");
    // What is typed meanwhile is for nobody.
    session.types("o\n").waits_for("portcullis: no rule");
    session.answers("n");
    let (code, text) = session.ends();
    assert_eq!((code, ran(&text)), (126, false), "{text}");
}

#[test]
fn two_runs_at_one_terminal_ask_one_after_the_other() {
    let context = context();
    let script = "\"$@\" one & \"$@\" two; wait";
    let args = [&RUN[..], &["exec", "--", "echo"]].concat();
    let mut session = Session::script(&context, script, &args);
    session.waits_for(PROMPT).waits_for("] ");
    let first = session.rows().iter().any(|row| row.contains("\"one\""));
    session.types("o\n").answers("n");
    let (_, text) = session.ends();
    assert_eq!(
        text.matches("stdout=one").count(),
        usize::from(first),
        "{text}"
    );
    assert_eq!(
        text.matches("stdout=two").count(),
        usize::from(!first),
        "{text}"
    );
}

#[test]
fn the_terminal_is_left_as_it_was() {
    let context = context();
    let script = "before=$(stty -g); \"$@\"; [ \"$before\" = \"$(stty -g)\" ] && echo same";
    for answer in ["o\n", "\n", "\x04"] {
        let mut session = Session::script(&context, script, &ECHO);
        session.waits_for(PROMPT).waits_for("] ").types(answer);
        let (_, text) = session.ends();
        assert!(text.ends_with("same\n"), "{answer:?}: {text}");
    }
}
