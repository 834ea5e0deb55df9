//! One request and its response, over a connection of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::HeaderMap;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use portcullis_policy::{HttpDial, HttpRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::HttpAnswer;
use super::body::{Body, Kept};
use super::head;
use super::search::Search;
use super::secret::Secrets;
use crate::capability::Client;
use crate::capability::dial::{Way, connect, server_name};
use crate::gate::with_causes;

/// Bytes that the head of a response may have.
const MAX_HEAD: usize = 64 * 1024;
/// Headers that a response may have.
const MAX_HEADERS: usize = 128;

/// A request that was decided on, as it is sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) request: HttpRequest,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) waits: Waits,
    pub(super) secrets: Secrets,
}

/// How long its parts may take, where whoever asks wants less than all of its time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waits {
    /// Until there is a connection.
    pub(crate) connect: Option<Duration>,
    /// From then on, until there is the head of a response.
    pub(crate) first_byte: Option<Duration>,
    /// For each part of the body.
    pub(crate) between_bytes: Option<Duration>,
}

/// Why there is no answer to what could be sent.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Why, as a clause.
    Failed(String),
    /// It has this secret in it.
    Secret(String),
    /// A part took too long.
    Late,
}

impl From<String> for Unanswered {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// How far it came, for the trail, also where its time ends in between.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) address: Option<SocketAddr>,
    /// Bytes of the body that were handed to the connection.
    pub(super) sent: u64,
    /// Secrets that were handed to it.
    pub(super) secrets: Vec<String>,
    /// The status of the response.
    pub(super) status: Option<u16>,
}

/// Sends the request and waits for all of the response that is kept, `max` bytes of its body.
///
/// # Errors
/// There is none, or none that a guest may have.
pub(super) async fn exchange(
    client: &Client,
    way: Way<HttpDial>,
    outgoing: Outgoing,
    max: u64,
    progress: &mut Progress,
) -> Result<HttpAnswer, Unanswered> {
    let secure = outgoing.request.url.as_url().scheme() == "https";
    let limit = outgoing.waits.connect;
    // A proxy that reads the request is told the whole URL.
    let whole = matches!(way, Way::Through(_)) && !secure;
    let unreachable = |error: std::io::Error| format!("cannot connect: {error}");
    let (stream, address) = within(limit, async {
        let connected = connect(client, way, outgoing.request.url.target(), secure).await;
        connected.map_err(unreachable)
    })
    .await?;
    progress.address = Some(address);
    if !secure {
        return over(stream, outgoing, whole, max, progress).await;
    }
    let host = &outgoing.request.url.target().host;
    let name = server_name(host)?;
    let connector = TlsConnector::from(Arc::clone(&client.tls().await?));
    let stream = within(limit, async {
        let stream = connector.connect(name, stream).await;
        stream.map_err(|error| format!("no TLS with `{host}`: {error}"))
    })
    .await?;
    over(stream, outgoing, whole, max, progress).await
}

async fn over<S>(
    stream: S,
    outgoing: Outgoing,
    whole: bool,
    max: u64,
    progress: &mut Progress,
) -> Result<HttpAnswer, Unanswered>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(MAX_HEAD)
        .max_header_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    let broken = |error: hyper::Error| format!("the request failed: {}", with_causes(&error));
    let (mut sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // Ended with this function, however that ends.
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let Outgoing {
        request,
        method,
        mut headers,
        body,
        waits,
        secrets,
    } = outgoing;
    let search = secrets.put(&mut headers, &mut progress.secrets);
    progress.sent = body.len() as u64;
    let mut message = Request::new(Full::new(body));
    *message.method_mut() = method.clone();
    *message.uri_mut() = uri(&request, whole)?;
    *message.headers_mut() = headers;
    let response = within(waits.first_byte, async {
        sender.send_request(message).await.map_err(broken)
    })
    .await?;
    let (head, mut incoming) = response.into_parts();
    progress.status = Some(head.status.as_u16());
    // Before anything in them is put into words.
    searched(&search, &head::text(&head.headers))?;
    let mut body = Body::new(&head.headers, max.saturating_add(search.beyond()))?;
    if head::has_body(&method, head.status) {
        while let Some(frame) = within(waits.between_bytes, async {
            incoming.frame().await.transpose().map_err(broken)
        })
        .await?
        {
            if let Some(bytes) = frame.data_ref()
                && !body.take(bytes)?
            {
                break;
            }
        }
    }
    let mut kept = whole_searched(search, body.end()?).await?;
    kept.cut(max);
    let head = Response::from_parts(head, ());
    Ok(HttpAnswer {
        status: head.status().as_u16(),
        headers: head::answered(head.headers()),
        body: kept.content,
        truncated: kept.truncated,
    })
}

/// Waits for a part of it.
async fn within<T>(
    limit: Option<Duration>,
    part: impl Future<Output = Result<T, String>>,
) -> Result<T, Unanswered> {
    let Some(limit) = limit else {
        return Ok(part.await?);
    };
    let in_time = tokio::time::timeout(limit, part).await;
    Ok(in_time.map_err(|_| Unanswered::Late)??)
}

fn searched(search: &Search, bytes: &[u8]) -> Result<(), Unanswered> {
    let found = search.find(bytes);
    found.map_or(Ok(()), |name| Err(Unanswered::Secret(name.to_owned())))
}

/// As [`searched`], for a body: megabytes of it would keep other guests waiting.
async fn whole_searched(search: Search, kept: Kept) -> Result<Kept, Unanswered> {
    if search.finds_nothing() {
        return Ok(kept);
    }
    let searching = tokio::task::spawn_blocking(move || {
        searched(&search, &kept.content)?;
        Ok(kept)
    });
    let searched = searching.await;
    searched.unwrap_or_else(|error| Err(Unanswered::Failed(error.to_string())))
}

/// What is asked of the server: the path and the query, or for a proxy the whole URL.
fn uri(request: &HttpRequest, whole: bool) -> Result<Uri, String> {
    let url = request.url.as_url();
    let text = match (whole, url.query()) {
        (true, _) => url.as_str().to_owned(),
        (false, Some(query)) => format!("{}?{query}", url.path()),
        (false, None) => url.path().to_owned(),
    };
    text.parse()
        .map_err(|error| format!("its path is none of a request: {error}"))
}
