//! The head of a request: what a guest may say in it.

use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::{Method, StatusCode};
use portcullis_policy::{Grants, HTTP_METHODS, HttpUrl, is_own_http_header};

use super::failure::HttpFailure;

/// Bytes of all names and values of a request.
const MAX_BYTES: usize = 32 * 1024;
/// Headers of a request.
const MAX_HEADERS: usize = 100;

/// A method that a request may have, in upper case.
pub(super) fn method(text: &str) -> Result<Method, HttpFailure> {
    let known = HTTP_METHODS
        .iter()
        .find(|known| known.eq_ignore_ascii_case(text));
    known
        .and_then(|known| known.parse().ok())
        .ok_or(HttpFailure::Method)
}

/// The headers that are sent.
///
/// Responses come packed only in ways that the host unpacks, so what is in `Accept-Encoding` is replaced.
pub(super) fn headers(
    asked: &[(String, String)],
    url: &HttpUrl,
    grants: &Grants,
) -> Result<HeaderMap, HttpFailure> {
    let bytes = asked.iter().map(|(name, value)| name.len() + value.len());
    if asked.len() > MAX_HEADERS || bytes.sum::<usize>() > MAX_BYTES {
        return Err(HttpFailure::HeadTooLarge { max: MAX_BYTES });
    }
    let mut headers = HeaderMap::new();
    for (name, value) in asked {
        let wrong = || HttpFailure::Header(name.clone());
        // Neither takes a line break, and a name takes no space or colon.
        let read: HeaderName = name.parse().map_err(|_| wrong())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?;
        if is_own_http_header(read.as_str()) {
            return Err(wrong());
        }
        headers.append(read, value);
    }
    let own = || {
        format!(
            "portcullis/{} ({})",
            env!("CARGO_PKG_VERSION"),
            grants.plugin
        )
    };
    let agent = match &grants.http.agent {
        Some(agent) => Some(agent.clone()),
        None => (!headers.contains_key(USER_AGENT)).then(own),
    };
    if let Some(agent) = agent {
        let agent = HeaderValue::from_str(&agent);
        let agent = agent.map_err(|_| HttpFailure::Header(USER_AGENT.to_string()))?;
        headers.insert(USER_AGENT, agent);
    }
    let host = HeaderValue::from_str(&authority(url));
    let host = host.map_err(|_| HttpFailure::InvalidUrl("its host is no host name".to_owned()));
    headers.insert(HOST, host?);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(headers)
}

/// The host of a URL, and its port where the scheme does not say it.
fn authority(url: &HttpUrl) -> String {
    let target = url.target();
    match url.as_url().port() {
        Some(_) => target.to_string(),
        None => target.host.to_string(),
    }
}

/// Headers of a response for the guest: not those about the connection, nor about how the body came.
pub(super) fn answered(headers: &HeaderMap) -> Vec<(String, String)> {
    let told = headers.iter().filter(|(name, _)| {
        let name = name.as_str();
        !matches!(
            name,
            "connection"
                | "content-encoding"
                | "content-length"
                | "keep-alive"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        ) && !name.starts_with("proxy-")
    });
    told.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    })
    .collect()
}

/// All names and values, as bytes to be searched.
pub(super) fn text(headers: &HeaderMap) -> Vec<u8> {
    let lines = headers.iter();
    let lines =
        lines.map(|(name, value)| [name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
    lines.collect::<Vec<_>>().join(&b'\n')
}

/// Whether a response has a body: one to `HEAD`, and of these statuses, has none.
pub(super) fn has_body(method: &Method, status: StatusCode) -> bool {
    method != Method::HEAD
        && !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

#[cfg(test)]
mod tests {
    use portcullis_policy::PluginId;

    use super::*;

    fn sent_by(grants: &Grants, asked: &[(&str, &str)]) -> Result<HeaderMap, HttpFailure> {
        let asked: Vec<_> = asked
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let url = HttpUrl::parse("https://API.example.com:8443/x").unwrap();
        headers(&asked, &url, grants)
    }

    fn sent(asked: &[(&str, &str)]) -> Result<HeaderMap, HttpFailure> {
        sent_by(&Grants::none(PluginId::new("p").unwrap()), asked)
    }

    #[test]
    fn what_is_the_hosts_own_and_what_is_no_header_is_refused() {
        for (name, value) in [
            ("Host", "evil.example"),
            ("HOST", "evil.example"),
            ("Content-Length", "0"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "keep-alive"),
            ("Keep-Alive", "1"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "x"),
            ("TE", "trailers"),
            ("Trailer", "X"),
            ("Expect", "100-continue"),
            ("Proxy-Authorization", "x"),
            ("Proxy-Anything", "x"),
            ("X-HTTP-Method-Override", "DELETE"),
            ("X-Original-URL", "/admin"),
            ("X-A", "b\r\nHost: evil.example"),
            ("X-A", "b\n"),
            ("X-A\r\nHost", "evil.example"),
            ("X A", "b"),
            ("X-A:", "b"),
            ("", "b"),
            ("X-A", "a\0b"),
        ] {
            let refused = sent(&[(name, value)]).unwrap_err();
            assert_eq!(refused, HttpFailure::Header(name.to_owned()), "{name}");
        }
        let long = "x".repeat(MAX_BYTES);
        assert!(matches!(
            sent(&[("X-A", &long)]),
            Err(HttpFailure::HeadTooLarge { .. })
        ));
        assert!(sent(&[("a", "b"); MAX_HEADERS + 1]).is_err());
    }

    #[test]
    fn what_a_guest_may_say_is_sent_with_what_the_host_adds() {
        let headers = sent(&[
            ("X-A", "1"),
            ("x-a", "\u{e9}"),
            ("Authorization", "Bearer t"),
            ("Accept-Encoding", "br"),
        ])
        .unwrap();
        let all = |name: &str| headers.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(all("x-a").len(), 2);
        assert_eq!(all("authorization"), ["Bearer t"]);
        assert_eq!(all("accept-encoding"), ["gzip"]);
        assert_eq!(all("host"), ["api.example.com:8443"]);
        assert_eq!(all("connection"), ["close"]);
        let agent = format!("portcullis/{} (p)", env!("CARGO_PKG_VERSION"));
        assert_eq!(all("user-agent"), [agent.as_str()]);
        let own = sent(&[("User-Agent", "mine/1")]).unwrap();
        assert_eq!(own.get_all(USER_AGENT).iter().count(), 1);
        assert_eq!(own[USER_AGENT], "mine/1");
    }

    #[test]
    fn who_asks_is_said_by_the_host_where_it_is_known() {
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        grants.http.agent = Some("known/1".to_owned());
        for asked in [
            &[][..],
            &[("user-agent", "mine/1"), ("USER-AGENT", "mine/2")],
        ] {
            let headers = sent_by(&grants, asked).unwrap();
            let agents: Vec<_> = headers.get_all(USER_AGENT).iter().collect();
            assert_eq!(agents, ["known/1"]);
        }
    }

    #[test]
    fn methods_are_those_that_neither_tunnel_nor_echo() {
        assert_eq!(method("get"), Ok(Method::GET));
        for known in HTTP_METHODS {
            assert_eq!(method(known).unwrap().as_str(), known);
        }
        for other in [
            "CONNECT", "TRACE", "trace", "PROPFIND", "", "GET /", "GET\r\n",
        ] {
            assert_eq!(method(other), Err(HttpFailure::Method), "{other}");
        }
    }
}
