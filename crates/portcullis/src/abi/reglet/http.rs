//! `http_request`: a request of the guest itself, with the redirects that come of it. Each of them is decided on as a request
//! of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use portcullis_policy::HttpUrl;
use serde::{Deserialize, Serialize, Serializer};

use super::cap::{MAX_ANSWER, encode};
use super::context::Context;
use super::error::ErrorDetail;
use super::request::{Texts, read};
use crate::abi::object::Object;
use crate::capability::http::{HttpAnswer, HttpAsk, HttpFailure};
use crate::state::State;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 10;

/// Bytes of a body that an answer has room for: base64 makes four of three, and the rest is for headers.
const MAX_BODY: usize = (MAX_ANSWER - 512 * 1024) / 4 * 3;

/// What a guest asks for. `null` is as good as nothing.
#[derive(Debug, Deserialize)]
struct Request {
    method: Option<String>,
    url: Option<String>,
    headers: Option<BTreeMap<String, Texts>>,
    /// In base64.
    body: Option<String>,
    context: Option<Object<Context>>,
    timeout_ms: Option<i64>,
}

/// What a guest is told.
#[derive(Debug, Default, Serialize)]
struct Answer {
    status_code: u16,
    headers: BTreeMap<String, Vec<String>>,
    #[serde(serialize_with = "base64")]
    body: Vec<u8>,
    body_truncated: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    proto: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDetail>,
}

fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
}

/// Sends a request, or says in an answer why there is none to it.
pub(super) async fn call(state: &mut State, request: &[u8]) -> Vec<u8> {
    let request: Request = match read(request) {
        Ok(request) => request,
        Err(error) => return failed(error),
    };
    let Object(context) = request.context.unwrap_or_default();
    let time = match context.time(request.timeout_ms) {
        Ok(time) => time,
        Err(error) => return failed(error),
    };
    let body = match STANDARD.decode(request.body.unwrap_or_default()) {
        Ok(body) => body,
        Err(error) => {
            let why = format!("failed to decode request body: {error}");
            return failed(ErrorDetail::new("config", "INVALID_REQUEST", why));
        }
    };
    let headers = request.headers.into_iter().flatten();
    let ask = HttpAsk {
        method: request
            .method
            .filter(|method| !method.is_empty())
            .unwrap_or_else(|| "GET".to_owned()),
        url: request.url.unwrap_or_default(),
        headers: headers
            .flat_map(|(name, values)| {
                let values = values.into_vec().into_iter();
                values.map(move |value| (name.clone(), value))
            })
            .collect(),
        body,
    };
    context.begin(state);
    let answered = in_time(time, follow(state, ask)).await;
    match answered {
        Ok(answer) => encode(&told(answer)),
        Err(error) => failed(error),
    }
}

/// The answer with this error and nothing else.
pub(super) fn failed(error: ErrorDetail) -> Vec<u8> {
    encode(&Answer {
        error: Some(error),
        ..Answer::default()
    })
}

async fn in_time<T>(
    time: Option<Duration>,
    work: impl Future<Output = Result<T, ErrorDetail>>,
) -> Result<T, ErrorDetail> {
    let Some(time) = time else { return work.await };
    // Dropped, a request that is under way leaves the line that it was given up.
    let timed = tokio::time::timeout(time, work).await;
    timed.unwrap_or_else(|_| Err(late()))
}

fn late() -> ErrorDetail {
    ErrorDetail {
        code: "TIMEOUT",
        ..ErrorDetail::timed_out("request timed out")
    }
}

/// Sends a request, and those that its redirects ask for.
async fn follow(state: &mut State, mut ask: HttpAsk) -> Result<HttpAnswer, ErrorDetail> {
    for _ in 0..=MAX_REDIRECTS {
        let sent = HttpAsk {
            method: ask.method.clone(),
            url: ask.url.clone(),
            headers: ask.headers.clone(),
            body: ask.body.clone(),
        };
        let answer = state.gate.http(sent).await.map_err(refusal)?;
        match redirected(&ask, &answer) {
            Some(next) => ask = next,
            None => return Ok(answer),
        }
    }
    let why = format!("stopped after {MAX_REDIRECTS} redirects");
    Err(ErrorDetail::new("network", "TOO_MANY_REDIRECTS", why))
}

/// Headers that are for one host, and go to no other.
const OF_ONE_HOST: [&str; 4] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "www-authenticate",
];
/// Headers of a body, which go where it goes.
const OF_A_BODY: [&str; 5] = [
    "content-type",
    "content-length",
    "content-encoding",
    "content-language",
    "content-location",
];

/// The request that an answer asks for.
fn redirected(ask: &HttpAsk, answer: &HttpAnswer) -> Option<HttpAsk> {
    let keeps_body = match answer.status {
        301..=303 => false,
        307 | 308 => true,
        _ => return None,
    };
    let header = |(name, value): &(String, String)| {
        name.eq_ignore_ascii_case("location").then(|| value.clone())
    };
    let location = answer.headers.iter().find_map(header)?;
    let from = HttpUrl::parse(&ask.url).ok()?;
    let to = from.as_url().join(&location).ok()?;
    let same_host = HttpUrl::parse(to.as_str()).is_ok_and(|to| {
        to.target() == from.target() && to.as_url().scheme() == from.as_url().scheme()
    });
    let changes = !keeps_body && !["GET", "HEAD"].contains(&ask.method.as_str());
    let stays = |name: &str| {
        let is_one_of = |names: &[&str]| names.iter().any(|one| name.eq_ignore_ascii_case(one));
        (same_host || !is_one_of(&OF_ONE_HOST)) && !(changes && is_one_of(&OF_A_BODY))
    };
    let headers = ask.headers.iter().filter(|(name, _)| stays(name));
    Some(HttpAsk {
        method: if changes {
            "GET".to_owned()
        } else {
            ask.method.clone()
        },
        url: to.into(),
        headers: headers.cloned().collect(),
        body: if changes {
            Vec::new()
        } else {
            ask.body.clone()
        },
    })
}

