//! What the source of another crate looks for under this name: a gate that decides nothing. It answers what an input says, and
//! keeps what it was asked.

use std::time::Duration;

use portcullis_exec::{Completed, ExecAsk, Status};
use portcullis_policy::{Code, Grants, GuestError, PluginId};

use crate::capability::http::{HttpAnswer, HttpAsk, HttpFailure};
use crate::capability::net::{
    DnsAnswer, DnsAsk, NetFailure, Script, TcpAnswer, TcpAsk, TlsFacts, target,
};

/// Bytes of what is bounded before it comes here.
const HEAD: usize = 64 * 1024;

/// As there.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    pub(crate) ask: ExecAsk,
    pub(crate) timeout: Option<Duration>,
}

/// As there.
pub(crate) struct Refused {
    pub(crate) guest: GuestError,
    pub(crate) code: Option<Code>,
}

impl From<GuestError> for Refused {
    fn from(guest: GuestError) -> Self {
        Self { guest, code: None }
    }
}

/// What it was asked.
#[derive(Debug)]
pub(crate) enum Asked {
    Exec(Wish),
    Http(HttpAsk),
    Dns(DnsAsk),
    Tcp(TcpAsk),
    Mail {
        host: String,
        port: u16,
        timeout: Option<Duration>,
    },
}

/// How it answers.
#[derive(Debug, Default)]
pub(crate) struct Says {
    /// Which failure, counted from 1; 0: none.
    pub(crate) failure: u8,
    /// What commands write, servers say, and records are made of.
    pub(crate) text: Vec<u8>,
    /// What the mail server says.
    pub(crate) server: Script,
}

pub(crate) struct Gate {
    pub(crate) asked: Vec<Asked>,
    /// What the next request belongs to.
    pub(crate) work: Option<String>,
    pub(crate) says: Says,
    grants: Grants,
}

impl Gate {
    pub(crate) fn new(says: Says) -> Self {
        Self {
            asked: Vec::new(),
            work: None,
            says,
            grants: Grants::none(PluginId::new("p").unwrap()),
        }
    }

    pub(crate) fn grants(&self) -> &Grants {
        &self.grants
    }

    pub(crate) fn work_on(&mut self, work: Option<&str>) {
        self.work = work.map(str::to_owned);
    }

    #[expect(clippy::unused_async, reason = "as there")]
    pub(crate) async fn exec(&mut self, wish: Wish) -> Result<Completed, Refused> {
        self.asked.push(Asked::Exec(wish));
        let Says { failure, text, .. } = &self.says;
        let (guest, code) = match failure {
            0..=2 => {
                let status = [Status::Exited(3), Status::Signalled(9), Status::TimedOut];
                return Ok(completed(status[usize::from(*failure)], text));
            }
            3 => (GuestError::Denied, Some(Code::ExecNotGranted)),
            4 => (GuestError::Denied, None),
            5 => (GuestError::NotFound, None),
            6 => (GuestError::Invalid, None),
            7 => (GuestError::Limit, Some(Code::LimitCalls)),
            8 => (GuestError::TimedOut, None),
            _ => (GuestError::CannotStart, None),
        };
        Err(Refused { guest, code })
    }

    #[expect(clippy::unused_async, reason = "as there")]
    pub(crate) async fn http(&mut self, ask: HttpAsk) -> Result<HttpAnswer, HttpFailure> {
        let failed = match self.says.failure {
            0 => None,
            1 => Some(HttpFailure::NotGranted),
            2 => Some(HttpFailure::InvalidUrl(ask.url.clone())),
            3 => Some(HttpFailure::HostNotAllowed(ask.url.clone())),
            4 => Some(HttpFailure::Address(ask.url.clone())),
            5 => Some(HttpFailure::Header(ask.method.clone())),
            6 => Some(HttpFailure::Rate),
            7 => Some(HttpFailure::TimedOut),
            8 => Some(HttpFailure::Secret(self.said())),
            _ => Some(HttpFailure::Io(self.said())),
        };
        self.asked.push(Asked::Http(ask));
        failed.map_or_else(|| Ok(self.response()), Err)
    }

    #[expect(clippy::unused_async, reason = "as there")]
    pub(crate) async fn net_lookup(&mut self, ask: DnsAsk) -> Result<DnsAnswer, NetFailure> {
        let name = ask.name.clone();
        self.asked.push(Asked::Dns(ask));
        self.fails(&name)?;
        let records: Vec<_> = self.said().split('|').map(str::to_owned).collect();
        let mail = records.iter().map(|host| (host.clone(), 10)).collect();
        Ok(DnsAnswer { records, mail })
    }

    #[expect(clippy::unused_async, reason = "as there")]
    pub(crate) async fn net_connect(&mut self, ask: TcpAsk) -> Result<TcpAnswer, NetFailure> {
        let (name, tls) = (ask.host.clone(), ask.tls);
        self.asked.push(Asked::Tcp(ask));
        self.fails(&name)?;
        Ok(TcpAnswer {
            target: target(),
            remote: None,
            local: ([127, 0, 0, 1], 4000).into(),
            took: Duration::from_millis(1),
            tls: tls.then(|| TlsFacts {
                subject: self.said(),
                ..TlsFacts::default()
            }),
        })
    }

    /// The failure that is meant, if one is.
    pub(crate) fn fails(&self, object: &str) -> Result<(), NetFailure> {
        let object = object.to_owned();
        Err(match self.says.failure {
            0 => return Ok(()),
            1 => NetFailure::Denied(object),
            2 => NetFailure::Address(object),
            3 => NetFailure::Invalid(object),
            4 => NetFailure::Rate,
            5 => NetFailure::TimedOut,
            6 => NetFailure::NotFound(object),
            7 => NetFailure::Unready(self.said()),
            8 => NetFailure::Closed,
            _ => NetFailure::Io(object),
        })
    }

    /// As much as a head, a message of DNS or a certificate has.
    fn said(&self) -> String {
        let text = &self.says.text;
        String::from_utf8_lossy(&text[..text.len().min(HEAD)]).into_owned()
    }

    /// What is said as a response: parts between `|`, of which a number is the status, what has a colon a header, and all else the body.
    fn response(&self) -> HttpAnswer {
        let mut answer = HttpAnswer {
            status: 200,
            headers: Vec::new(),
            body: Vec::new(),
            truncated: false,
        };
        for part in self.says.text.split(|byte| *byte == b'|') {
            let text = String::from_utf8_lossy(part);
            if let Ok(status) = text.parse() {
                answer.status = status;
            } else if let Some((name, value)) = text.split_once(':')
                && (answer.headers.len() + 1) * text.len() <= HEAD
            {
                answer.headers.push((name.to_owned(), value.to_owned()));
            } else {
                answer.body.extend_from_slice(part);
            }
        }
        answer
    }
}

fn completed(status: Status, text: &[u8]) -> Completed {
    let (stdout, stderr) = match text.iter().position(|byte| *byte == b'|') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[][..]),
    };
    Completed {
        status,
        stdout: stdout.to_vec(),
        stderr: stderr.to_vec(),
        stdout_truncated: false,
        stderr_truncated: false,
        stdout_written: 0,
        stderr_written: 0,
        killed_for: None,
        asked: false,
        stragglers: 0,
        duration: Duration::from_millis(1),
        usage: Default::default(),
        report: portcullis_confine::fuzzing::report(),
        trees: Vec::new(),
        connections: Vec::new(),
        complaint: None,
        observed: None,
    }
}
