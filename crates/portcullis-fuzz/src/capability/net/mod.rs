//! As there: the client of mail servers is its own source, and its connection leads to a [`Script`].

mod attempt;
#[path = "../../../../portcullis/src/capability/net/failure.rs"]
#[allow(
    dead_code,
    reason = "the source of another crate, of which a part is used"
)]
mod failure;
#[path = "../../../../portcullis/src/capability/net/reply.rs"]
mod reply;
mod script;
#[path = "../../../../portcullis/src/capability/net/smtp.rs"]
mod smtp;
mod tcp;
mod tls;

use std::time::Duration;

use portcullis_policy::{Host, Target};

pub(crate) use failure::NetFailure;
pub(crate) use script::Script;
pub(crate) use smtp::{SmtpAnswer, SmtpAsk, SmtpSecurity};
pub(crate) use tcp::{TcpAnswer, TcpAsk};
pub(crate) use tls::TlsFacts;

/// The place that everything leads to.
pub(crate) fn target() -> Target {
    Target {
        host: Host::parse("mail.example").unwrap(),
        port: 25,
    }
}

/// The code of a reply, its lines, and how many bytes it has.
pub(crate) type Reply = (u16, Vec<String>, usize);

/// The reply that the bytes begin with. `None` while it has not ended.
pub(crate) fn reply(bytes: &[u8]) -> Result<Option<Reply>, &'static str> {
    let read = reply::Reply::read(bytes).map_err(|reply::NoReply(why)| why)?;
    Ok(read.map(|(reply, used)| (reply.code, reply.lines, used)))
}

/// As there.
#[derive(Debug, Default)]
pub(crate) struct DnsAsk {
    pub(crate) name: String,
    pub(crate) kind: RecordKind,
    pub(crate) name_server: Option<String>,
    pub(crate) timeout: Option<Duration>,
}

/// As there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RecordKind {
    #[default]
    Addresses,
    A,
    Aaaa,
    Cname,
    Mx,
    Txt,
    Ns,
}

/// As there.
#[derive(Debug)]
pub(crate) struct DnsAnswer {
    pub(crate) records: Vec<String>,
    pub(crate) mail: Vec<(String, u16)>,
}
