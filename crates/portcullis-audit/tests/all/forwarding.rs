//! What is passed on to a log and to a collector, and what becomes of the trail when they are not there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use portcullis_audit::{
    AppendError, Decision, Destination, Event, Forward, Forwarding, Masked, Memory, RunEnded,
    Select, Sink, Verdict,
};
use serde_json::Value;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn decision(verdict: Verdict) -> Event {
    Event::Decision(Decision {
        run: "r".into(),
        call: 1,
        plugin: "p".into(),
        capability: "exec".into(),
        function: None,
        object: Masked::argv(["curl", "--token", "hunter2"]),
        request_id: None,
        verdict,
        rule: None,
        code: None,
        reason: Some(Masked::new("requested with [\"--token\", \"hunter2\"]")),
        effect: None,
    })
}

fn ended() -> Event {
    Event::RunEnded(RunEnded {
        run: "r".into(),
        exit_code: 0,
        duration_us: 1,
    })
}

fn syslog(socket: &Path) -> Forward {
    Forward {
        to: Destination::Syslog(socket.to_owned()),
        events: Select::Denials,
        head_every: 3,
        required: false,
    }
}

fn forwarding(forward: Forward) -> Forwarding<Memory> {
    Forwarding::new(Memory::new(), vec![forward]).unwrap()
}

fn append(sink: &impl Sink, event: &Event) -> Result<(), AppendError> {
    sink.append(Timestamp::UNIX_EPOCH, event).map(drop)
}

/// Everything that a log has received.
fn received(log: &UnixDatagram) -> Vec<String> {
    log.set_nonblocking(true).unwrap();
    let mut buffer = [0; 65_536];
    std::iter::from_fn(|| {
        let length = log.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    })
    .collect()
}

#[test]
fn denials_and_each_third_head_reach_the_log_in_its_format() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("log");
    let log = UnixDatagram::bind(&socket).unwrap();
    let sink = forwarding(syslog(&socket));
    for verdict in [Verdict::Allow, Verdict::Deny, Verdict::Allow] {
        append(&sink, &decision(verdict)).unwrap();
    }
    append(&sink, &ended()).unwrap();
    let messages = received(&log);
    assert_eq!(messages.len(), 3, "{messages:#?}");
    let expected = [
        ("<84>1 ", "decision", 2),
        ("<86>1 ", "head", 3),
        ("<86>1 ", "head", 4),
    ];
    for (message, (start, kind, seq)) in messages.iter().zip(expected) {
        assert!(message.starts_with(start), "{message}");
        let fields: Vec<_> = message.splitn(8, ' ').collect();
        assert_eq!(fields[1], "1970-01-01T00:00:00.000000Z");
        assert_eq!((fields[3], fields[5], fields[6]), ("portcullis", kind, "-"));
        assert_eq!(fields[4], std::process::id().to_string());
        let body: Value = serde_json::from_str(fields[7]).unwrap();
        assert_eq!(body["seq"], seq);
        assert!(!message.contains("hunter2"), "{message}");
    }
    // What was passed on is what was written down.
    let lines = String::from_utf8(sink.sink().lines()).unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    let body: Value = serde_json::from_str(messages[2].splitn(8, ' ').last().unwrap()).unwrap();
    assert_eq!(body["hash"], last["hash"]);
    assert!(sink.settle(PATIENCE).is_empty());
}

#[test]
fn all_or_no_events_reach_it_where_that_is_wanted() {
    for (events, expected) in [(Select::All, 3), (Select::None, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("log");
        let log = UnixDatagram::bind(&socket).unwrap();
        let sink = forwarding(Forward {
            events,
            head_every: 100,
            ..syslog(&socket)
        });
        append(&sink, &decision(Verdict::Deny)).unwrap();
        append(&sink, &ended()).unwrap();
        assert_eq!(received(&log).len(), expected);
    }
}

#[test]
fn a_log_that_is_not_there_keeps_nothing_from_the_trail_unless_it_is_required() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("log");
    let sink = forwarding(syslog(&socket));
    append(&sink, &decision(Verdict::Deny)).unwrap();
    assert_eq!(sink.sink().events().len(), 1);
    let lost = sink.settle(PATIENCE);
    assert_eq!((lost.len(), lost[0].messages), (1, 1));
    assert!(lost[0].to.contains("/log`"), "{lost:?}");
    let required = forwarding(Forward {
        required: true,
        ..syslog(&socket)
    });
    let refused = append(&required, &decision(Verdict::Deny)).unwrap_err();
    assert!(
        matches!(refused, AppendError::Forward { .. }),
        "{refused:?}"
    );
    // What is not for it needs no log.
    append(&required, &decision(Verdict::Allow)).unwrap();
}