fn told(answer: HttpAnswer) -> Answer {
    let mut headers = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in answer.headers {
        headers.entry(canonical(&name)).or_default().push(value);
    }
    let mut body = answer.body;
    let cut = body.len() > MAX_BODY;
    body.truncate(MAX_BODY);
    Answer {
        status_code: answer.status,
        headers,
        body,
        body_truncated: answer.truncated || cut,
        proto: "HTTP/1.1",
        error: None,
    }
}

/// A name as Go's `http.Header` looks it up: `content-type` is `Content-Type`.
fn canonical(name: &str) -> String {
    let mut begins = true;
    name.chars()
        .map(|c| {
            let c = if begins {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            };
            begins = c == '-';
            c
        })
        .collect()
}

/// What a guest learns of it: what it asked with, and neither what a name stands for nor why a server was not reached.
fn refusal(failure: HttpFailure) -> ErrorDetail {
    let denied =
        |what: &str| ErrorDetail::denied(&format!("capability denied: network:outbound:{what}"));
    match failure {
        HttpFailure::NotGranted | HttpFailure::Request => denied("request"),
        HttpFailure::HostNotAllowed(host) => denied(&host),
        HttpFailure::Address(host) => ErrorDetail::new(
            "ssrf_protection",
            "SSRF_BLOCKED",
            format!("permission denied: private or reserved address: {host}"),
        ),
        HttpFailure::InvalidUrl(_)
        | HttpFailure::Scheme(_)
        | HttpFailure::Method
        | HttpFailure::Header(_)
        | HttpFailure::HeadTooLarge { .. }
        | HttpFailure::BodyTooLarge { .. } => ErrorDetail::invalid(failure.why()),
        HttpFailure::Rate => ErrorDetail::new(
            "network",
            "RATE_LIMITED",
            "too many requests within a minute",
        ),
        HttpFailure::TimedOut => late(),
        HttpFailure::Io(_)
        | HttpFailure::Closed
        | HttpFailure::Secret(_)
        | HttpFailure::NoSecret(_) => {
            ErrorDetail::new("network", "REQUEST_FAILED", "the request failed")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: &str, url: &str) -> HttpAsk {
        let headers = [
            ("Authorization", "a"),
            ("Content-Type", "t"),
            ("X-Own", "x"),
        ];
        HttpAsk {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            body: b"body".to_vec(),
        }
    }

    fn answer(status: u16, location: Option<&str>) -> HttpAnswer {
        let headers = location.map(|to| ("location".to_owned(), to.to_owned()));
        HttpAnswer {
            status,
            headers: headers.into_iter().collect(),
            body: Vec::new(),
            truncated: false,
        }
    }

    #[test]
    fn a_redirect_keeps_what_belongs_to_where_it_leads() {
        let from = "http://a.example/x/y?q";
        for (method, status, to, shown) in [
            (
                "GET",
                301,
                "/z",
                "GET http://a.example/z Authorization,Content-Type,X-Own 4",
            ),
            (
                "GET",
                302,
                "z#f",
                "GET http://a.example/x/z#f Authorization,Content-Type,X-Own 4",
            ),
            (
                "POST",
                302,
                "/z",
                "GET http://a.example/z Authorization,X-Own 0",
            ),
            (
                "POST",
                307,
                "/z",
                "POST http://a.example/z Authorization,Content-Type,X-Own 4",
            ),
            (
                "POST",
                308,
                "https://a.example/z",
                "POST https://a.example/z Content-Type,X-Own 4",
            ),
            (
                "GET",
                302,
                "http://b.example/",
                "GET http://b.example/ Content-Type,X-Own 4",
            ),
            (
                "GET",
                302,
                "http://a.example:81/",
                "GET http://a.example:81/ Content-Type,X-Own 4",
            ),
            (
                "HEAD",
                303,
                "/z",
                "HEAD http://a.example/z Authorization,Content-Type,X-Own 4",
            ),
            (
                "GET",
                302,
                "file:///etc/passwd",
                "GET file:///etc/passwd Content-Type,X-Own 4",
            ),
        ] {
            let next = redirected(&ask(method, from), &answer(status, Some(to))).unwrap();
            let names: Vec<_> = next.headers.iter().map(|(name, _)| name.as_str()).collect();
            let is = format!(
                "{} {} {} {}",
                next.method,
                next.url,
                names.join(","),
                next.body.len()
            );
            assert_eq!(is, shown, "{method} {status} {to}");
        }
        for (status, to) in [
            (200, Some("/z")),
            (304, Some("/z")),
            (302, None),
            (300, Some("/z")),
        ] {
            assert!(
                redirected(&ask("GET", from), &answer(status, to)).is_none(),
                "{status}"
            );
        }
    }

    #[test]
    fn headers_are_named_as_go_looks_them_up_and_no_body_is_too_long() {
        assert_eq!(canonical("content-TYPE"), "Content-Type");
        assert_eq!(canonical("etag"), "Etag");
        let long = HttpAnswer {
            status: 200,
            headers: vec![
                ("a".to_owned(), "1".to_owned()),
                ("A".to_owned(), "2".to_owned()),
            ],
            body: vec![0; MAX_BODY + 1],
            truncated: false,
        };
        let told = told(long);
        assert!(told.body_truncated && encode(&told).len() < MAX_ANSWER);
        assert_eq!(told.headers["A"], ["1", "2"]);
    }
}
