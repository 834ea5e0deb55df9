//! A plugin of clawft as toolchains with WASI make it. `look` answers what WASI shows; `print` writes its parameters, which are
//! JSON text, to the standard output and error, before and after a line of the log.

wit_bindgen::generate!({ path: "../wit/clawft-plugin-0.1.0", world: "plugin" });

use exports::plugin::Guest;
use serde_json::json;
use wasip2::cli::{environment, stderr, stdin, stdout};
use wasip2::filesystem::preopens::get_directories;
use wasip2::io::streams::OutputStream;
use wasip2::sockets::network::IpAddressFamily;
use wasip2::sockets::tcp_create_socket;

struct Plugin;

impl Guest for Plugin {
    fn init() -> Result<(), String> {
        Ok(())
    }

    fn execute_tool(tool_name: String, params_json: String) -> Result<String, String> {
        match tool_name.as_str() {
            "look" => Ok(look()),
            "print" => {
                let text = serde_json::from_str::<String>(&params_json);
                print(&text.map_err(|error| error.to_string())?)
            }
            other => Err(format!("no tool `{other}`")),
        }
    }

    fn describe() -> String {
        json!({ "name": "wasi", "version": "0.1.0", "tools": [{ "name": "look" }, { "name": "print" }] }).to_string()
    }
}

/// How many there are of each thing.
fn look() -> String {
    let socket = tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4);
    let network = wasip2::sockets::instance_network::instance_network();
    let bound = socket
        .map_err(|error| error.name().to_owned())
        .and_then(|socket| {
            use wasip2::sockets::network::{IpSocketAddress, Ipv4SocketAddress};
            let address = IpSocketAddress::Ipv4(Ipv4SocketAddress {
                port: 0,
                address: (127, 0, 0, 1),
            });
            let started = socket.start_bind(&network, address);
            started.map_err(|error| error.name().to_owned())
        });
    let name = wasip2::sockets::ip_name_lookup::resolve_addresses(&network, "localhost");
    json!({
        "variables": environment::get_environment().len(),
        "arguments": environment::get_arguments().len(),
        "directories": get_directories().len(),
        "cwd": environment::initial_cwd(),
        "input": stdin::get_stdin().blocking_read(1).is_ok(),
        "socket": bound.is_ok(),
        "name": name.is_ok(),
    })
    .to_string()
}

fn print(text: &str) -> Result<String, String> {
    let write = |stream: &OutputStream, text: &str| {
        let pieces = text.as_bytes().chunks(4096);
        let mut written = pieces.map(|piece| stream.blocking_write_and_flush(piece));
        written
            .try_for_each(|done| done)
            .map_err(|error| format!("{error:?}"))
    };
    write(&stdout::get_stdout(), text)?;
    host::log(2, "between");
    write(&stderr::get_stderr(), text)?;
    Ok("printed".to_owned())
}

export!(Plugin);
