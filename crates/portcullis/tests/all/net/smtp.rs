//! Mail servers that greet, and those that only seem to.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis::policy::Grants;
use serde_json::{Value, json};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::tls::{certified, serve};
use super::{DENIED, FAILED, INSIDE, LATE, World, error, grants};
use crate::http::peer::Peer;

portcullis_testkit::tests![
    a_server_greets_and_is_left_politely,
    a_server_that_speaks_tls_greets_in_it,
    tls_begins_after_one_greeting_where_it_is_offered,
    tls_that_is_not_offered_is_not_begun,
    what_is_said_before_tls_counts_for_nothing_in_it,
    what_does_not_greet_is_no_mail_server,
    a_greeting_without_an_end_is_given_up,
    a_server_that_says_nothing_is_given_up_in_time,
    what_was_not_granted_is_not_dialled,
];

const SMTP: &str = "smtp_connect";

fn look(extra: Value) -> Value {
    let mut request =
        json!({ "host": "mail.example.com", "port": "25", "timeout_ms": 10000, "context": {} });
    for (key, value) in extra.as_object().unwrap() {
        request[key] = value.clone();
    }
    request
}

fn mail() -> Grants {
    grants(&["mail.example.com:25"], &[])
}

type Said = Arc<Mutex<Vec<String>>>;

/// A server that notes the lines that it is told.
fn server(
    serve: impl Fn(TcpStream, &Mutex<Vec<String>>) -> io::Result<()> + Send + Sync + 'static,
) -> (Peer, Said) {
    let said = Said::default();
    let noted = Arc::clone(&said);
    let peer = Peer::serving(move |stream, _| {
        // The other end may be gone by now.
        let _gone = serve(stream, &noted);
    });
    (peer, said)
}

fn line(reader: &mut impl BufRead, said: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    said.lock().unwrap().push(line);
    Ok(())
}

/// Says this at once, and nothing more.
fn saying(text: &'static [u8]) -> (Peer, Said) {
    server(move |stream, said| {
        (&stream).write_all(text)?;
        line(&mut BufReader::new(&stream), said)
    })
}

/// What was told, once as many lines were.
fn told(said: &Said, lines: usize) -> Vec<String> {
    let began = Instant::now();
    while said.lock().unwrap().len() < lines && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    said.lock().unwrap().clone()
}

fn a_server_greets_and_is_left_politely() {
    let (peer, said) = saying(b"220 mail.example.com ESMTP ready\r\n");
    let world = World::new(peer.address());
    let answer = world.answer(
        SMTP,
        mail(),
        look(json!({ "tls": false, "starttls": false })),
    );
    assert_eq!(answer["connected"], json!(true), "{answer}");
    assert_eq!(answer["address"], json!("mail.example.com:25"));
    assert_eq!(answer["banner"], json!("220 mail.example.com ESMTP ready"));
    assert!(answer["response_time_ms"].is_u64());
    assert_eq!(answer["tls"], json!(false));
    assert!(answer.get("error").is_none());
    assert_eq!(told(&said, 1), ["QUIT\r\n"]);
    let lines = world.lines();
    assert_eq!(lines[0], "allow smtp mail.example.com:25");
    assert!(lines[1].starts_with("done in 32 "), "{lines:?}");
    assert!(!world.written().contains("ESMTP"));
    let (peer, _) = saying(b"220-one\r\n220-two \xff\r\n220 three\r\n");
    let answer = World::new(peer.address()).answer(SMTP, mail(), look(json!({})));
    assert_eq!(
        answer["banner"],
        json!("220-one\n220-two \u{fffd}\n220 three")
    );
}

