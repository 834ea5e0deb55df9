//! Repeated denials are counted, everything else is written.

use portcullis_audit::{Event, FoldOptions, Folding, Masked, Memory, RunEnded, Sink, Verdict};

use crate::{decision, time};

fn kinds(sink: &Folding<Memory>) -> Vec<String> {
    sink.sink()
        .events()
        .into_iter()
        .map(|(_, event)| match event {
            Event::Decision(decision) => format!("{:?} {}", decision.verdict, decision.call),
            Event::DenialsFolded(folded) => {
                format!(
                    "folded {} ({}..{})",
                    folded.count, folded.first_call, folded.last_call
                )
            }
            Event::RunEnded(_) => "end".into(),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn folding() -> Folding<Memory> {
    let mut options = FoldOptions::default();
    options.written = 2;
    Folding::new(Memory::new(), options)
}

#[test]
fn repeats_beyond_the_first_become_one_record_when_the_window_is_over() {
    let sink = folding();
    for call in 1..=100 {
        let head = sink
            .append(time(call), &decision(call, Verdict::Deny))
            .unwrap();
        assert_eq!(head.is_some(), call <= 2);
    }
    sink.append(time(2000), &decision(101, Verdict::Deny))
        .unwrap();
    assert_eq!(
        kinds(&sink),
        ["Deny 1", "Deny 2", "folded 98 (3..100)", "Deny 101"]
    );
}

#[test]
fn the_end_of_the_run_closes_the_window() {
    let sink = folding();
    for call in 1..=4 {
        sink.append(time(call), &decision(call, Verdict::Deny))
            .unwrap();
    }
    let end = Event::RunEnded(RunEnded {
        run: "run-1".into(),
        exit_code: 0,
        duration_us: 1,
    });
    sink.append(time(5), &end).unwrap();
    assert_eq!(kinds(&sink), ["Deny 1", "Deny 2", "folded 2 (3..4)", "end"]);
}

#[test]
fn what_was_allowed_and_what_differs_is_never_folded() {
    let sink = folding();
    for call in 1..=5 {
        sink.append(time(call), &decision(call, Verdict::Allow))
            .unwrap();
        let Event::Decision(mut denial) = decision(call, Verdict::Deny) else {
            unreachable!()
        };
        denial.capability = format!("capability-{call}");
        sink.append(time(call), &Event::Decision(denial)).unwrap();
    }
    assert_eq!(kinds(&sink).len(), 10);
}

#[test]
fn denials_that_all_differ_are_counted_together_beyond_a_number() {
    let mut options = FoldOptions::default();
    options.objects = 3;
    let sink = Folding::new(Memory::new(), options);
    let about = |call: u64, run: &str| {
        let Event::Decision(mut denied) = decision(call, Verdict::Deny) else {
            unreachable!("a decision")
        };
        denied.object = Masked::new(&format!("program {call}"));
        run.clone_into(&mut denied.run);
        sink.append(time(call), &Event::Decision(denied)).unwrap()
    };
    for call in 1..=100 {
        assert_eq!(about(call, "run-1").is_some(), call <= 3, "{call}");
    }
    assert!(
        about(101, "run-2").is_some(),
        "another run is not counted with it"
    );
    assert!(about(2000, "run-1").is_some(), "the next window");
    let kinds = kinds(&sink);
    assert_eq!(kinds[3..], ["Deny 101", "folded 97 (4..100)", "Deny 2000"]);
}
