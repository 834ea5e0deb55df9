//! HTTP/1: CONNECT, and requests of plain HTTP with a whole URL.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue, PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_policy::Target;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::gate::{Gate, HostStream, Use};
use crate::headers;
use crate::tunnel::tunnel;
use crate::verdict::{Attempt, Why};

const HTTP_PORT: u16 = 80;

type Answer = Response<UnsyncBoxBody<Bytes, hyper::Error>>;

/// A tunnel that begins when the answer to CONNECT is written.
struct Pending {
    client: OnUpgrade,
    host: HostStream,
    target: Target,
    attempt: Attempt,
}

type Slot = Arc<Mutex<Option<Pending>>>;

/// Serves one client: requests one after the other, each decided by itself, or one tunnel.
pub(crate) async fn serve(
    client: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    gate: &Arc<Gate>,
) {
    let limits = &gate.options.limits;
    let slot = Slot::default();
    let service = service_fn(|request| {
        let (gate, slot) = (Arc::clone(gate), Arc::clone(&slot));
        async move { Ok::<_, Infallible>(answer(request, &gate, &slot).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes.max(8 * 1024))
        .serve_connection(TokioIo::new(client), service)
        .with_upgrades()
        .await;
    if served.is_err_and(|error| error.is_parse()) {
        gate.malformed("", "it is no request of HTTP/1");
    }
    let pending = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mut pending) = pending
        && let Ok(client) = pending.client.await
    {
        let (client, attempt) = (TokioIo::new(client), &mut pending.attempt);
        tunnel(client, pending.host, &pending.target, attempt, limits.head).await;
    }
}

async fn answer(request: Request<Incoming>, gate: &Gate, slot: &Slot) -> Answer {
    if request.method() == Method::CONNECT {
        connect(request, gate, slot).await
    } else {
        forward(request, gate).await
    }
}

async fn connect(request: Request<Incoming>, gate: &Gate, slot: &Slot) -> Answer {
    let text = request.uri().to_string();
    if request.headers().contains_key(CONTENT_LENGTH)
        || request.headers().contains_key(TRANSFER_ENCODING)
    {
        // Whether it belongs to the tunnel is read differently by different readers.
        gate.malformed(&text, "CONNECT has no body");
        return plain(StatusCode::BAD_REQUEST, "CONNECT has no body");
    }
    let target = match Target::parse(&text) {
        Ok(target) => target,
        Err(error) => {
            gate.malformed(&text, error.why());
            return plain(StatusCode::FORBIDDEN, &error.to_string());
        }
    };
    let mut attempt = gate.attempt(&target);
    let Some(host) = gate.connect(&target, &mut attempt, Use::Tunnel).await else {
        return refusal(&target, attempt.why());
    };
    let pending = Pending {
        client: hyper::upgrade::on(request),
        host,
        target,
        attempt,
    };
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(pending);
    plain(StatusCode::OK, "")
}

async fn forward(mut request: Request<Incoming>, gate: &Gate) -> Answer {
    let target = match target_of(&request) {
        Ok(target) => target,
        Err((status, what)) => {
            gate.malformed(&request.uri().to_string(), what);
            return plain(status, what);
        }
    };
    let mut attempt = gate.attempt(&target);
    let Some(host) = gate.connect(&target, &mut attempt, Use::Requests).await else {
        return refusal(&target, attempt.why());
    };
    headers::remove_hop_by_hop(request.headers_mut());
    let shown = if target.port == HTTP_PORT {
        target.host.to_string()
    } else {
        target.to_string()
    };
    // What a reader of the URL and a reader of `Host` see is one text, written here.
    let Ok(value) = HeaderValue::from_str(&shown) else {
        return refusal(&target, attempt.why());
    };
    request.headers_mut().insert(HOST, value);
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let upstream = gate.upstream_for(&target);
    let uri = match upstream {
        Some(_) => format!("http://{shown}{path}").parse::<Uri>(),
        None => path.parse::<Uri>(),
    };
    let Ok(uri) = uri else {
        return refusal(&target, attempt.why());
    };
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    if let Some(value) = upstream.and_then(|upstream| upstream.authorization.clone()) {
        request.headers_mut().insert(PROXY_AUTHORIZATION, value);
    }
    send(request, host, attempt, gate.options.limits.head_bytes)
        .await
        .unwrap_or_else(|_| plain(StatusCode::BAD_GATEWAY, "the host gave no answer"))
}

/// Sends one request on a connection of its own, so that no answer can be taken for that of another request.
async fn send(
    request: Request<Incoming>,
    host: HostStream,
    attempt: Attempt,
    head_bytes: usize,
) -> Result<Answer, hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(head_bytes.max(8 * 1024))
        .handshake(TokioIo::new(host))
        .await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // Its failure is that of the request or of the body.
        let _failed: Result<(), hyper::Error> = connection.await;
    });
    let mut response = sender.send_request(request).await?;
    headers::remove_hop_by_hop(response.headers_mut());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(plain(
            StatusCode::BAD_GATEWAY,
            "the host changed the protocol unasked",
        ));
    }
    let (parts, body) = response.into_parts();
    let body = Carried {
        body,
        _tasks: tasks,
        _attempt: attempt,
    };
    Ok(Response::from_parts(parts, body.boxed_unsync()))
}

