//! One request, as a library for plugins would send it.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method,
    OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;

/// What is asked for.
pub struct Asked<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub headers: Vec<(&'a str, &'a str)>,
    pub bytes: usize,
    pub options: Option<RequestOptions>,
}

/// What came back.
pub struct Answer {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    /// Why it ends before its end.
    broken: Option<String>,
}

impl<'a> Asked<'a> {
    pub fn to(url: &'a str) -> Self {
        Self {
            method: "GET",
            url,
            headers: Vec::new(),
            bytes: 0,
            options: None,
        }
    }

    /// Sends it, writes its body, and reads the whole answer.
    pub fn sent(self) -> Result<Answer, String> {
        let bytes = self.bytes;
        let (future, body) = self.begun()?;
        if let Some(body) = body {
            let written = write(&body, bytes);
            if written.is_ok() {
                OutgoingBody::finish(body, None).map_err(kind)?;
            }
        }
        read(wait(&future)?)
    }

    /// Sends it; its body is still to be written.
    pub fn begun(self) -> Result<(FutureIncomingResponse, Option<OutgoingBody>), String> {
        let headers = Fields::new();
        for (name, value) in self.headers {
            let added = headers.append(name, value.as_bytes());
            added.map_err(|error| last(format!("{error:?}")))?;
        }
        let request = OutgoingRequest::new(headers);
        let no = |part: &str| format!("no {part}");
        request
            .set_method(&method(self.method))
            .map_err(|()| no("method"))?;
        let parts = self.url.split_once("://");
        let (scheme, rest) = parts.ok_or_else(|| no("scheme"))?;
        let scheme = match scheme {
            "unsaid" => None,
            "http" => Some(Scheme::Http),
            "https" => Some(Scheme::Https),
            other => Some(Scheme::Other(other.to_owned())),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        request
            .set_scheme(scheme.as_ref())
            .map_err(|()| no("scheme"))?;
        request
            .set_authority(Some(authority))
            .map_err(|()| no("authority"))?;
        request
            .set_path_with_query(Some(path))
            .map_err(|()| no("path"))?;
        let body = (self.bytes > 0).then(|| request.body());
        let body = body.transpose().map_err(|()| no("body"))?;
        Ok((handle(request, self.options).map_err(kind)?, body))
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("none".to_owned(), |(_, value)| {
            String::from_utf8_lossy(value).into_owned()
        })
    }
}

pub fn get(url: &str) -> Result<Answer, String> {
    Asked::to(url).sent()
}

pub fn line(answer: Result<Answer, String>) -> String {
    match answer {
        Ok(answer) => {
            let bytes = answer.body.len();
            let body = match String::from_utf8(answer.body) {
                Ok(text) if bytes <= 200 => text,
                Ok(_) | Err(_) => format!("{bytes} bytes"),
            };
            let broken = answer
                .broken
                .map_or(String::new(), |why| format!(" ({why})"));
            format!("{} {body}{broken}", answer.status)
        }
        Err(kind) => format!("failed: {kind}"),
    }
}

/// Writes so many bytes.
pub fn write(body: &OutgoingBody, bytes: usize) -> Result<(), StreamError> {
    let Ok(stream) = body.write() else {
        return Err(StreamError::Closed);
    };
    for chunk in vec![b'x'; bytes].chunks(4096) {
        stream.blocking_write_and_flush(chunk)?;
    }
    Ok(())
}

/// Waits for the head of the answer.
pub fn wait(future: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    future.subscribe().block();
    match future.get() {
        Some(Ok(answer)) => answer.map_err(kind),
        Some(Err(())) | None => Err("nothing came".to_owned()),
    }
}

/// Reads the whole answer.
pub fn read(response: IncomingResponse) -> Result<Answer, String> {
    let (status, headers) = (response.status(), response.headers().entries());
    let consumed = response.consume().map_err(|()| "no body")?;
    let (mut body, mut broken) = (Vec::new(), None);
    let stream = consumed.stream().map_err(|()| "no stream")?;
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(bytes) => body.extend(bytes),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                broken = Some(error.to_debug_string());
                break;
            }
        }
    }
    drop(stream);
    IncomingBody::finish(consumed);
    Ok(Answer {
        status,
        headers,
        body,
        broken,
    })
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

/// What an error is called.
pub fn kind(code: ErrorCode) -> String {
    last(format!("{code:?}"))
}

/// The name of a case, without that of its type.
pub fn last(debug: String) -> String {
    debug.rsplit("::").next().unwrap_or_default().to_owned()
}
