//! Questions to a person, with an application that answers them itself.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis::policy::{Grants, Limits};
use portcullis::{Answer, Consent, Host, Question, Source};
use portcullis_testkit::tests;
use tokio::sync::Semaphore;

use crate::fixture::{Fixture, args, block_on, programs};

tests![
    without_anybody_to_ask_dev_denies,
    questions_of_two_plugins_come_one_after_the_other,
    the_file_that_was_shown_is_the_one_that_runs,
    a_question_of_a_call_that_is_dropped_is_withdrawn,
    a_call_that_is_out_of_time_waits_for_the_answer,
];

/// Answers when it is let to, and counts.
#[derive(Debug)]
struct Person {
    answer: Answer,
    /// Permits to answer.
    may_answer: Semaphore,
    open: AtomicUsize,
    most_open: AtomicUsize,
    asked: Mutex<Vec<String>>,
}

impl Person {
    fn new(answer: Answer, answers: usize) -> Arc<Self> {
        Arc::new(Self {
            answer,
            may_answer: Semaphore::new(answers),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
            asked: Mutex::default(),
        })
    }

    async fn is_asked(&self) {
        while self.asked.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

struct Open<'a>(&'a Person);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Consent for Person {
    fn ask<'a>(
        &'a self,
        question: Question<'a>,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
        let asked = format!("{} {:?}", question.rule.program, question.request.args);
        Box::pin(async move {
            let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
            let _open = Open(self);
            self.most_open.fetch_max(open, Ordering::SeqCst);
            self.asked.lock().unwrap().push(asked);
            self.may_answer.acquire().await.unwrap().forget();
            self.answer.clone()
        })
    }
}

/// A host that asks this person.
fn host(fixture: &Fixture, person: &Arc<Person>) -> Host {
    let consent: Arc<dyn Consent> = person.clone();
    let builder = Host::builder().project(fixture.path()).consent(consent);
    builder.build().unwrap()
}

async fn instance(host: &Host, grants: Grants) -> portcullis::Instance {
    let source = Source {
        bytes: portcullis_testkit::guest_bytes("exec-args"),
        grants,
    };
    let plugin = host.load(source).await.unwrap();
    plugin.instantiate("test").await.unwrap()
}

fn without_anybody_to_ask_dev_denies() {
    block_on(async {
        let mut instance = Fixture::new().instance("exec-args", programs(&[])).await;
        let answer = instance.run(&args(&["exec", "--", "echo"])).await.unwrap();
        assert!(answer.unwrap_err().starts_with("denied"));
        let notes = instance.activity().denials[0].notes.join("; ");
        assert!(notes.contains("this application asks nobody"), "{notes}");
    });
}

fn questions_of_two_plugins_come_one_after_the_other() {
    block_on(async {
        let (fixture, person) = (Fixture::new(), Person::new(Answer::Once, 8));
        let host = host(&fixture, &person);
        let run = |text: &'static str| {
            let host = host.clone();
            tokio::spawn(async move {
                let mut instance = instance(&host, programs(&[])).await;
                let words = args(&["exec", "--", "echo", text, ";;", "exec", "--", "echo", text]);
                instance.run(&words).await.unwrap().unwrap()
            })
        };
        let runs = ["a", "b", "c", "d"].map(run);
        for run in runs {
            assert_eq!(run.await.unwrap().matches("status=0").count(), 2);
        }
        assert_eq!(person.asked.lock().unwrap().len(), 8);
        assert_eq!(person.most_open.load(Ordering::SeqCst), 1);
    });
}

fn the_file_that_was_shown_is_the_one_that_runs() {
    block_on(async {
        let (fixture, person) = (Fixture::new(), Person::new(Answer::Run, 0));
        let bin = tempfile::tempdir().unwrap();
        let bin = bin.path().canonicalize().unwrap();
        std::fs::copy("/bin/true", bin.join("tool")).unwrap();
        let mut grants = programs(&[]);
        grants.exec.as_mut().unwrap().search_path = vec![bin.clone()];
        let mut instance = instance(&host(&fixture, &person), grants).await;
        let run = tokio::spawn(async move { instance.run(&args(&["exec", "--", "tool"])).await });
        person.is_asked().await;
        // Another program takes the name while the person reads.
        std::fs::copy("/bin/false", bin.join("other")).unwrap();
        std::fs::rename(bin.join("other"), bin.join("tool")).unwrap();
        person.may_answer.add_permits(1);
        let answer = run.await.unwrap().unwrap().unwrap();
        assert!(answer.contains("status=0"), "{answer}");
    });
}

fn a_question_of_a_call_that_is_dropped_is_withdrawn() {
    block_on(async {
        let (fixture, person) = (Fixture::new(), Person::new(Answer::Once, 0));
        let host = host(&fixture, &person);
        let mut first = instance(&host, programs(&[])).await;
        let run = tokio::spawn(async move { first.run(&args(&["exec", "--", "echo"])).await });
        person.is_asked().await;
        run.abort();
        assert!(run.await.unwrap_err().is_cancelled());
        assert_eq!(person.open.load(Ordering::SeqCst), 0);
        // The next one has its turn.
        person.may_answer.add_permits(1);
        let mut second = instance(&host, programs(&[])).await;
        let answer = second.run(&args(&["exec", "--", "echo"])).await.unwrap();
        assert!(answer.unwrap().contains("status=0"));
    });
}

fn a_call_that_is_out_of_time_waits_for_the_answer() {
    block_on(async {
        let (fixture, person) = (Fixture::new(), Person::new(Answer::Once, 0));
        let call = Duration::from_secs(1);
        let grants = Grants {
            limits: Limits {
                call,
                ..Limits::default()
            },
            ..programs(&[])
        };
        let mut instance = instance(&host(&fixture, &person), grants).await;
        let asked = Instant::now();
        let run = tokio::spawn(async move { instance.run(&args(&["exec", "--", "echo"])).await });
        person.is_asked().await;
        // Nothing is waited for but the end of the time that the call had.
        tokio::time::sleep_until((asked + call * 2).into()).await;
        person.may_answer.add_permits(1);
        let answer = run.await.unwrap().unwrap();
        assert!(answer.unwrap().contains("status=0"));
    });
}
