//! Sends requests by `portcullis:cli/http` and answers a line each: `STATUS BODY`, `STATUS BODY (cut)` or `failed: ERROR`.
//! Of a body that is no text, or longer than 200 bytes, it says the length.
//!
//! `URL...` sends a GET to each; `send METHOD URL BODY-BYTES NAME=VALUE...` sends one with so many bytes and these headers;
//! `header NAME URL` answers a header of the response; `again TIMES URL` says how many were answered; `flood TIMES LENGTH` sends
//! so many of this length that are refused.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin-with-http" });

use portcullis::cli::http::{Error, Request, Response, send};

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match args[..] {
            ["send", method, url, bytes, ref headers @ ..] => {
                let bytes = bytes.parse().map_err(|_| "BODY-BYTES is a number")?;
                let headers = headers.iter().filter_map(|header| header.split_once('='));
                let sent = send(&Request {
                    method: method.to_owned(),
                    url: url.to_owned(),
                    headers: headers
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect(),
                    body: vec![b'x'; bytes],
                });
                Ok(line(sent))
            }
            ["header", name, url] => match get(url) {
                Ok(response) => {
                    let found = response
                        .headers
                        .into_iter()
                        .find(|(known, _)| known == name);
                    Ok(found.map_or_else(|| "none".to_owned(), |(_, value)| value))
                }
                Err(error) => Ok(format!("failed: {}", error.name())),
            },
            ["again", times, url] => {
                let times: u32 = times.parse().map_err(|_| "TIMES is a number")?;
                Ok((0..times).filter(|_| get(url).is_ok()).count().to_string())
            }
            ["flood", times, length] => flood(times, length),
            ref urls => Ok(urls
                .iter()
                .map(|url| line(get(url)))
                .collect::<Vec<_>>()
                .join("\n")),
        }
    }
}

/// Asks as many hosts that were not granted, each of another name of this length.
fn flood(times: &str, length: &str) -> Result<String, String> {
    let number = |text: &str| text.parse::<usize>().map_err(|error| error.to_string());
    let (times, length) = (number(times)?, number(length)?);
    let mut url = format!("http://0000000000.example/{}", "N".repeat(length));
    for time in 0..times {
        url.replace_range(7..17, &format!("{time:010}"));
        if get(&url).is_ok() {
            return Err(format!("{url} answers"));
        }
    }
    Ok(times.to_string())
}

fn get(url: &str) -> Result<Response, Error> {
    send(&Request {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    })
}

fn line(sent: Result<Response, Error>) -> String {
    match sent {
        Ok(response) => {
            let bytes = response.body.len();
            let body = match String::from_utf8(response.body) {
                Ok(text) if bytes <= 200 => text,
                Ok(_) | Err(_) => format!("{bytes} bytes"),
            };
            let cut = if response.truncated { " (cut)" } else { "" };
            format!("{} {body}{cut}", response.status)
        }
        Err(error) => format!("failed: {}", error.name()),
    }
}

export!(Plugin);
