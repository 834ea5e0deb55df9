//! `portcullis:cli/prompt`, called by a component.

use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use portcullis::audit::Event;
use portcullis::policy::{Grants, Limits};
use portcullis::{Prompt, Prompter, Reply};

use crate::fixture::{Fixture, args, block_on, none};

portcullis_testkit::tests![
    a_question_is_answered_in_its_own_form,
    what_does_not_fit_is_asked_for_again,
    where_nobody_is_asked_the_default_is_the_answer,
    a_question_that_has_no_meaning_is_not_asked,
    no_more_questions_are_asked_than_calls_may_be_made,
    a_person_may_take_longer_than_the_call,
    the_trail_has_the_question_and_not_the_answer,
];

/// Answers from a list, and then not at all.
#[derive(Debug)]
struct Person {
    replies: Mutex<Vec<Reply>>,
    takes: Duration,
}

impl Prompter for Person {
    fn ask<'a>(&'a self, _: Prompt<'a>) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        let reply = self.replies.lock().unwrap().pop();
        Box::pin(async move {
            tokio::time::sleep(self.takes).await;
            reply.unwrap_or_else(|| Reply::Nobody("nobody is there".to_owned()))
        })
    }
}

fn typing(lines: &[&str]) -> Person {
    let replies = lines
        .iter()
        .rev()
        .map(|line| Reply::Typed((*line).to_owned()));
    Person {
        replies: Mutex::new(replies.collect()),
        takes: Duration::ZERO,
    }
}

fn asked(person: Person, grants: Grants, words: &[&str]) -> (String, Fixture) {
    let fixture = Fixture::asking(person);
    let said = block_on(async {
        let mut instance = fixture.instance("prompt", grants).await;
        instance.run(&args(words)).await.unwrap().unwrap()
    });
    (said, fixture)
}

fn answer(lines: &[&str], words: &[&str]) -> String {
    asked(typing(lines), none(), words).0
}

fn a_question_is_answered_in_its_own_form() {
    assert_eq!(answer(&["me"], &["text"]), "Ok(\"me\")");
    assert_eq!(answer(&[""], &["text", "d"]), "Ok(\"d\")");
    assert_eq!(answer(&["n"], &["confirm", "yes"]), "Ok(false)");
    assert_eq!(answer(&[""], &["confirm", "yes"]), "Ok(true)");
    assert_eq!(answer(&["2"], &["choose", "-", "a", "b"]), "Ok(1)");
    assert_eq!(answer(&["b"], &["choose", "0", "a", "b"]), "Ok(1)");
    assert_eq!(answer(&[""], &["choose", "1", "a", "b"]), "Ok(1)");
    assert_eq!(
        answer(&["3, a"], &["some", "-", "a", "b", "c"]),
        "Ok([2, 0])"
    );
    assert_eq!(answer(&[""], &["some", "0,1", "a", "b"]), "Ok([0, 1])");
}

fn what_does_not_fit_is_asked_for_again() {
    assert_eq!(answer(&["maybe", "no"], &["confirm", "yes"]), "Ok(false)");
    let three = ["9", "x", "0", "1"];
    assert_eq!(answer(&three, &["choose", "-", "a"]), "Err(\"nobody\")");
    assert_eq!(
        answer(&three, &["choose", "0", "a"]),
        "Ok(0)",
        "the default"
    );
}

fn where_nobody_is_asked_the_default_is_the_answer() {
    assert_eq!(answer(&[], &["text"]), "Err(\"nobody\")");
    assert_eq!(answer(&[], &["text", "d"]), "Ok(\"d\")");
    assert_eq!(answer(&[], &["confirm", "no"]), "Ok(false)");
    assert_eq!(answer(&[], &["choose", "-", "a"]), "Err(\"nobody\")");
    assert_eq!(answer(&[], &["choose", "1", "a", "b"]), "Ok(1)");
    assert_eq!(answer(&[], &["some", "-", "a"]), "Ok([])");
}

fn a_question_that_has_no_meaning_is_not_asked() {
    assert_eq!(answer(&["a"], &["choose", "-"]), "Err(\"invalid\")");
    assert_eq!(
        answer(&["a"], &["choose", "2", "a", "b"]),
        "Err(\"invalid\")"
    );
    assert_eq!(
        answer(&["a"], &["some", "0,2", "a", "b"]),
        "Err(\"invalid\")"
    );
}

fn no_more_questions_are_asked_than_calls_may_be_made() {
    let limits = Limits {
        calls_per_minute: 5,
        ..Limits::default()
    };
    let grants = Grants { limits, ..none() };
    let (limited, fixture) = asked(typing(&[]), grants, &["flood", "9"]);
    assert_eq!(limited, "4");
    assert_eq!(fixture.trail.events().len(), 9, "refused ones too");
}

fn a_person_may_take_longer_than_the_call() {
    let mut person = typing(&["y"]);
    person.takes = Duration::from_millis(600);
    let limits = Limits {
        call: Duration::from_millis(300),
        ..Limits::default()
    };
    let grants = Grants { limits, ..none() };
    assert_eq!(asked(person, grants, &["confirm", "no"]).0, "Ok(true)");
}

fn the_trail_has_the_question_and_not_the_answer() {
    let (_, fixture) = asked(typing(&["hunter2"]), none(), &["text"]);
    let events = fixture.trail.events();
    let [(_, Event::Decision(decision))] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(decision.capability, "prompt");
    let line = format!("{events:?}");
    assert!(line.contains("text") && !line.contains("hunter2"), "{line}");
}
