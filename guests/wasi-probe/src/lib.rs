//! Tries one thing of WASI 0.2 and reports what came of it.
//!
//! ```text
//! env | list PATH | read PATH | write PATH TEXT | connect IPV4 PORT | clock | random BYTES | stdin
//! read-at PATH | write-at PATH TEXT | stat-at PATH       as it is, from the first preopened directory
//! acts ACT... | again TIMES ACT
//! fill PATH WAY BYTES | hold WHAT PATH TIMES | hold-twice WHAT PATH TIMES | flood TIMES LENGTH
//! ```
//! What is refused is an error that ends in WASI's own name for it, such as `access` or `not-permitted`.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin" });

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::{instance_network, tcp_create_socket};

mod acts;
mod holds;

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["env"] => Ok(env()),
            ["list", path] => list(path),
            ["read", path] => read(path),
            ["write", path, text] => write(path, text),
            ["read-at", path] => read_all(&first()?, path).map_err(|code| refused(path, code)),
            ["write-at", path, text] => {
                let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE;
                let written = acts::write_at(&first()?, path, text, flags);
                written.map(|()| "ok".to_owned()).map_err(|code| refused(path, code))
            }
            ["stat-at", path] => {
                let stat = first()?.stat_at(PathFlags::SYMLINK_FOLLOW, path);
                stat.map(|stat| stat.size.to_string()).map_err(|code| refused(path, code))
            }
            ["connect", address, port] => connect(address, port),
            ["clock"] => Ok(wasip2::clocks::wall_clock::now().seconds.to_string()),
            ["random", bytes] => {
                let bytes = bytes.parse().map_err(|_| "usage: random BYTES")?;
                Ok(wasip2::random::random::get_random_bytes(bytes).len().to_string())
            }
            ["repeat"] => Ok(repeat()),
            ["sleep", ms] => sleep(ms),
            ["stdin"] => Ok(stdin()),
            ["acts", ref lines @ ..] => acts::acts(lines),
            ["again", times, line] => acts::again(times, line),
            ["fill", path, way, bytes] => holds::fill(path, way, bytes),
            ["hold", what, path, times] => holds::hold(what, path, times),
            ["hold-twice", what, path, times] => holds::hold_twice(what, path, times),
            ["flood", times, length] => holds::flood(times, length),
            _ => Err("usage: env | list PATH | read PATH | write PATH TEXT | connect IPV4 PORT | clock | random BYTES | repeat | sleep MS | stdin".to_owned()),
        }
    }
}

/// All that differs between two runs: the time of day, and what is random.
fn repeat() -> String {
    use wasip2::random::{insecure, insecure_seed, random};
    format!(
        "{:?}\n{:?}\n{:?}\n{}\n{:?}\n{}",
        wasip2::clocks::wall_clock::now(),
        wasip2::clocks::wall_clock::now(),
        random::get_random_bytes(16),
        random::get_random_u64(),
        insecure::get_insecure_random_bytes(16),
        insecure_seed::insecure_seed().0,
    )
}

/// Sleeps until a time of the monotonic clock, and says whether it has come and whether the clock began anew.
fn sleep(ms: &str) -> Result<String, String> {
    use wasip2::clocks::monotonic_clock::{now, subscribe_instant};
    let ms: u64 = ms.parse().map_err(|_| "usage: sleep MS")?;
    let began = now();
    let until = began + ms * 1_000_000;
    subscribe_instant(until).block();
    Ok(format!(
        "over {}, from zero {}",
        now() >= until,
        began < 1_000_000_000
    ))
}

/// Everything on standard input.
fn stdin() -> String {
    let input = wasip2::cli::stdin::get_stdin();
    let mut bytes = Vec::new();
    while let Ok(more) = input.blocking_read(4096) {
        bytes.extend(more);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn env() -> String {
    wasip2::cli::environment::get_environment()
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect()
}

/// Splits an absolute guest path at the longest preopened directory that holds it.
fn locate(path: &str) -> Result<(Descriptor, String), String> {
    get_directories()
        .into_iter()
        .filter_map(|(dir, name)| {
            let rest = path.strip_prefix(name.trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/'))
                .then(|| (name.len(), dir, rest.trim_start_matches('/').to_owned()))
        })
        .max_by_key(|(length, _, _)| *length)
        .map(|(_, dir, rest)| {
            (
                dir,
                if rest.is_empty() {
                    ".".to_owned()
                } else {
                    rest
                },
            )
        })
        .ok_or_else(|| format!("{path}: no preopened directory holds it"))
}

fn first() -> Result<Descriptor, String> {
    let first = get_directories().into_iter().next();
    first
        .map(|(dir, _)| dir)
        .ok_or_else(|| "no preopened directory".to_owned())
}

fn read_all(dir: &Descriptor, path: &str) -> Result<String, ErrorCode> {
    let file = dir.open_at(
        PathFlags::SYMLINK_FOLLOW,
        path,
        OpenFlags::empty(),
        DescriptorFlags::READ,
    )?;
    let (bytes, _end) = file.read(1 << 20, 0)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn open(path: &str, open: OpenFlags, access: DescriptorFlags) -> Result<Descriptor, String> {
    let (dir, rest) = locate(path)?;
    dir.open_at(PathFlags::SYMLINK_FOLLOW, &rest, open, access)
        .map_err(|code| refused(path, code))
}

fn list(path: &str) -> Result<String, String> {
    let dir = open(path, OpenFlags::DIRECTORY, DescriptorFlags::READ)?;
    let entries = dir.read_directory().map_err(|code| refused(path, code))?;
    let mut names = Vec::new();
    while let Some(entry) = entries
        .read_directory_entry()
        .map_err(|code| refused(path, code))?
    {
        names.push(entry.name);
    }
    names.sort();
    Ok(names.join("\n"))
}

fn read(path: &str) -> Result<String, String> {
    let file = open(path, OpenFlags::empty(), DescriptorFlags::READ)?;
    let (bytes, _end) = file.read(1 << 20, 0).map_err(|code| refused(path, code))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn write(path: &str, text: &str) -> Result<String, String> {
    let file = open(
        path,
        OpenFlags::CREATE | OpenFlags::TRUNCATE,
        DescriptorFlags::WRITE,
    )?;
    let written = file
        .write(text.as_bytes(), 0)
        .map_err(|code| refused(path, code))?;
    Ok(format!("{written} bytes"))
}

fn refused(path: &str, code: ErrorCode) -> String {
    format!("{path}: {}", code.name())
}

fn connect(address: &str, port: &str) -> Result<String, String> {
    let usage = "usage: connect IPV4 PORT";
    let octets = address
        .parse::<std::net::Ipv4Addr>()
        .map_err(|_| usage)?
        .octets();
    let port = port.parse().map_err(|_| usage)?;
    let remote = IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port,
        address: octets.into(),
    });
    let network = instance_network::instance_network();
    let socket = tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4)
        .map_err(|code| code.name().to_owned())?;
    socket
        .start_connect(&network, remote)
        .map_err(|code| code.name().to_owned())?;
    socket.subscribe().block();
    socket
        .finish_connect()
        .map_err(|code| code.name().to_owned())?;
    Ok("connected".to_owned())
}

export!(Plugin);