#[test]
fn a_log_that_takes_nothing_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("log");
    // Nobody reads here: its queue is soon full.
    let log = UnixDatagram::bind(&socket).unwrap();
    let sink = forwarding(syslog(&socket));
    for _ in 0..10_000 {
        append(&sink, &decision(Verdict::Deny)).unwrap();
    }
    let kept = received(&log).len();
    let lost = sink.settle(PATIENCE)[0].messages;
    assert!(kept > 0 && lost > 0, "{kept} {lost}");
    append(&sink, &decision(Verdict::Deny)).unwrap();
    assert!(
        !received(&log).is_empty(),
        "it is used again when it can be"
    );
}

#[test]
fn a_log_that_was_started_again_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("log");
    let sink = forwarding(syslog(&socket));
    let first = UnixDatagram::bind(&socket).unwrap();
    append(&sink, &decision(Verdict::Deny)).unwrap();
    assert_eq!(received(&first).len(), 1);
    drop(first);
    std::fs::remove_file(&socket).unwrap();
    let second = UnixDatagram::bind(&socket).unwrap();
    append(&sink, &decision(Verdict::Deny)).unwrap();
    assert_eq!(received(&second).len(), 1);
    assert!(sink.settle(PATIENCE).is_empty());
}

/// A collector that answers each request with a status and gives the bodies, until its connections end.
fn collector(status: &'static str) -> (String, thread::JoinHandle<Vec<Value>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/logs", listener.local_addr().unwrap());
    let collecting = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut bodies = Vec::new();
        let mut reader = BufReader::new(stream);
        while let Some(body) = request(&mut reader) {
            bodies.push(body);
            answer(reader.get_mut(), status);
        }
        bodies
    });
    (endpoint, collecting)
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<Value> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    assert!(head.starts_with("POST /v1/logs HTTP/1.1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("content-type: application/json"), "{head}");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).unwrap())
}

fn answer(stream: &mut TcpStream, status: &str) {
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    stream.write_all(text.as_bytes()).unwrap();
}

fn otlp(endpoint: &str, required: bool) -> Forward {
    Forward {
        to: Destination::Otlp(endpoint.to_owned()),
        events: Select::All,
        head_every: 100,
        required,
    }
}

#[test]
fn events_and_heads_reach_a_collector_as_log_records() {
    for required in [false, true] {
        let (endpoint, collecting) = collector("200 OK");
        let sink = forwarding(otlp(&endpoint, required));
        append(&sink, &decision(Verdict::Deny)).unwrap();
        append(&sink, &ended()).unwrap();
        assert!(sink.settle(PATIENCE).is_empty());
        drop(sink);
        let bodies = collecting.join().unwrap();
        let records: Vec<_> = bodies
            .iter()
            .flat_map(|body| {
                let scope = &body["resourceLogs"][0]["scopeLogs"][0];
                scope["logRecords"].as_array().unwrap().clone()
            })
            .collect();
        let seen: Vec<_> = records
            .iter()
            .map(|record| {
                let body = record["body"]["stringValue"].as_str().unwrap();
                assert!(!body.contains("hunter2"), "{body}");
                let body: Value = serde_json::from_str(body).unwrap();
                (
                    record["severityText"].clone(),
                    body["seq"].clone(),
                    body["event"]["kind"].clone(),
                )
            })
            .collect();
        let expected = [
            ("WARN".into(), 1.into(), "decision".into()),
            ("INFO".into(), 2.into(), "run_ended".into()),
            ("INFO".into(), 2.into(), Value::Null),
        ];
        assert_eq!(seen, expected);
    }
}

#[test]
fn a_collector_that_refuses_loses_events_or_stops_the_effect() {
    let (endpoint, collecting) = collector("503 Service Unavailable");
    let sink = forwarding(otlp(&endpoint, false));
    append(&sink, &decision(Verdict::Deny)).unwrap();
    let lost = sink.settle(PATIENCE);
    assert_eq!((lost.len(), lost[0].messages), (1, 1), "{lost:?}");
    drop(sink);
    assert_eq!(collecting.join().unwrap().len(), 1);
    let (endpoint, collecting) = collector("503 Service Unavailable");
    let sink = forwarding(otlp(&endpoint, true));
    let refused = append(&sink, &decision(Verdict::Deny)).unwrap_err();
    assert!(
        matches!(refused, AppendError::Forward { .. }),
        "{refused:?}"
    );
    drop(sink);
    collecting.join().unwrap();
}

#[test]
fn a_collector_that_is_not_there_keeps_nothing_from_the_trail() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/logs", listener.local_addr().unwrap());
    drop(listener);
    let sink = forwarding(otlp(&endpoint, false));
    append(&sink, &decision(Verdict::Deny)).unwrap();
    assert_eq!(sink.sink().events().len(), 1);
    assert_eq!(sink.settle(PATIENCE).len(), 1);
}

#[test]
fn an_endpoint_is_plain_and_has_no_credentials() {
    for bad in ["https://h/v1/logs", "http://me:pw@h/", "h:4318", "http://"] {
        let opened = Forwarding::new(Memory::new(), vec![otlp(bad, false)]);
        assert!(opened.is_err(), "{bad}");
    }
}