fn a_server_that_speaks_tls_greets_in_it() {
    let certificate = certified(&["mail.example.com"], 2099);
    let config = certificate.config(&[&TLS13]);
    let (peer, said) = server(move |socket, said| {
        let mut stream = serve(&config, socket);
        stream.write_all(b"220 secret greeting\r\n")?;
        stream.flush()?;
        line(&mut BufReader::new(stream), said)
    });
    let world = World::with(peer.address(), |builder| {
        builder.ca_file(&certificate.authority)
    });
    for flag in ["tls", "use_tls"] {
        let answer = world.answer(SMTP, mail(), look(json!({ flag: true })));
        for (key, value) in [
            ("connected", json!(true)),
            ("banner", json!("220 secret greeting")),
            ("tls", json!(true)),
            ("tls_version", json!("TLS 1.3")),
            ("tls_cipher_suite", json!("TLS_AES_256_GCM_SHA384")),
            ("tls_server_name", json!("mail.example.com")),
        ] {
            assert_eq!(answer[key], value, "{key}: {answer}");
        }
    }
    assert_eq!(told(&said, 2), ["QUIT\r\n"; 2]);
    // By a server that is not trusted it is not even heard.
    let other = certified(&["mail.example.com"], 2099);
    let world = World::with(peer.address(), |builder| builder.ca_file(&other.authority));
    let answer = world.answer(SMTP, mail(), look(json!({ "tls": true })));
    assert_eq!(error(&answer), FAILED);
    assert!(answer.get("banner").is_none(), "{answer}");
}

/// Greets, offers, and begins TLS; `after` is what is said right behind that it begins.
fn starting_tls(
    offers: &'static [u8],
    begins: &'static [u8],
) -> (World, Said, super::tls::Certified) {
    let certificate = certified(&["mail.example.com"], 2099);
    let config = certificate.config(&[&TLS12, &TLS13]);
    let (peer, said) = server(move |socket, said| {
        let mut plain = BufReader::new(socket);
        plain
            .get_mut()
            .write_all(b"220 mail.example.com ESMTP\r\n")?;
        line(&mut plain, said)?;
        plain.get_mut().write_all(offers)?;
        line(&mut plain, said)?;
        plain.get_mut().write_all(begins)?;
        let mut stream = BufReader::new(serve(&config, plain.into_inner()));
        line(&mut stream, said)
    });
    let world = World::with(peer.address(), |builder| {
        builder.ca_file(&certificate.authority)
    });
    (world, said, certificate)
}

const OFFERS: &[u8] =
    b"250-mail.example.com at your service\r\n250-SIZE 1000\r\n250-starttls\r\n250 HELP\r\n";
const BEGINS: &[u8] = b"220 go ahead\r\n";

fn tls_begins_after_one_greeting_where_it_is_offered() {
    let (world, said, _certificate) = starting_tls(OFFERS, BEGINS);
    for flag in ["starttls", "use_starttls"] {
        let answer = world.answer(SMTP, mail(), look(json!({ flag: true })));
        for (key, value) in [
            ("connected", json!(true)),
            ("banner", json!("220 mail.example.com ESMTP")),
            ("tls", json!(true)),
            ("tls_version", json!("TLS 1.3")),
            ("tls_server_name", json!("mail.example.com")),
        ] {
            assert_eq!(answer[key], value, "{key}: {answer}");
        }
    }
    let each = ["EHLO localhost\r\n", "STARTTLS\r\n", "QUIT\r\n"];
    assert_eq!(told(&said, 6), [each, each].concat());
}

fn tls_that_is_not_offered_is_not_begun() {
    for (offers, begins, lines) in [
        (&b"250-mail.example.com\r\n250 SIZE 1000\r\n"[..], BEGINS, 1),
        // The first line has the server's name, and not what it offers.
        (b"250 STARTTLS\r\n", BEGINS, 1),
        (b"250-mail.example.com\r\n250 XSTARTTLS\r\n", BEGINS, 1),
        (b"502 what is EHLO? STARTTLS\r\n", BEGINS, 1),
        (OFFERS, b"454 not now\r\n", 2),
        (OFFERS, b"250 go ahead\r\n", 2),
        (OFFERS, b"go ahead\r\n", 2),
    ] {
        let (world, said, _certificate) = starting_tls(offers, begins);
        let answer = world.answer(SMTP, mail(), look(json!({ "starttls": true })));
        assert_eq!(error(&answer), FAILED, "{offers:?} {begins:?}");
        assert_eq!(answer["connected"], json!(false));
        assert!(answer.get("tls_version").is_none() && answer.get("banner").is_none());
        let told = told(&said, lines);
        let spoken = told.iter().filter(|line| !line.is_empty()).count();
        assert!(
            spoken <= lines && !told.iter().any(|line| line == "QUIT\r\n"),
            "{told:?}"
        );
    }
}

