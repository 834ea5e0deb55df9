//! What tells programs to use the proxy.

/// The variables that make programs use the proxy on this port of `127.0.0.1`, in both spellings: curl reads
/// `http_proxy` in lower case only, others read upper case only.
///
/// `NO_PROXY` is empty: without the proxy there is nothing to reach. `NODE_USE_ENV_PROXY` is for Node 22.21 and 24.5
/// and later; before them Node's own `fetch` reads no variables.
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
