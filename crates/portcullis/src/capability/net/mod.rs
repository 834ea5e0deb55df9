//! `net`: names that the guest looks up, and connections and mail servers that it looks at.
//!
//! A connection is decided on by its host and port, and again by every address that its host stands for; only an address that
//! was decided on is connected to ([`dial`](super::dial)). Each use leaves a line before and one afterwards ([`attempt`]), and of
//! what came back they have nothing but how much it was.

mod attempt;
mod dns;
mod failure;
mod reply;
mod smtp;
mod tcp;
mod tls;

pub(crate) use dns::{DnsAnswer, DnsAsk, RecordKind};
pub(crate) use failure::NetFailure;
pub(crate) use smtp::{SmtpAnswer, SmtpAsk, SmtpSecurity};
pub(crate) use tcp::{TcpAnswer, TcpAsk};
pub(crate) use tls::TlsFacts;
