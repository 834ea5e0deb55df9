//! What a mail server says: a reply is what a second reader takes for one, a server that does not end is left, and what was said
//! before TLS is not taken for something said in it.
//!
//! The first byte of an input says when TLS begins: `N` never, `T` at once, `S` when it was asked for; a small letter, that what
//! the server says last has no end. The second is how many bytes come at a time. What follows is what it says, at once and after each line
//! that it is told, with `|` between.

use portcullis_policy::shown;

use crate::Run;
use crate::capability::net::{NetFailure, Reply, Script, SmtpAsk, SmtpSecurity, reply};
use crate::gate::{Gate, Says};

/// Bytes of a line, and lines of a reply.
const LINE: usize = 1024;
const LINES: usize = 100;

pub(crate) fn target() -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    Box::new(move |data| {
        let [security, piece, said @ ..] = data else {
            return;
        };
        is_what_stands_there(said);
        let when = match security.to_ascii_uppercase() {
            b'T' => SmtpSecurity::Tls,
            b'S' => SmtpSecurity::StartTls,
            _ => SmtpSecurity::None,
        };
        let server = Script::saying(said, *piece, security.is_ascii_lowercase());
        runtime.block_on(looked_at(when, server));
    })
}

/// However many of the bytes have come, a reply is one exactly if it is one to the second reader.
fn is_what_stands_there(said: &[u8]) {
    for end in (0..said.len().min(300)).chain([said.len()]) {
        let begun = &said[..end];
        let (is, means) = (planted(begun, reply(begun)), read(begun));
        match &is {
            Ok(Some(reply)) => assert_eq!(Reading::Reply(reply.clone()), means, "{begun:?}"),
            Ok(None) => assert_eq!(Reading::Begun, means, "{begun:?}"),
            Err(_) => assert_eq!(Reading::Nothing, means, "{begun:?}"),
        }
    }
}

/// What bytes begin with.
#[derive(Debug, PartialEq)]
enum Reading {
    Reply(Reply),
    Begun,
    Nothing,
}

/// The second reader.
fn read(bytes: &[u8]) -> Reading {
    let mut said = Vec::new();
    let mut used = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.len() > LINE {
            return Reading::Nothing;
        }
        if line.last() != Some(&b'\n') {
            return Reading::Begun;
        }
        used += line.len();
        let text = String::from_utf8_lossy(line);
        let Some(text) = text.strip_suffix("\r\n") else {
            return Reading::Nothing;
        };
        let digits = text
            .get(..3)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
        let Some(code) = digits.and_then(|digits| digits.parse().ok()) else {
            return Reading::Nothing;
        };
        said.push(text.to_owned());
        let first: Option<u16> = said[0].get(..3).and_then(|digits| digits.parse().ok());
        if !(200..=559).contains(&code) || code / 10 % 10 > 5 || first != Some(code) {
            return Reading::Nothing;
        }
        match text.as_bytes().get(3) {
            None | Some(b' ') => return Reading::Reply((code, said, used)),
            Some(b'-') if said.len() < LINES => {}
            Some(_) => return Reading::Nothing,
        }
    }
    Reading::Begun
}

/// Has the client look at a server.
async fn looked_at(when: SmtpSecurity, server: Script) {
    let ask = SmtpAsk {
        host: "mail.example".to_owned(),
        port: 25,
        security: when,
        timeout: None,
    };
    let says = Says {
        server: server.clone(),
        ..Says::default()
    };
    let answer = Gate::new(says).net_mail(ask).await;
    let lines = server.lines();
    assert!(
        lines.bytes <= 3 * LINE * (LINES + 1),
        "{} bytes were waited for",
        lines.bytes
    );
    let [clear, tls] = lines
        .told
        .each_ref()
        .map(|told| String::from_utf8_lossy(told));
    let expected = match when {
        SmtpSecurity::None => ("QUIT\r\n", ""),
        SmtpSecurity::Tls => ("", "QUIT\r\n"),
        SmtpSecurity::StartTls => ("EHLO localhost\r\nSTARTTLS\r\n", "QUIT\r\n"),
    };
    match answer {
        Ok(answer) => {
            assert_eq!((&*clear, &*tls), expected, "it is told something else");
            assert_eq!(answer.tls.is_some(), when != SmtpSecurity::None);
            assert_eq!(answer.tls.is_some(), lines.tls);
            if when != SmtpSecurity::Tls {
                let banner = before_tls(&lines.taken, when);
                assert_eq!(answer.banner, banner);
            }
            assert!(answer.banner.starts_with("220"), "{:?}", answer.banner);
        }
        Err(failure) => {
            let told = expected.0.starts_with(&*clear) && expected.1.starts_with(&*tls);
            assert!(told, "{clear:?} {tls:?}");
            is_ours(&failure);
        }
    }
}

/// What was said in the clear is the replies that were wanted, and not a byte more where TLS begins. Gives the greeting.
fn before_tls(mut taken: &[u8], when: SmtpSecurity) -> String {
    let mut replies = Vec::new();
    while let Reading::Reply((code, lines, used)) = read(taken) {
        replies.push((code, lines));
        taken = &taken[used..];
        if when == SmtpSecurity::None {
            break;
        }
    }
    if when == SmtpSecurity::StartTls {
        assert_eq!(taken, b"", "something was said before TLS");
        let codes: Vec<_> = replies.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, [220, 250, 220]);
        let offers = |line: &String| {
            line[3..].trim_end().eq_ignore_ascii_case("-STARTTLS")
                || line[3..].trim_end().eq_ignore_ascii_case(" STARTTLS")
        };
        assert!(replies[1].1.iter().skip(1).any(offers), "{replies:?}");
    }
    replies[0].1.join("\n")
}

/// Of what the server said there is nothing in it but a code.
fn is_ours(failure: &NetFailure) {
    const WORDS: [&str; 10] = [
        "it says more lines than a reply has",
        "it says a line that does not end",
        "what it says is no reply of a mail server",
        "the server greets with ",
        "the server does not offer STARTTLS",
        "the server goes on talking where TLS begins",
        "the server answers STARTTLS with ",
        "the server talks without being asked",
        "the server closed the connection",
        "the connection broke: ",
    ];
    let NetFailure::Io(why) = failure else {
        panic!("{failure:?}");
    };
    let rest = WORDS.iter().find_map(|words| why.strip_prefix(words));
    assert!(
        rest.is_some_and(|code| code.len() <= 3 && code.bytes().all(|byte| byte.is_ascii_digit())),
        "{}",
        shown(why)
    );
}

type Read = Result<Option<Reply>, &'static str>;

#[cfg(not(feature = "planted"))]
fn planted(_: &[u8], read: Read) -> Read {
    read
}

/// The bug: a reply may go on with another code.
#[cfg(feature = "planted")]
fn planted(said: &[u8], read: Read) -> Read {
    let first = reply(said.get(..9).unwrap_or_default());
    match (first, said.get(3)) {
        (Ok(None), Some(b'-')) if read.is_err() => Ok(None),
        _ => read,
    }
}