fn what_is_said_before_tls_counts_for_nothing_in_it() {
    for (offers, begins) in [
        (OFFERS, &b"220 go ahead\r\n250 injected\r\n"[..]),
        (OFFERS, b"220 go ahead\r\n2"),
        (
            b"250-mail.example.com\r\n250 STARTTLS\r\n220 go ahead\r\n",
            BEGINS,
        ),
    ] {
        let (world, _said, _certificate) = starting_tls(offers, begins);
        let answer = world.answer(SMTP, mail(), look(json!({ "starttls": true })));
        assert_eq!(error(&answer), FAILED, "{offers:?} {begins:?}");
        assert!(answer.get("tls_version").is_none(), "{answer}");
        let lines = world.lines();
        assert!(lines[1].contains("talk"), "{lines:?}");
    }
    // What comes behind the greeting is no answer to what was not asked yet.
    let (peer, said) = saying(b"220 mail.example.com\r\n250 STARTTLS\r\n");
    let world = World::new(peer.address());
    let answer = world.answer(SMTP, mail(), look(json!({ "starttls": true })));
    assert_eq!(error(&answer), FAILED);
    assert_eq!(told(&said, 1), [""]);
}

fn what_does_not_greet_is_no_mail_server() {
    for greeting in [
        &b"554 no service here hostile-text\r\n"[..],
        b"421 hostile-text\r\n",
        b"220 mail\n",
        b"220-mail\r\n221 hostile-text\r\n",
        b"SSH-2.0-OpenSSH_9.6 hostile-text\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x16\x03\x01\r\n",
        b"\r\n",
        b"",
    ] {
        let (peer, _) = server(move |stream, _| (&stream).write_all(greeting));
        let world = World::new(peer.address());
        let answer = world.answer(SMTP, mail(), look(json!({})));
        assert_eq!(error(&answer), FAILED, "{greeting:?}");
        assert_eq!(answer["connected"], json!(false));
        assert!(!answer.to_string().contains("hostile-text"), "{answer}");
        assert!(
            !world.written().contains("hostile-text"),
            "{}",
            world.written()
        );
    }
}

fn a_greeting_without_an_end_is_given_up() {
    for part in [&b"220-and then\r\n"[..], b"2", b"220 x", b"220-\r\n"] {
        let sent = Arc::<Mutex<usize>>::default();
        let counted = Arc::clone(&sent);
        let (peer, _) = server(move |mut stream, _| {
            let many = part.repeat(64);
            loop {
                stream.write_all(&many)?;
                *counted.lock().unwrap() += many.len();
            }
        });
        let world = World::new(peer.address());
        let began = Instant::now();
        let answer = world.answer(SMTP, mail(), look(json!({})));
        assert_eq!(error(&answer), FAILED, "{part:?}");
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "it is no matter of time"
        );
        assert!(!world.lines()[1].contains("time is over"));
    }
}

fn a_server_that_says_nothing_is_given_up_in_time() {
    let begun: [&[u8]; 3] = [b"", b"220-mail.example.com\r\n", b"220 mail.exam"];
    for begun in begun {
        let (peer, _) = server(move |stream, _| {
            (&stream).write_all(begun)?;
            (&stream).read(&mut [0; 16]).map(drop)
        });
        let world = World::new(peer.address());
        let began = Instant::now();
        let answer = world.answer(SMTP, mail(), look(json!({ "timeout_ms": 300 })));
        assert_eq!(error(&answer), LATE);
        assert!(began.elapsed() < Duration::from_secs(8));
    }
}

fn what_was_not_granted_is_not_dialled() {
    let (peer, said) = saying(b"220 mail\r\n");
    let world = World::new(peer.address());
    world.network.name("inside.example", &["10.0.0.1"]);
    for (connect, host, refused) in [
        (&["mail.example.com:587"][..], "mail.example.com", DENIED),
        (&["other.example:25"], "mail.example.com", DENIED),
        (&["*:25"], "inside.example", INSIDE),
        (&["*:25"], "127.0.0.1", INSIDE),
    ] {
        let request = look(json!({ "host": host }));
        let answer = world.answer(SMTP, grants(connect, &["*"]), request);
        assert_eq!(error(&answer), refused, "{connect:?} {host}");
    }
    assert!(world.network.take_dialled().is_empty() && said.lock().unwrap().is_empty());
}
