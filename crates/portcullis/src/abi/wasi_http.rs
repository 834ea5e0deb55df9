//! `wasi:http/outgoing-handler` and `wasi:http/types` of WASI 0.2, through the same gate as `portcullis:cli/http`.
//!
//! Resources and bodies are Wasmtime's; what is sent is sent by the gate. A guest may write the body after it has sent the
//! request, so that nothing goes out before the body is whole. A response has come whole, too, when the guest has it; of one
//! that was cut, the body ends with an error.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName};
use hyper::http::uri::Scheme;
use hyper::{Request, Response};
use portcullis_policy::is_own_http_header;
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::types::{HostOutgoingRequest, Method};
use wasmtime_wasi_http::p2::types::HostOutgoingRequest as Outgoing;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::capability::http::{Came, HttpAsk, HttpFailure, MAX_URL, Waits};
use crate::gate::Gate;
use crate::state::State;

/// Both interfaces, without their version.
pub(crate) const HANDLER: &str = "wasi:http/outgoing-handler";
pub(crate) const TYPES: &str = "wasi:http/types";
/// The name under which Wasmtime has linked the second.
const LINKED: &str = "wasi:http/types@0.2.12";

/// Bytes of one set of headers, with what the host keeps beside each. More ends the guest.
pub(crate) const FIELDS_BYTES: usize = 64 * 1024;
/// Resources of an instance that uses these interfaces: each may hold as much as a set of headers.
const RESOURCES: usize = 1024;
/// Bytes that a guest can write of a body before they are taken.
const CHUNK: usize = 16 * 1024;
/// Bytes of a method. None that may be sent is as long.
const METHOD_BYTES: usize = 64;

type SendResult = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;
type Sent = Box<dyn Future<Output = SendResult> + Send>;

/// Makes the interfaces known to the linker.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    let mut types = linker.instance(LINKED)?;
    // Texts that Wasmtime keeps whatever their length. One that is too long is as one that is none.
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: StoreContextMut<'_, State>, (request, method): (Resource<Outgoing>, Method)| {
            let fits = match &method {
                Method::Other(name) => name.len() <= METHOD_BYTES,
                _ => true,
            };
            let mut http = store.data_mut().http();
            Ok((if fits {
                http.set_method(request, method)?
            } else {
                Err(())
            },))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: StoreContextMut<'_, State>,
         (request, text): (Resource<Outgoing>, Option<String>)| {
            let mut http = store.data_mut().http();
            Ok((if fits(&text) {
                http.set_authority(request, text)?
            } else {
                Err(())
            },))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        |mut store: StoreContextMut<'_, State>,
         (request, text): (Resource<Outgoing>, Option<String>)| {
            let mut http = store.data_mut().http();
            Ok((if fits(&text) {
                http.set_path_with_query(request, text)?
            } else {
                Err(())
            },))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn fits(text: &Option<String>) -> bool {
    text.as_ref().is_none_or(|text| text.len() <= MAX_URL)
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.table.set_max_capacity(RESOURCES);
        WasiHttpCtxView {
            hooks: &mut self.gate,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

impl WasiHttpHooks for Gate {
    /// The length of a body may be said; it is compared with the body.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        name != CONTENT_LENGTH && is_own_http_header(name.as_str())
    }

    /// The gate says what is none, and writes it down.
    fn is_supported_scheme(&mut self, _: &Scheme) -> bool {
        true
    }

    /// The gate does that, from the URL that it decided on.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Sent {
        let options = options.unwrap_or_default();
        let waits = Waits {
            connect: options.connect_timeout,
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
        };
        let (head, body) = request.into_parts();
        let Some(headers) = texts(&head.headers) else {
            return failed(Error::HttpProtocolError);
        };
        let ask = HttpAsk {
            method: head.method.as_str().to_owned(),
            url: head.uri.to_string(),
            headers,
            body: Vec::new(),
        };
        let body = whole(body, self.limits().http_request);
        let cut = self.limits().http_response;
        match self.http_beside(&ask, waits, body) {
            Ok(came) => Box::new(answered(came, cut)),
            Err(failure) => failed(kind(&failure)),
        }
    }
}

fn failed(error: Error) -> Sent {
    Box::new(std::future::ready(Err(error)))
}

/// The headers that are asked for. None if a value is no text.
fn texts(headers: &HeaderMap) -> Option<Vec<(String, String)>> {
    let said = headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH);
    said.map(|(name, value)| {
        let value = std::str::from_utf8(value.as_bytes()).ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    })
    .collect()
}

/// Waits for a body that the guest writes, up to `max` bytes.
async fn whole(mut body: WasiBody, max: u64) -> Result<Bytes, HttpFailure> {
    let mut content = Vec::new();
    while let Some(frame) = body.frame().await {
        let given_up = |_| HttpFailure::Io("the plugin gave its body up".to_owned());
        match frame.map_err(given_up)?.into_data() {
            Ok(data) => {
                let bytes = content.len() as u64 + data.len() as u64;
                if bytes > max {
                    return Err(HttpFailure::BodyTooLarge { bytes, max });
                }
                content.extend_from_slice(&data);
            }
            // Nothing is sent after the body.
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                if let Some(name) = trailers.keys().next() {
                    return Err(HttpFailure::Header(name.as_str().to_owned()));
                }
            }
        }
    }
    Ok(content.into())
}

/// The response as the guest gets it. `max` is where a body is cut.
async fn answered(came: oneshot::Receiver<Result<Came, HttpFailure>>, max: u64) -> SendResult {
    // A request whose call is over is told of no more.
    let came = came.await.unwrap_or(Err(HttpFailure::Closed));
    let Came { answer, body } = came.map_err(|failure| kind(&failure))?;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let body = Answered {
        content: Some(body).filter(|body| !body.is_empty()),
        cut: answer.truncated.then_some(max),
    };
    let response = response.body(body.boxed_unsync());
    let response = response.map_err(|_| Error::HttpProtocolError)?;
    Ok((response, Box::new(std::future::ready(Ok(())))))
}

/// The body of a response: all of it, and an error where it was cut.
struct Answered {
    content: Option<Bytes>,
    cut: Option<u64>,
}

impl Body for Answered {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(match self.content.take() {
            Some(content) => Some(Ok(Frame::data(content))),
            None => {
                let cut = self.cut.take();
                cut.map(|max| Err(Error::HttpResponseBodySize(Some(max))))
            }
        })
    }
}

/// All that the guest learns of a failure.
fn kind(failure: &HttpFailure) -> Error {
    match failure {
        HttpFailure::NotGranted
        | HttpFailure::HostNotAllowed(_)
        | HttpFailure::Request
        | HttpFailure::Address(_)
        | HttpFailure::Secret(_)
        | HttpFailure::NoSecret(_) => Error::HttpRequestDenied,
        HttpFailure::InvalidUrl(_) => Error::HttpRequestUriInvalid,
        HttpFailure::Method => Error::HttpRequestMethodInvalid,
        HttpFailure::Scheme(_) | HttpFailure::Header(_) => Error::HttpProtocolError,
        HttpFailure::HeadTooLarge { .. } => Error::HttpRequestHeaderSectionSize(None),
        HttpFailure::BodyTooLarge { .. } => Error::HttpRequestBodySize(None),
        HttpFailure::Rate => Error::ConnectionLimitReached,
        HttpFailure::TimedOut => Error::HttpResponseTimeout,
        HttpFailure::Io(_) => Error::ConnectionTerminated,
        HttpFailure::Closed => Error::InternalError(None),
    }
}
