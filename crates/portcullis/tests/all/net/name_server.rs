//! A name server on the loopback, over UDP and TCP, that answers as a test says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, MX, NS, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// What is answered to a question.
pub(super) enum Says {
    Records(Vec<Record>),
    Code(ResponseCode),
    /// An answer to another question.
    OtherId,
    Garbage,
    Nothing,
}

type Zone = dyn Fn(&str, RecordType) -> Says + Send + Sync;

/// A name server that notes what it was asked, and how.
pub(super) struct NameServer {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Bytes of an answer that go into one packet.
const PACKET: usize = 512;

impl NameServer {
    pub(super) fn start(zone: impl Fn(&str, RecordType) -> Says + Send + Sync + 'static) -> Self {
        let zone: Arc<Zone> = Arc::new(zone);
        let asked = Arc::new(Mutex::default());
        let (udp, tcp) = sockets();
        let address = udp.local_addr().unwrap();
        let (noted, zone_of) = (Arc::clone(&asked), Arc::clone(&zone));
        std::thread::spawn(move || over_udp(&udp, &zone_of, &noted));
        let (noted, zone_of) = (Arc::clone(&asked), zone);
        std::thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let (noted, zone) = (Arc::clone(&noted), Arc::clone(&zone_of));
                std::thread::spawn(move || over_tcp(stream, &zone, &noted));
            }
        });
        Self { address, asked }
    }

    /// What it was asked so far: `udp A name.`
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Sockets of both kinds with one number.
fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

fn over_udp(socket: &UdpSocket, zone: &Arc<Zone>, asked: &Mutex<Vec<String>>) {
    let mut packet = [0; 4096];
    while let Ok((count, from)) = socket.recv_from(&mut packet) {
        if let Some(answer) = answer(&packet[..count], zone, asked, "udp", PACKET) {
            let _gone = socket.send_to(&answer, from);
        }
    }
}

fn over_tcp(mut stream: TcpStream, zone: &Arc<Zone>, asked: &Mutex<Vec<String>>) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question).unwrap();
        if let Some(answer) = answer(&question, zone, asked, "tcp", usize::from(u16::MAX)) {
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            let _gone = stream.write_all(&[&length[..], &answer].concat());
        }
    }
}

fn answer(
    question: &[u8],
    zone: &Arc<Zone>,
    asked: &Mutex<Vec<String>>,
    by: &str,
    most: usize,
) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let (name, kind) = (query.name().to_ascii(), query.query_type());
    asked.lock().unwrap().push(format!("{by} {kind} {name}"));
    let mut message = Message::response(question.metadata.id, OpCode::Query);
    message.metadata.recursion_available = true;
    message.add_query(query);
    match zone(&name.to_lowercase(), kind) {
        Says::Records(records) => {
            message.add_answers(records);
        }
        Says::Code(code) => message.metadata.response_code = code,
        Says::OtherId => {
            message.metadata.id ^= 1;
            message.add_answer(a(&name, "8.8.8.8"));
        }
        Says::Garbage => return Some(b"this is no answer of a name server".to_vec()),
        Says::Nothing => return None,
    }
    let bytes = message.to_vec().unwrap();
    if bytes.len() <= most {
        return Some(bytes);
    }
    message.answers.clear();
    message.metadata.truncation = true;
    Some(message.to_vec().unwrap())
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(name(owner), 60, data)
}

pub(super) fn a(owner: &str, address: &str) -> Record {
    record(
        owner,
        RData::A(address.parse::<std::net::Ipv4Addr>().unwrap().into()),
    )
}

pub(super) fn aaaa(owner: &str, address: &str) -> Record {
    record(
        owner,
        RData::AAAA(address.parse::<std::net::Ipv6Addr>().unwrap().into()),
    )
}

pub(super) fn cname(owner: &str, to: &str) -> Record {
    record(owner, RData::CNAME(CNAME(name(to))))
}

pub(super) fn ns(owner: &str, server: &str) -> Record {
    record(owner, RData::NS(NS(name(server))))
}

pub(super) fn mx(owner: &str, preference: u16, server: &str) -> Record {
    record(owner, RData::MX(MX::new(preference, name(server))))
}

pub(super) fn txt(owner: &str, parts: &[&str]) -> Record {
    let parts = parts.iter().map(|&part| part.to_owned()).collect();
    record(owner, RData::TXT(TXT::new(parts)))
}