/// The target of a request for a proxy, where every part of it that names a host names the same one.
fn target_of(request: &Request<Incoming>) -> Result<Target, (StatusCode, &'static str)> {
    let bad = |what| Err((StatusCode::BAD_REQUEST, what));
    let uri = request.uri();
    let Some(authority) = uri.authority().filter(|_| uri.scheme_str() == Some("http")) else {
        return bad("it is no request for a proxy: CONNECT, or an `http` URL");
    };
    let target = read(authority.as_str()).map_err(|what| (StatusCode::FORBIDDEN, what))?;
    let mut hosts = request.headers().get_all(HOST).iter();
    let same = match (hosts.next(), hosts.next()) {
        (None, None) => request.version() < Version::HTTP_11,
        (Some(host), None) => host
            .to_str()
            .is_ok_and(|host| read(host).is_ok_and(|host| host == target)),
        (_, Some(_)) => false,
    };
    if !same {
        return bad("`Host` is not the host of the URL");
    }
    Ok(target)
}

fn read(authority: &str) -> Result<Target, &'static str> {
    let bare = authority.ends_with(']') || !authority.contains(':');
    let read = if bare {
        Target::parse(&format!("{authority}:{HTTP_PORT}"))
    } else {
        Target::parse(authority)
    };
    read.map_err(|error| error.why())
}

/// Says no more than whether it may be tried again: the command is not told addresses or rules.
fn refusal(target: &Target, why: &Why) -> Answer {
    let (status, what) = match why {
        Why::NoRule | Why::Address(..) | Why::ServerName(_) | Why::Malformed(_) | Why::Bytes => {
            (StatusCode::FORBIDDEN, "is not allowed")
        }
        Why::Unreachable(io::ErrorKind::TimedOut) => {
            (StatusCode::GATEWAY_TIMEOUT, "did not answer in time")
        }
        Why::Unresolved | Why::Unreachable(_) | Why::Allowed | Why::AllowedUnchecked => {
            (StatusCode::BAD_GATEWAY, "cannot be reached")
        }
    };
    plain(status, &format!("`{target}` {what}"))
}

fn plain(status: StatusCode, text: &str) -> Answer {
    let text = if text.is_empty() {
        String::new()
    } else {
        format!("portcullis: {text}\n")
    };
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response
}

/// The body of an answer, with what must live as long as it does.
struct Carried {
    body: Incoming,
    /// Moves the bytes of the connection to the host.
    _tasks: JoinSet<()>,
    _attempt: Attempt,
}

impl Body for Carried {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
