//! `portcullis:cli/http`, called by a component: against a real server on the loopback, which a dialer of the test leads every
//! connection to. What would have been connected to is what the dialer was asked for.

pub(crate) mod limits;
pub(crate) mod peer;
pub(crate) mod secret;
pub(crate) mod send;
pub(crate) mod spellings;
pub(crate) mod ssrf;
pub(crate) mod tls;
pub(crate) mod wasi;

use std::sync::Arc;

use portcullis::audit::{Effect, Event, Memory, Verdict};
use portcullis::policy::{Grants, HttpGrant, HttpRule, Limits};
use portcullis::{Host, HostBuilder, Instance, Plugin, Source};

use crate::fixture::{args, block_on, none};
use peer::{Network, Peer};

/// A host whose network leads to one server.
struct World {
    host: Host,
    network: Arc<Network>,
    trail: Arc<Memory>,
    peer: Peer,
    /// Who sends.
    guest: &'static str,
    _project: tempfile::TempDir,
}

/// A host that is public and granted in most tests.
pub(crate) const PUBLIC: &str = "93.184.216.34";

impl World {
    fn new() -> Self {
        Self::with(Peer::start(), |builder| builder)
    }

    fn with(peer: Peer, set: impl FnOnce(HostBuilder) -> HostBuilder) -> Self {
        let project = tempfile::tempdir().unwrap();
        let trail = Arc::new(Memory::new());
        let network = Arc::new(Network::leading_to(peer.address()));
        network.name("api.example.com", &[PUBLIC]);
        let sink: Arc<dyn portcullis::audit::Sink> = trail.clone();
        let builder = Host::builder()
            .project(project.path())
            .audit(sink)
            .network(network.clone(), network.clone());
        Self {
            host: set(builder).build().unwrap(),
            network,
            trail,
            peer,
            guest: "http",
            _project: project,
        }
    }

    /// The same with a guest that sends by `wasi:http`.
    fn by_wasi(self) -> Self {
        Self {
            guest: "wasi-http",
            ..self
        }
    }

    async fn plugin(&self, grants: Grants) -> Plugin {
        let bytes = portcullis_testkit::guest_bytes(self.guest);
        self.host.load(Source { bytes, grants }).await.unwrap()
    }

    async fn instance(&self, grants: Grants) -> Instance {
        let plugin = self.plugin(grants).await;
        plugin.instantiate("test").await.unwrap()
    }

    /// What the guest says of these words.
    fn says(&self, grants: Grants, words: &[&str]) -> String {
        block_on(async {
            let mut instance = self.instance(grants).await;
            instance.run(&args(words)).await.unwrap().unwrap()
        })
    }

    /// The lines of the trail in short: `allow`, `P0421`, or what came of it.
    fn lines(&self) -> Vec<String> {
        let events = self.trail.events().into_iter();
        let lines = events.map(|(_, event)| match event {
            Event::Decision(decision) => {
                assert_eq!(decision.capability, "http");
                assert_eq!(decision.function.as_deref(), Some("send"));
                let verdict = match (decision.verdict, decision.code) {
                    (Verdict::Allow, _) => "allow".to_owned(),
                    (Verdict::Deny, code) => code.unwrap_or_default(),
                };
                format!("{verdict} {}", decision.object)
            }
            Event::Done(done) => format!("done {}", short(&done.effect)),
            Event::Exhausted(_) => "the call is over".to_owned(),
            other => panic!("no line of a request: {other:?}"),
        });
        lines.collect()
    }
}

fn short(effect: &Effect) -> String {
    let failed = effect.failed.as_ref().map(ToString::to_string);
    let status = effect.http_status.map(|status| status.to_string());
    let address = effect.address.clone().unwrap_or_default();
    let came = failed.or(status).unwrap_or_default();
    format!(
        "{came} in {} out {} {address}",
        effect.bytes_in, effect.bytes_out
    )
    .trim_end()
    .to_owned()
}

/// The right to send any request to these hosts, as often as anybody likes.
pub(crate) fn hosts(entries: &[&str]) -> Grants {
    let rules = entries.iter().map(|entry| HttpRule::any_request(entry));
    Grants {
        http: HttpGrant {
            allow: rules.map(|rule| rule.unwrap()).collect(),
            ..HttpGrant::default()
        },
        limits: Limits {
            http_per_minute: u32::MAX,
            ..Limits::default()
        },
        ..none()
    }
}

pub(crate) fn tests() -> Vec<(&'static str, fn())> {
    [
        send::TESTS,
        limits::TESTS,
        ssrf::TESTS,
        tls::TESTS,
        wasi::TESTS,
        secret::TESTS,
    ]
    .concat()
}
