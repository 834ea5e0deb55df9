//! Lookups, connections and looks at mail servers, asked for by a guest in Reglet's world: against real servers on the loopback,
//! which a dialer of the test leads every connection to. What would have been connected to is what the dialer was asked for.

mod dns;
mod go;
mod name_server;
mod smtp;
mod ssrf;
mod tcp;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis::audit::{Effect, Event, Memory, Verdict};
use portcullis::policy::{ConnectRule, Grants, Limits, LookupRule, NetGrant};
use portcullis::{Host, HostBuilder, Source};
use serde_json::Value;

use crate::fixture::{block_on, none};
use crate::http::peer::Network;

/// An address of a server that is public and granted in most tests.
const PUBLIC: &str = "93.184.216.34";

/// A host whose network leads to one server.
struct World {
    host: Host,
    network: Arc<Network>,
    trail: Arc<Memory>,
    _project: tempfile::TempDir,
}

impl World {
    fn new(server: SocketAddr) -> Self {
        Self::with(server, |builder| builder)
    }

    fn with(server: SocketAddr, set: impl FnOnce(HostBuilder) -> HostBuilder) -> Self {
        let project = tempfile::tempdir().unwrap();
        let trail = Arc::new(Memory::new());
        let network = Arc::new(Network::leading_to(server));
        network.name("mail.example.com", &[PUBLIC]);
        let sink: Arc<dyn portcullis::audit::Sink> = trail.clone();
        let builder = Host::builder()
            .project(project.path())
            .audit(sink)
            .network(network.clone(), network.clone());
        Self {
            host: set(builder).build().unwrap(),
            network,
            trail,
            _project: project,
        }
    }

    /// What the guest is answered to each of these requests.
    fn answers(&self, function: &str, grants: Grants, requests: &[Value]) -> Vec<Value> {
        self.each(function, grants, requests, |answer| answer)
    }

    /// The same with what was dialled for each.
    fn answers_and_places(
        &self,
        function: &str,
        grants: Grants,
        requests: &[Value],
    ) -> Vec<(Value, Vec<String>)> {
        self.each(function, grants, requests, |answer| {
            (answer, self.network.take_dialled())
        })
    }

    /// Has one instance of the guest ask all of them.
    fn each<T>(
        &self,
        function: &str,
        grants: Grants,
        requests: &[Value],
        with: impl Fn(Value) -> T,
    ) -> Vec<T> {
        block_on(async {
            let bytes = guest(function);
            let plugin = self.host.load(Source { bytes, grants }).await.unwrap();
            let session = plugin.session("test");
            let mut all = Vec::new();
            for request in requests {
                all.push(with(observed(&session, request).await.unwrap()));
            }
            all
        })
    }

    fn answer(&self, function: &str, grants: Grants, request: Value) -> Value {
        self.answers(function, grants, &[request]).remove(0)
    }

    /// The lines of the trail in short: `allow`, `P0431`, or what came of it.
    fn lines(&self) -> Vec<String> {
        let events = self.trail.events().into_iter();
        let lines = events.filter_map(|(_, event)| match event {
            Event::Decision(decision) => {
                assert_eq!(decision.capability, "net");
                let function = decision.function.unwrap_or_default();
                let verdict = match (decision.verdict, decision.code) {
                    (Verdict::Allow, _) => "allow".to_owned(),
                    (Verdict::Deny, code) => code.unwrap_or_default(),
                };
                Some(format!("{verdict} {function} {}", decision.object))
            }
            Event::Done(done) => Some(format!("done {}", short(&done.effect))),
            _ => None,
        });
        lines.collect()
    }

    /// All of the trail as it is written.
    fn written(&self) -> String {
        String::from_utf8(self.trail.lines()).unwrap()
    }
}

fn short(effect: &Effect) -> String {
    let failed = effect.failed.as_ref().map(ToString::to_string);
    let address = effect.address.clone().unwrap_or_default();
    let failed = failed.unwrap_or_default();
    format!("{failed} in {} {address}", effect.bytes_in)
        .trim()
        .to_owned()
}

/// What the guest says that the host answered.
async fn observed(
    session: &portcullis::Session,
    request: &Value,
) -> Result<Value, portcullis::CallError> {
    let observation = session.observe_again(&request.to_string()).await?;
    let said: Value = serde_json::from_str(&observation.json).unwrap();
    Ok(said["data"].clone())
}

/// A plugin that asks one function of the host what its configuration says, and tells the answer as it came.
fn guest(function: &str) -> Vec<u8> {
    let text = include_str!("guest.wat").replace("FUNCTION", function);
    portcullis_testkit::assemble(text.as_bytes()).unwrap()
}

/// The right to connect to these places and to look up these names, as often as anybody likes.
fn grants(connect: &[&str], lookup: &[&str]) -> Grants {
    let connect = connect.iter().map(|text| ConnectRule::parse(text).unwrap());
    let lookup = lookup.iter().map(|text| LookupRule::parse(text).unwrap());
    Grants {
        own_net: NetGrant {
            connect: connect.collect(),
            lookup: lookup.collect(),
            ..NetGrant::default()
        },
        limits: Limits {
            net_per_minute: u32::MAX,
            ..Limits::default()
        },
        ..none()
    }
}

/// The type and the code of the error in an answer.
fn error(answer: &Value) -> (&str, &str) {
    let error = &answer["error"];
    let text = |key: &str| error[key].as_str().unwrap_or_else(|| panic!("{answer}"));
    (text("type"), text("code"))
}

const DENIED: (&str, &str) = ("capability", "CAPABILITY_DENIED");
const INSIDE: (&str, &str) = ("ssrf_protection", "SSRF_BLOCKED");
const INVALID: (&str, &str) = ("config", "INVALID_REQUEST");
const LATE: (&str, &str) = ("timeout", "TIMEOUT");
const FAILED: (&str, &str) = ("network", "CONNECTION_FAILED");
const UNFOUND: (&str, &str) = ("network", "LOOKUP_FAILED");

pub(crate) fn tests() -> Vec<(&'static str, fn())> {
    [dns::TESTS, go::TESTS, smtp::TESTS, ssrf::TESTS, tcp::TESTS].concat()
}
