//! What of the Go SDK looks at the network, on this host, against real servers.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use portcullis::policy::Grants;
use portcullis::{HostBuilder, Source};
use serde_json::{Value, json};
use tokio_rustls::rustls::version::TLS13;

use super::name_server::{NameServer, Says, a, mx, txt};
use super::tls::{certified, greet, serve};
use super::{World, grants, observed};
use crate::fixture::block_on;
use crate::http::peer::Peer;
use crate::reglet::code_cache;

portcullis_testkit::tests![
    names_are_looked_up,
    connections_are_tried,
    mail_servers_are_greeted,
    what_was_not_granted_is_a_matter_of_permission,
];

/// A host whose network leads to one server, and which keeps the guest's code.
fn leading_to(server: SocketAddr, set: impl FnOnce(HostBuilder) -> HostBuilder) -> World {
    World::with(server, |builder| set(builder).code_cache(code_cache()))
}

/// What the guest says to each of these acts; `None` where it was not built.
fn said(world: &World, grants: Grants, acts: &[&str]) -> Option<Vec<Value>> {
    let Some(guest) = portcullis_testkit::interpreted("reglet-net") else {
        println!("SKIP reglet-net: the guest is not built");
        return None;
    };
    let bytes = std::fs::read(guest).unwrap();
    block_on(async {
        let plugin = world.host.load(Source { bytes, grants }).await.unwrap();
        let acts = json!({ "acts": acts.join("\n") });
        let data = observed(&plugin.session("test"), &acts).await.unwrap();
        let said = data["said"].as_array().unwrap().iter();
        // What was found is JSON, and how it failed is a word.
        let said = said.map(|said| {
            let text = said.as_str().unwrap();
            serde_json::from_str(text).unwrap_or_else(|_| json!(text))
        });
        Some(said.collect())
    })
}

fn names_are_looked_up() {
    let zone = |name: &str, kind| {
        use hickory_resolver::proto::rr::RecordType;
        Says::Records(match (name, kind) {
            ("example.com.", RecordType::A) => vec![a(name, "93.184.216.34")],
            ("example.com.", RecordType::MX) => vec![mx(name, 10, "mail.example.com.")],
            ("example.com.", RecordType::TXT) => vec![txt(name, &["v=spf1 ", "-all"])],
            _ => Vec::new(),
        })
    };
    let server = NameServer::start(zone);
    let own = NameServer::start(|name, _| Says::Records(vec![a(name, "8.8.4.4")]));
    let world = leading_to(server.address, |builder| {
        builder.name_servers([server.address])
    });
    let granted = own.address.to_string();
    let grants = grants(&[&granted], &["example.com", "*.example.com"]);
    let by_own = format!("dns example.com A {granted}");
    let acts = [
        "dns example.com A",
        "dns example.com MX",
        "dns example.com TXT",
        &by_own,
        "dns gone.example.com A",
        "dns example.com AXFR",
        "dns example.org A",
        "dns example.com A 127.0.0.1:1",
    ];
    let Some(said) = said(&world, grants, &acts) else {
        return;
    };
    assert_eq!(
        said,
        [
            json!({ "Records": ["93.184.216.34"], "MX": null }),
            json!({ "Records": [], "MX": [{ "host": "mail.example.com.", "pref": 10 }] }),
            json!({ "Records": ["v=spf1 -all"], "MX": null }),
            json!({ "Records": ["8.8.4.4"], "MX": null }),
            json!("not-found"),
            json!("config"),
            json!("permission"),
            json!("permission"),
        ]
    );
    assert_eq!(own.asked(), ["udp A example.com."]);
}

