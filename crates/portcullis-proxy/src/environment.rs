//! What tells programs to use the proxy.

/// The variables that make programs use the proxy on this port of `127.0.0.1`, in both spellings: curl reads
/// `http_proxy` in lower case only, others read upper case only.
///
/// `NO_PROXY` is empty: without the proxy there is nothing to reach. `NODE_USE_ENV_PROXY` is for Node 22.21 and 24.5
/// and later; before them Node's own `fetch` reads no variables, and needs [`node_options`].
pub fn environment(port: u16) -> Vec<(&'static str, String)> {
    let http = format!("http://127.0.0.1:{port}");
    let socks = format!("socks5h://127.0.0.1:{port}");
    vec![
        ("HTTP_PROXY", http.clone()),
        ("http_proxy", http.clone()),
        ("HTTPS_PROXY", http.clone()),
        ("https_proxy", http),
        ("ALL_PROXY", socks.clone()),
        ("all_proxy", socks),
        ("NO_PROXY", String::new()),
        ("no_proxy", String::new()),
        ("NODE_USE_ENV_PROXY", "1".to_owned()),
    ]
}

/// What makes `fetch` of Node 18.18 and later use the proxy: for the variable `NODE_OPTIONS`.
///
/// It preloads a module that is written out in the option, so there is no file that a command could look for or change.
/// Node before 18.18 does not start with it.
pub fn node_options() -> String {
    let mut option = "--import=data:text/javascript,".to_owned();
    for byte in include_str!("fetch.mjs").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            option.push(char::from(byte));
        } else {
            option.push_str(&format!("%{byte:02X}"));
        }
    }
    option
}
