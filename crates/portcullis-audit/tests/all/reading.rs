//! Reading a trail back.

use portcullis_audit::{Decision, Event, Options, Trail, entries, find, tail};

use crate::{Place, append, lines, write_lines};

#[test]
fn entries_come_back_as_they_were_written() {
    let (place, head) = Place::filled(3);
    let all: Vec<_> = entries(&place.audit).unwrap().map(Result::unwrap).collect();
    assert_eq!(
        all.iter().map(|entry| entry.head.seq).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert_eq!(all[3].head, head);
    assert!(matches!(
        &all[3].event,
        Some(Event::Decision(Decision { call: 3, .. }))
    ));
    assert_eq!(all[3].time, crate::time(3));
}

#[test]
fn an_event_of_a_later_version_is_passed_on_as_json() {
    let (place, _) = Place::filled(2);
    let mut lines = lines(&place.file(1));
    lines[1] = lines[1].replace(r#""kind":"decision""#, r#""kind":"prophecy""#);
    write_lines(&place.file(1), &lines);
    let entry = find(&place.audit, 2).unwrap().unwrap();
    assert_eq!(entry.event, None);
    assert_eq!(entry.json["event"]["kind"], "prophecy");
    assert!(find(&place.audit, 3).unwrap().unwrap().event.is_some());
    assert!(find(&place.audit, 4).unwrap().is_none());
}

#[test]
fn the_tail_reaches_over_files() {
    let place = Place::new();
    let mut options = Options::default();
    options.max_file_bytes = 600;
    let trail = Trail::open(&place.audit, options).unwrap();
    let last = (1..=6).map(|call| append(&trail, call)).last().unwrap();
    let seqs: Vec<u64> = tail(&place.audit, 5)
        .unwrap()
        .iter()
        .map(|entry| entry.head.seq)
        .collect();
    assert_eq!(seqs, (last.seq - 4..=last.seq).collect::<Vec<_>>());
    assert_eq!(tail(&place.audit, 1000).unwrap().len() as u64, last.seq);
}
