//! Sends requests by `wasi:http` and answers a line each: `STATUS BODY`, `STATUS BODY (REASON)` of a body that ends with an
//! error, or `failed: KIND`. Of a body that is no text, or longer than 200 bytes, it says the length. A request with the
//! scheme `unsaid` says none.
//!
//! ```text
//! URL...                                    sends a GET to each, one after the other
//! send METHOD URL BODY-BYTES NAME=VALUE...  sends one with so many bytes and these headers
//! header NAME URL                           answers a header of the response
//! again TIMES URL                           how many were answered, one after the other
//! at-once TIMES URL                         all are sent before the first is read: a line for each kind of answer
//! field NAME=VALUE...                       adds headers to an empty set, and says what came of each
//! grow BYTES                                adds so many bytes to one set of headers
//! hoard TIMES BYTES                         keeps so many sets of headers of this size
//! long PART BYTES                           whether a request may have a method, authority or path of this length
//! timeout KIND MS URL                       a GET with one of the times `connect`, `first-byte`, `between-bytes`
//! trailers URL                              a POST with something after its body
//! give-up URL | half URL | leave URL        drops the answer; drops the body; returns before anything is over
//! ```

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin" });

mod request;
mod tries;

use request::{Asked, get, line};

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match args[..] {
            ["send", method, url, bytes, ref headers @ ..] => {
                let headers = headers.iter().filter_map(|header| header.split_once('='));
                let asked = Asked {
                    method,
                    headers: headers.collect(),
                    bytes: number(bytes)?,
                    ..Asked::to(url)
                };
                Ok(line(asked.sent()))
            }
            ["header", name, url] => Ok(match get(url) {
                Ok(answer) => answer.header(name),
                Err(kind) => format!("failed: {kind}"),
            }),
            ["again", times, url] => {
                let answered = (0..number(times)?).filter(|_| get(url).is_ok());
                Ok(answered.count().to_string())
            }
            ["at-once", times, url] => tries::at_once(number(times)?, url),
            ["field", ref headers @ ..] => Ok(tries::fields(headers)),
            ["grow", bytes] => Ok(tries::grow(number(bytes)?)),
            ["hoard", times, bytes] => Ok(tries::hoard(number(times)?, number(bytes)?)),
            ["long", part, bytes] => tries::long(part, number(bytes)?),
            ["timeout", kind, ms, url] => tries::timeout(kind, number(ms)? as u64, url),
            ["trailers", url] => Ok(tries::trailers(url)),
            ["give-up", url] => Ok(tries::give_up(url)),
            ["half", url] => Ok(tries::half(url)),
            ["leave", url] => Ok(tries::leave(url)),
            ref urls => Ok(urls
                .iter()
                .map(|url| line(get(url)))
                .collect::<Vec<_>>()
                .join("\n")),
        }
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

export!(Plugin);
