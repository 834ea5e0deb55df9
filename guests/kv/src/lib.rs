//! Uses its state by `portcullis:cli/kv`, each argument one call, and answers a line each: `get KEY`, `set KEY VALUE`,
//! `fill KEY BYTES`, `delete KEY`, `list PREFIX AFTER LIMIT` and `swap KEY EXPECTED VALUE`, where `-` stands for nothing.
//! `again TIMES KEY` reads a key so often and says how often it got an answer; `count TIMES KEY` counts a number up so
//! often, by swaps; `flood TIMES LENGTH` uses as many keys that are too long.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin-with-kv" });

use portcullis::cli::kv::{self, Error};

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        let lines = args.iter().map(|call| {
            let words: Vec<_> = call.split(' ').collect();
            answer(&words)
        });
        Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
    }
}

fn answer(words: &[&str]) -> Result<String, String> {
    let number = |text: &str| {
        text.parse::<usize>()
            .map_err(|_| format!("no number: {text}"))
    };
    let some = |text: &str| (text != "-").then(|| text.to_owned());
    Ok(match *words {
        ["get", key] => said(kv::get(key).map(|value| value.map_or("none".to_owned(), text))),
        ["set", key, value] => said(kv::set(key, value.as_bytes()).map(|()| "set".to_owned())),
        ["fill", key, bytes] => {
            let value = vec![b'x'; number(bytes)?];
            said(kv::set(key, &value).map(|()| "set".to_owned()))
        }
        ["delete", key] => said(kv::delete(key).map(|there| there.to_string())),
        ["list", prefix, after, limit] => {
            let limit = number(limit)?.try_into().unwrap_or(u32::MAX);
            let listed = kv::list(
                &some(prefix).unwrap_or_default(),
                some(after).as_deref(),
                limit,
            );
            said(listed.map(|page| {
                let more = if page.more { " and more" } else { "" };
                page.keys.join(",") + more
            }))
        }
        ["swap", key, expected, value] => {
            let expected = some(expected).map(String::into_bytes);
            let swapped = kv::compare_and_swap(key, expected.as_deref(), value.as_bytes());
            said(swapped.map(|swapped| swapped.to_string()))
        }
        ["again", times, key] => {
            let answered = (0..number(times)?).filter(|_| kv::get(key).is_ok());
            answered.count().to_string()
        }
        ["flood", times, length] => {
            let mut key = "N".repeat(number(length)?);
            for time in 0..number(times)? {
                key.replace_range(..10, &format!("{time:010}"));
                if kv::get(&key).is_ok() || kv::set(&key, key.as_bytes()).is_ok() {
                    return Err(format!("{key} is a key"));
                }
            }
            times.to_owned()
        }
        ["count", times, key] => {
            for _ in 0..number(times)? {
                while !count(key).map_err(|error| error.name())? {}
            }
            "counted".to_owned()
        }
        _ => return Err(format!("no call: {}", words.join(" "))),
    })
}

fn count(key: &str) -> Result<bool, Error> {
    let now = kv::get(key)?;
    let number: u64 = now.clone().map_or(0, |now| text(now).parse().unwrap_or(0));
    kv::compare_and_swap(key, now.as_deref(), (number + 1).to_string().as_bytes())
}

fn text(value: Vec<u8>) -> String {
    String::from_utf8_lossy(&value).into_owned()
}

fn said(result: Result<String, Error>) -> String {
    result.unwrap_or_else(|error| format!("failed: {}", error.name()))
}

export!(Plugin);
