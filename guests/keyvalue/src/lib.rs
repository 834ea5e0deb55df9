//! Uses its state by `wasi:keyvalue`, each argument one call, and answers a line each: `open NAME`, `get KEY`,
//! `set KEY VALUE`, `delete KEY`, `exists KEY`, `keys CURSOR`, `add KEY NUMBER`, `get-many KEY…`, `set-many KEY VALUE…`,
//! `delete-many KEY…`; `swap KEY VALUE` on what it finds, and `late KEY OTHER VALUE`, which begins a swap, sets the key
//! to another value meanwhile, and begins again with what it is given; `seen KEY OTHER VALUE` looks at that other value first. `hold TIMES KEY` begins so many swaps and keeps them. `-`
//! stands for nothing.

wit_bindgen::generate!({ path: "../wit/keyvalue", world: "plugin", generate_all });

use wasi::keyvalue::atomics::{Cas, CasError, increment, swap};
use wasi::keyvalue::batch;
use wasi::keyvalue::store::{Bucket, Error, open};

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        let bucket = open("default").map_err(failed)?;
        let lines = args.iter().map(|call| {
            let words: Vec<_> = call.split(' ').collect();
            answer(&bucket, &words).unwrap_or_else(failed)
        });
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }
}

fn answer(bucket: &Bucket, words: &[&str]) -> Result<String, Error> {
    let owned = |words: &[&str]| -> Vec<_> { words.iter().map(|&word| word.to_owned()).collect() };
    Ok(match *words {
        ["open", name] => open(if name == "-" { "" } else { name }).map(|_| "opened".to_owned())?,
        ["get", key] => bucket.get(key)?.map_or("none".to_owned(), text),
        ["set", key, value] => bucket
            .set(key, value.as_bytes())
            .map(|()| "set".to_owned())?,
        ["delete", key] => bucket.delete(key).map(|()| "deleted".to_owned())?,
        ["exists", key] => bucket.exists(key)?.to_string(),
        ["keys", cursor] => {
            let listed = bucket.list_keys(Some(cursor).filter(|&cursor| cursor != "-"))?;
            let more = listed
                .cursor
                .map_or(String::new(), |cursor| format!(" after {cursor}"));
            listed.keys.join(",") + &more
        }
        ["add", key, number] => increment(bucket, key, number.parse().unwrap_or(0))?.to_string(),
        ["swap", key, value] => swapped(swap(Cas::new(bucket, key)?, value.as_bytes()))?,
        ["late", key, other, value] => {
            let begun = Cas::new(bucket, key)?;
            let saw = begun.current()?.map_or("none".to_owned(), text);
            bucket.set(key, other.as_bytes())?;
            match swap(begun, value.as_bytes()) {
                Err(CasError::CasFailed(again)) => {
                    let now = again.current()?.map_or("none".to_owned(), text);
                    format!(
                        "saw {saw}, then {now}, {}",
                        swapped(swap(again, value.as_bytes()))?
                    )
                }
                other => swapped(other)?,
            }
        }
        ["seen", key, other, value] => {
            let begun = Cas::new(bucket, key)?;
            bucket.set(key, other.as_bytes())?;
            let now = begun.current()?.map_or("none".to_owned(), text);
            format!("saw {now}, {}", swapped(swap(begun, value.as_bytes()))?)
        }
        ["get-many", ..] => {
            let found = batch::get_many(bucket, &owned(&words[1..]))?;
            let found = found.into_iter().map(|(key, value)| match value {
                Some(value) => format!("{key}={}", text(value)),
                None => format!("no {key}"),
            });
            found.collect::<Vec<_>>().join(",")
        }
        ["set-many", ..] => {
            let pairs = words[1..].chunks_exact(2);
            let pairs = pairs.map(|pair| (pair[0].to_owned(), pair[1].as_bytes().to_vec()));
            batch::set_many(bucket, &pairs.collect::<Vec<_>>()).map(|()| "set".to_owned())?
        }
        // Handles that are never dropped.
        ["hold", times, key] => {
            for _ in 0..times.parse::<u32>().unwrap_or(0) {
                std::mem::forget(Cas::new(bucket, key)?);
            }
            times.to_owned()
        }
        ["delete-many", ..] => {
            batch::delete_many(bucket, &owned(&words[1..])).map(|()| "deleted".to_owned())?
        }
        _ => format!("no call: {}", words.join(" ")),
    })
}

fn swapped(result: Result<(), CasError>) -> Result<String, Error> {
    match result {
        Ok(()) => Ok("swapped".to_owned()),
        Err(CasError::CasFailed(_)) => Ok("not swapped".to_owned()),
        Err(CasError::StoreError(error)) => Err(error),
    }
}

fn text(value: Vec<u8>) -> String {
    String::from_utf8_lossy(&value).into_owned()
}

fn failed(error: Error) -> String {
    match error {
        Error::NoSuchStore => "no such store".to_owned(),
        Error::AccessDenied => "access denied".to_owned(),
        Error::Other(why) => format!("failed: {why}"),
    }
}

export!(Plugin);
