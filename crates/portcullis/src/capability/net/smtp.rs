//! How a mail server greets, and whether it speaks TLS.
//!
//! A greeting, `EHLO` and `STARTTLS` where TLS is asked for on a plain connection, and `QUIT`: no mail is ever sent. Nothing that the
//! server says before TLS is taken for something that it says in it.

use std::time::{Duration, Instant};

use portcullis_policy::Target;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::attempt::{Given, Outside};
use super::failure::{Failed, NetFailure};
use super::reply::{MAX_LINE, NoReply, Reply};
use super::tcp::connected;
use super::tls::{TlsFacts, handshake};
use crate::gate::Gate;

/// A mail server as a guest asks for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SmtpAsk {
    /// A name, or an address with or without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: SmtpSecurity,
    /// What the guest waits at most; `None`: as long as it may.
    pub(crate) timeout: Option<Duration>,
}

/// When TLS begins, with a server whose certificate is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SmtpSecurity {
    /// Never.
    #[default]
    None,
    /// Before anything is said.
    Tls,
    /// After the greeting. A server that does not offer it is an error.
    StartTls,
}

/// A mail server that was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SmtpAnswer {
    /// What was asked for.
    pub(crate) target: Target,
    /// The greeting, `220 …`, with all of its lines.
    pub(crate) banner: String,
    pub(crate) took: Duration,
    pub(crate) tls: Option<TlsFacts>,
}

impl Given for SmtpAnswer {
    fn bytes(&self) -> usize {
        self.banner.len() + self.tls.as_ref().map_or(0, Given::bytes)
    }
}

impl Gate {
    /// Connects to a mail server, and says good-bye once it has greeted.
    ///
    /// It takes no longer than `limits.net_timeout`, no longer than asked for, and no longer than the guest's own call.
    ///
    /// # Errors
    /// [`NetFailure`]
    pub(crate) async fn net_mail(&mut self, ask: SmtpAsk) -> Result<SmtpAnswer, NetFailure> {
        let (target, allowed, outside) =
            self.net_place("smtp", &ask.host, ask.port, ask.timeout)?;
        let work = probe(outside, target, ask.security);
        self.net_attempt(allowed, work).await
    }
}

async fn probe(
    outside: Outside,
    target: Target,
    security: SmtpSecurity,
) -> Result<SmtpAnswer, Failed> {
    let began = Instant::now();
    let (stream, _) = connected(&outside, &target).await?;
    let (banner, tls) = match security {
        SmtpSecurity::None => {
            let mut server = Server::new(stream);
            let banner = server.greeting().await?;
            server.quit().await;
            (banner, None)
        }
        SmtpSecurity::Tls => {
            let (stream, facts) = handshake(&outside.client, &target.host, stream).await?;
            let mut server = Server::new(stream);
            let banner = server.greeting().await?;
            server.quit().await;
            (banner, Some(facts))
        }
        SmtpSecurity::StartTls => {
            let mut server = Server::new(stream);
            let banner = server.greeting().await?;
            let stream = server.start_tls().await?;
            let (stream, facts) = handshake(&outside.client, &target.host, stream).await?;
            Server::new(stream).quit().await;
            (banner, Some(facts))
        }
    };
    Ok(SmtpAnswer {
        target,
        banner,
        took: began.elapsed(),
        tls,
    })
}

/// The other end of a connection.
struct Server<S> {
    stream: S,
    /// What it said beyond its last reply.
    said: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            said: Vec::new(),
        }
    }

    /// The one greeting of a connection.
    async fn greeting(&mut self) -> Result<String, Failed> {
        let reply = self.reply().await?;
        match reply.code {
            220 => Ok(reply.lines.join("\n")),
            code => Err(Failed::io(format!("the server greets with {code}"))),
        }
    }

    /// Has TLS begin. The stream is one on which the server has said nothing yet.
    async fn start_tls(mut self) -> Result<S, Failed> {
        let offered = self.ask("EHLO localhost").await?;
        // The first line has the server's name.
        let mut offers = offered.texts().skip(1);
        let offers = offers.any(|offer| offer.trim_end().eq_ignore_ascii_case("STARTTLS"));
        if offered.code != 250 || !offers {
            return Err(Failed::io("the server does not offer STARTTLS"));
        }
        let begins = self.ask("STARTTLS").await?;
        match begins.code {
            // https://nostarttls.secvuln.info: what somebody on the way put there would count as said in TLS.
            220 if !self.said.is_empty() => {
                Err(Failed::io("the server goes on talking where TLS begins"))
            }
            220 => Ok(self.stream),
            code => Err(Failed::io(format!(
                "the server answers STARTTLS with {code}"
            ))),
        }
    }

    async fn ask(&mut self, line: &str) -> Result<Reply, Failed> {
        // Whoever answers before it is asked answers something else.
        if !self.said.is_empty() {
            return Err(Failed::io("the server talks without being asked"));
        }
        self.say(line).await.map_err(|error| closed(&error))?;
        self.reply().await
    }

    async fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.stream
            .write_all(format!("{line}\r\n").as_bytes())
            .await?;
        self.stream.flush().await
    }

    async fn reply(&mut self) -> Result<Reply, Failed> {
        let mut more = [0; 1024];
        // Bytes that were not looked at: a line that comes byte by byte is looked at once.
        let mut unread = usize::MAX;
        loop {
            if unread > MAX_LINE {
                let read = Reply::read(&self.said);
                if let Some((reply, used)) = read.map_err(|NoReply(why)| Failed::io(why))? {
                    self.said.drain(..used);
                    return Ok(reply);
                }
                unread = 0;
            }
            let count = self.stream.read(&mut more).await;
            let count = count.map_err(|error| closed(&error))?;
            let come = more.get(..count).unwrap_or_default();
            if come.is_empty() {
                return Err(Failed::io("the server closed the connection"));
            }
            self.said.extend_from_slice(come);
            unread = match come.contains(&b'\n') {
                true => usize::MAX,
                false => unread.saturating_add(count),
            };
        }
    }

    /// Says good-bye. Everything is known by now, so nobody waits for an answer.
    async fn quit(mut self) {
        let _ = self.say("QUIT").await;
        let _ = self.stream.shutdown().await;
    }
}

fn closed(error: &std::io::Error) -> Failed {
    Failed::io(format!("the connection broke: {error}"))
}
