//! Which network a command reaches: none, its own, one listener, or the host's.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::{linux::net::SocketAddrExt, unix::net},
};

use portcullis_confine::{Access, Net, PROXY_PORT, Plan, Tier};

use super::{OWN_ROOT, cells_of, confining, directory, open};
use crate::{
    fixture::{PATIENCE, Run, cell_of, event_of, wait_readable},
    probe::{Tried, probe, probe_outside},
};

crate::tests![
    none_has_no_internet_sockets,
    families_that_lead_out_are_refused_in_every_network,
    loopback_is_the_cells_own,
    open_is_the_hosts,
    the_proxy_has_one_listener,
    abstract_sockets_of_the_host_are_not_reached,
    sockets_by_path_need_a_grant,
];

/// The first Landlock that looks at sockets by path.
const ABI_WITH_SOCKETS: u8 = 9;

/// `AF_UNIX` or a number, as a probe takes it.
fn socket(family: i32) -> [String; 3] {
    let stream = libc::SOCK_STREAM.to_string();
    ["socket".to_owned(), family.to_string(), stream]
}

fn try_socket(cells: &super::Cells, family: i32) -> Tried {
    let act = socket(family);
    probe(cells, &act.each_ref().map(String::as_str))
}

fn none_has_no_internet_sockets() {
    for tier in confining() {
        let cells = cells_of(Plan::new(tier));
        for family in [libc::AF_INET, libc::AF_INET6] {
            assert_eq!(
                try_socket(&cells, family),
                Tried::Refused(libc::EAFNOSUPPORT)
            );
            let act = socket(family);
            let outside = probe_outside(&act.each_ref().map(String::as_str));
            assert_eq!(outside, Tried::Done, "the control");
        }
        let unix = match tier {
            Tier::Landlock => Tried::Refused(libc::EAFNOSUPPORT),
            _ => Tried::Done,
        };
        assert_eq!(try_socket(&cells, libc::AF_UNIX), unix, "{tier:?}");
    }
}

fn families_that_lead_out_are_refused_in_every_network() {
    for net in [Net::None, Net::Loopback, Net::Proxy, Net::Open] {
        let cells = cells_of(Plan::new(Tier::Full).network(net));
        for family in [
            libc::AF_NETLINK,
            libc::AF_PACKET,
            libc::AF_VSOCK,
            libc::AF_ALG,
            libc::AF_BLUETOOTH,
            libc::AF_KEY,
        ] {
            let refused = Tried::Refused(libc::EAFNOSUPPORT);
            assert_eq!(try_socket(&cells, family), refused, "{net:?} {family}");
        }
        let internet = try_socket(&cells, libc::AF_INET) == Tried::Done;
        assert_eq!(internet, net != Net::None, "{net:?}");
    }
}

/// A listener of the host, and how a probe connects to it.
fn host_listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(probe_outside(&["connect", &address]), Tried::Done);
    (listener, address)
}

fn loopback_is_the_cells_own() {
    let (_listener, address) = host_listener();
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier).network(Net::Loopback));
        assert_eq!(probe(&cells, &["loopback"]), Tried::Done);
        let tried = probe(&cells, &["connect", &address]);
        assert_eq!(tried, Tried::Refused(libc::ECONNREFUSED), "{tier:?}");
        let tried = probe(&cells, &["connect", "192.0.2.1:80"]);
        assert_eq!(tried, Tried::Refused(libc::ENETUNREACH), "{tier:?}");
    }
}

fn open_is_the_hosts() {
    let (_listener, address) = host_listener();
    for tier in confining() {
        let cells = cells_of(Plan::new(tier).network(Net::Open));
        assert_eq!(probe(&cells, &["connect", &address]), Tried::Done);
        let cells = cells_of(Plan::new(tier));
        assert_ne!(probe(&cells, &["connect", &address]), Tried::Done);
    }
}

fn the_proxy_has_one_listener() {
    let (_listener, address) = host_listener();
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier).network(Net::Proxy));
        let mut cell = cell_of(&cells);
        let listener = TcpListener::from(cell.take_listener().unwrap());
        assert!(cell.take_listener().is_none(), "once");
        let script = format!(
            "exec python3 -c 'import socket
s = socket.create_connection((\"127.0.0.1\", {PROXY_PORT}))
s.sendall(b\"from inside\")
print(s.recv(100).decode())'"
        );
        let mut pipes = Run::shell(&script).start(&cell).unwrap();
        assert!(wait_readable(&listener, PATIENCE), "nobody connected");
        let (mut connection, _) = listener.accept().unwrap();
        let mut bytes = [0; 11];
        connection.read_exact(&mut bytes).unwrap();
        connection.write_all(b"from outside").unwrap();
        drop(connection);
        event_of(&cell);
        assert_eq!(&bytes, b"from inside");
        assert_eq!(
            crate::fixture::read_all(&mut pipes.stdout),
            "from outside\n"
        );
        let tried = probe(&cells, &["connect", &address]);
        assert_eq!(tried, Tried::Refused(libc::ECONNREFUSED), "{tier:?}");
        // It is not the host's port.
        let host = TcpStream::connect(("127.0.0.1", PROXY_PORT));
        assert!(host.is_err());
    }
}

fn abstract_sockets_of_the_host_are_not_reached() {
    let name = format!("portcullis-test-{}", std::process::id());
    let address = net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = net::UnixListener::bind_addr(&address).unwrap();
    assert_eq!(probe_outside(&["abstract", &name]), Tried::Done);
    for net in [Net::None, Net::Loopback] {
        for tier in OWN_ROOT {
            let cells = cells_of(Plan::new(tier).network(net));
            let tried = probe(&cells, &["abstract", &name]);
            assert_eq!(tried, Tried::Refused(libc::ECONNREFUSED), "{tier:?}");
        }
    }
    // With the host's network only the scope of Landlock is left.
    let cells = cells_of(Plan::new(Tier::Full).network(Net::Open));
    assert_eq!(
        probe(&cells, &["abstract", &name]),
        Tried::Refused(libc::EPERM)
    );
}

fn sockets_by_path_need_a_grant() {
    let path = directory("socket");
    let file = path.join("service");
    let _listener = net::UnixListener::bind(&file).unwrap();
    let connect = ["unix", file.to_str().unwrap()];
    assert_eq!(probe_outside(&connect), Tried::Done, "the control");
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier));
        assert_eq!(probe(&cells, &connect), Tried::Refused(libc::ENOENT));
        // A granted directory brings its sockets along, unless Landlock looks at them.
        let cells = cells_of(Plan::new(tier).root(open(&path, Access::Read)));
        let looks = cell_of(&cells).report().landlock_abi() >= ABI_WITH_SOCKETS;
        let reached = probe(&cells, &connect) == Tried::Done;
        assert_eq!(reached, !looks, "{tier:?}");
    }
    if !super::is_root() {
        let cells = cells_of(Plan::new(Tier::Landlock).root(open(&path, Access::Write)));
        assert_eq!(probe(&cells, &connect), Tried::Refused(libc::EAFNOSUPPORT));
    }
}
