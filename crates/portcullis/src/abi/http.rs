//! `portcullis:cli/http`.

use serde::Serialize;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use crate::capability::http::{HttpAnswer, HttpAsk, HttpFailure};
use crate::state::State;

pub(crate) const HTTP: &str = "portcullis:cli/http@0.1.0";

#[derive(ComponentType, Lower, Clone, Copy, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Error {
    #[component(name = "denied")]
    Denied,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "limit")]
    Limit,
    #[component(name = "timed-out")]
    TimedOut,
    #[component(name = "io")]
    Io,
}

impl From<HttpFailure> for Error {
    fn from(failure: HttpFailure) -> Self {
        match failure {
            HttpFailure::NotGranted
            | HttpFailure::HostNotAllowed(_)
            | HttpFailure::Request
            | HttpFailure::Address(_)
            | HttpFailure::Secret(_)
            | HttpFailure::NoSecret(_) => Self::Denied,
            HttpFailure::InvalidUrl(_)
            | HttpFailure::Scheme(_)
            | HttpFailure::Method
            | HttpFailure::Header(_) => Self::Invalid,
            HttpFailure::HeadTooLarge { .. } | HttpFailure::BodyTooLarge { .. } => Self::TooLarge,
            HttpFailure::Rate => Self::Limit,
            HttpFailure::TimedOut => Self::TimedOut,
            HttpFailure::Io(_) | HttpFailure::Closed => Self::Io,
        }
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    truncated: bool,
}

/// Makes the interface known to the linker.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance(HTTP)?.func_wrap_async(
        "send",
        |mut store: StoreContextMut<'_, State>, (request,): (Request,)| {
            Box::new(async move {
                let answered = store.data_mut().gate.http(ask(request)).await;
                Ok((answered.map(response).map_err(Error::from),))
            })
        },
    )
}

fn ask(request: Request) -> HttpAsk {
    HttpAsk {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body,
    }
}

fn response(answer: HttpAnswer) -> Response {
    Response {
        status: answer.status,
        headers: answer.headers,
        body: answer.body,
        truncated: answer.truncated,
    }
}
