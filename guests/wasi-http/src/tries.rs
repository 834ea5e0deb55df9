//! What no library does.

use std::collections::BTreeMap;

use wasip2::http::types::{Fields, Method, OutgoingBody, OutgoingRequest, RequestOptions};

use crate::request::{Asked, kind, last, line, read, wait, write};

pub fn at_once(times: usize, url: &str) -> Result<String, String> {
    let begun: Vec<_> = (0..times).map(|_| Asked::to(url).begun()).collect();
    let came: Vec<_> = begun
        .into_iter()
        .map(|begun| {
            let (future, _) = begun?;
            wait(&future)
        })
        .collect();
    let mut lines = BTreeMap::new();
    for response in came {
        *lines.entry(line(response.and_then(read))).or_insert(0) += 1;
    }
    let lines = lines
        .into_iter()
        .map(|(line, times)| format!("{times} times {line}"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

pub fn fields(headers: &[&str]) -> String {
    let set = Fields::new();
    let lines = headers.iter().map(|header| {
        let (name, value) = header.split_once('=').unwrap_or((header, ""));
        let added = set.append(name, value.as_bytes());
        added.map_or_else(|error| last(format!("{error:?}")), |()| "added".to_owned())
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub fn grow(bytes: usize) -> String {
    let set = Fields::new();
    let value = vec![b'x'; 1024];
    let grown = (0..bytes / 1024).all(|_| set.append("x", &value).is_ok());
    grown.to_string()
}

pub fn hoard(times: usize, bytes: usize) -> String {
    let value = vec![b'x'; bytes];
    let sets = (0..times).map(|_| {
        let set = Fields::new();
        let _ = set.append("x", &value);
        set
    });
    sets.collect::<Vec<_>>().len().to_string()
}

pub fn long(part: &str, bytes: usize) -> Result<String, String> {
    let request = OutgoingRequest::new(Fields::new());
    let text = "x".repeat(bytes);
    let set = match part {
        "method" => request.set_method(&Method::Other(text)),
        "authority" => request.set_authority(Some(&text)),
        "path" => request.set_path_with_query(Some(&format!("/{}", &text[1..]))),
        _ => return Err(format!("no part `{part}`")),
    };
    Ok(set.is_ok().to_string())
}

pub fn timeout(kind: &str, ms: u64, url: &str) -> Result<String, String> {
    let options = RequestOptions::new();
    let time = Some(ms * 1_000_000);
    let set = match kind {
        "connect" => options.set_connect_timeout(time),
        "first-byte" => options.set_first_byte_timeout(time),
        "between-bytes" => options.set_between_bytes_timeout(time),
        _ => return Err(format!("no time `{kind}`")),
    };
    set.map_err(|()| "it cannot be set")?;
    let asked = Asked {
        options: Some(options),
        ..Asked::to(url)
    };
    Ok(line(asked.sent()))
}

/// A body of three bytes that is still to be ended.
fn posted(url: &str) -> Asked<'_> {
    Asked {
        method: "POST",
        bytes: 3,
        ..Asked::to(url)
    }
}

pub fn trailers(url: &str) -> String {
    let tried = || {
        let (future, body) = posted(url).begun()?;
        let body = body.ok_or("no body")?;
        write(&body, 3).map_err(|error| format!("{error:?}"))?;
        let after = Fields::from_list(&[("x-after".to_owned(), b"1".to_vec())]);
        let after = after.map_err(|error| format!("{error:?}"))?;
        OutgoingBody::finish(body, Some(after)).map_err(kind)?;
        read(wait(&future)?)
    };
    line(tried())
}

pub fn give_up(url: &str) -> String {
    match Asked::to(url).begun() {
        Ok(begun) => {
            drop(begun);
            "dropped".to_owned()
        }
        Err(kind) => format!("failed: {kind}"),
    }
}

pub fn half(url: &str) -> String {
    let tried = || {
        let (future, body) = posted(url).begun()?;
        let body = body.ok_or("no body")?;
        write(&body, 2).map_err(|error| format!("{error:?}"))?;
        drop(body);
        read(wait(&future)?)
    };
    line(tried())
}

pub fn leave(url: &str) -> String {
    match Asked::to(url).begun() {
        Ok(begun) => {
            // Kept until the instance ends.
            std::mem::forget(begun);
            "left".to_owned()
        }
        Err(kind) => format!("failed: {kind}"),
    }
}