fn connections_are_tried() {
    let certificate = certified(&["mail.example.com"], 2099);
    let config = certificate.config(&[&TLS13]);
    let peer = Peer::serving(move |socket, _| greet(&config, socket));
    let world = leading_to(peer.address(), |builder| {
        builder.ca_file(&certificate.authority)
    });
    world.network.name("other.example.com", &[super::PUBLIC]);
    let acts = [
        "tcp mail.example.com 443",
        "tcp mail.example.com 443 tls",
        "tcp other.example.com 443 tls",
    ];
    let grants = grants(&["*.example.com:443"], &[]);
    let Some(said) = said(&world, grants, &acts) else {
        return;
    };
    for (said, tls) in said.iter().zip([false, true]) {
        assert_eq!(said["connected"], true, "{said}");
        assert_eq!(said["address"], "mail.example.com:443");
        assert_eq!(said["tls"], tls);
    }
    assert_eq!(said[0]["tls_cert_not_after"], "0001-01-01T00:00:00Z");
    assert_eq!(said[1]["tls_cert_not_after"], "2099-01-02T00:00:00Z");
    assert_eq!(said[1]["tls_version"], "TLS 1.3");
    assert_eq!(said[1]["tls_server_name"], "mail.example.com");
    assert_eq!(said[2], "network", "its certificate is for another name");
}

fn mail_servers_are_greeted() {
    let certificate = certified(&["mail.example.com"], 2099);
    let config = certificate.config(&[&TLS13]);
    let peer = Peer::serving(move |socket, _| {
        let mail = |socket: TcpStream| {
            let mut plain = BufReader::new(socket);
            plain
                .get_mut()
                .write_all(b"220 mail.example.com ESMTP\r\n")?;
            let mut line = String::new();
            plain.read_line(&mut line)?;
            if line != "EHLO localhost\r\n" {
                return Ok(());
            }
            let offers = b"250-mail.example.com\r\n250 STARTTLS\r\n";
            plain.get_mut().write_all(offers)?;
            plain.read_line(&mut line)?;
            plain.get_mut().write_all(b"220 go\r\n")?;
            let mut stream = BufReader::new(serve(&config, plain.into_inner()));
            stream.read_line(&mut line)?;
            Ok(())
        };
        // The other end may be gone by now.
        let _gone: std::io::Result<()> = mail(socket);
    });
    let world = leading_to(peer.address(), |builder| {
        builder.ca_file(&certificate.authority)
    });
    let acts = [
        "smtp mail.example.com 25",
        "smtp mail.example.com 25 starttls",
        // It greets in the clear.
        "smtp mail.example.com 25 tls",
        // Its certificate is for another name.
        "smtp other.example.com 25 starttls",
    ];
    world.network.name("other.example.com", &[super::PUBLIC]);
    let mail = || grants(&["*.example.com:25"], &[]);
    let Some(said_here) = said(&world, mail(), &acts) else {
        return;
    };
    for (said, tls) in said_here.iter().zip([false, true]) {
        assert_eq!(said["connected"], true, "{said}");
        assert_eq!(said["banner"], "220 mail.example.com ESMTP");
        assert_eq!(said["tls"], tls);
    }
    assert_eq!(said_here[1]["tls_version"], "TLS 1.3");
    assert_eq!(said_here[2..], ["network", "network"]);
    let silent = Peer::serving(|mut socket, _| {
        let _gone = std::io::Read::read(&mut socket, &mut [0; 16]);
    });
    let world = leading_to(silent.address(), |builder| builder);
    let late = said(&world, mail(), &["smtp mail.example.com 25 300ms"]).unwrap();
    assert_eq!(late, ["deadline"]);
}

fn what_was_not_granted_is_a_matter_of_permission() {
    let peer = Peer::serving(|socket, _| drop(socket));
    let world = leading_to(peer.address(), |builder| builder);
    world.network.name("inside.example.com", &["10.0.0.7"]);
    let acts = [
        "dns mail.example.com A",
        "tcp mail.example.com 443",
        "tcp 127.0.0.1 25",
        "smtp mail.example.com 26",
        // What it stands for is not public.
        "tcp inside.example.com 25",
        "smtp inside.example.com 25 tls",
    ];
    let grants = grants(&["*.example.com:25"], &["example.org"]);
    let Some(said) = said(&world, grants, &acts) else {
        return;
    };
    assert_eq!(said, ["permission"; 6]);
    assert!(world.network.take_dialled().is_empty());
}
