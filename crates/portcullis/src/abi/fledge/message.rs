//! The messages of `fledge-v1` that a plugin sends: hostile JSON, of which a bounded part is taken.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Entries of a list: no question has more options.
const MAX_ENTRIES: usize = 1000;

/// A message of a plugin.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Message {
    /// Asks for a text.
    Prompt {
        /// Echoed in the answer.
        id: String,
        /// The question.
        message: String,
        /// The answer where nobody gives one.
        default: Option<String>,
        /// What the answer has to be.
        validate: Option<String>,
    },
    /// Asks for yes or no.
    Confirm {
        /// Echoed in the answer.
        id: String,
        /// The question.
        message: String,
        /// The answer where nobody gives one.
        default: Option<bool>,
    },
    /// Asks for one of several.
    Select {
        /// Echoed in the answer.
        id: String,
        /// The question.
        message: String,
        /// What there is to choose from.
        #[serde(deserialize_with = "bounded")]
        options: Vec<String>,
        /// The answer where nobody gives one, by its place.
        default: Option<u64>,
    },
    /// Asks for some of several.
    MultiSelect {
        /// Echoed in the answer.
        id: String,
        /// The question.
        message: String,
        /// What there is to choose from.
        #[serde(deserialize_with = "bounded")]
        options: Vec<String>,
        /// The answer where nobody gives one, by their places.
        #[serde(default, deserialize_with = "bounded_if_any")]
        defaults: Vec<u64>,
    },
    /// Says how far it is.
    Progress {
        /// With what.
        message: Option<String>,
        /// How many are done.
        current: Option<u64>,
        /// Of how many.
        total: Option<u64>,
        /// Whether it is over.
        done: Option<bool>,
    },
    /// Says something to the operator.
    Log {
        /// How serious it is, in a word.
        level: String,
        /// What it says.
        message: String,
    },
    /// Writes to the standard output.
    Output {
        /// What, as it is.
        text: String,
    },
    /// Keeps a value.
    Store {
        /// Under this key.
        key: String,
        /// The value.
        value: String,
    },
    /// Asks for a value that is kept.
    Load {
        /// Echoed in the answer.
        id: String,
        /// Under which key.
        key: String,
    },
    /// Asks for a command.
    Exec {
        /// Echoed in the answer.
        id: String,
        /// A line, as for a shell.
        command: String,
        /// Where it is to run.
        cwd: Option<String>,
        /// Seconds.
        timeout: Option<u64>,
    },
    /// Asks for facts of the project.
    Metadata {
        /// Echoed in the answer.
        id: String,
        /// Which.
        #[serde(deserialize_with = "bounded")]
        keys: Vec<String>,
    },
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with it, as a clause; it may quote the message.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        // A derived reader takes a list of the fields too, which nobody documents.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err("a message is an object of JSON".to_owned());
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// A list, unless it is too long to be kept.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    from.deserialize_seq(Bounded(PhantomData))
}

/// The same; `null` is an empty one.
fn bounded_if_any<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    struct List<T>(Vec<T>);
    impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            bounded(from).map(Self)
        }
    }
    let list = Option::<List<T>>::deserialize(from)?;
    Ok(list.map(|list| list.0).unwrap_or_default())
}

struct Bounded<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_ENTRIES} entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            if entries.len() == MAX_ENTRIES {
                return Err(A::Error::custom(format!("more than {MAX_ENTRIES} entries")));
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_message_has_its_fields_and_what_it_does_not_know_is_passed_over() {
        let parse = |message: serde_json::Value| Message::parse(message.to_string().as_bytes());
        assert_eq!(
            parse(json!({"type": "output", "text": "a", "more": [1]})).unwrap(),
            Message::Output {
                text: "a".to_owned()
            }
        );
        let select = json!({"type": "multi_select", "id": "i", "message": "m", "options": ["a"]});
        assert!(parse(select).is_ok());
        assert!(parse(json!({"type": "progress", "done": true})).is_ok());
        assert!(parse(json!({"type": "progress", "current": null})).is_ok());
        for wrong in [
            json!({"type": "output", "data": "a"}),
            json!({"type": "shout", "text": "a"}),
            json!({"type": "select", "id": "i", "message": "m", "options": ["a"], "default": -1}),
            json!({"type": "log", "level": 1, "message": "m"}),
            json!({"text": "a"}),
            json!([]),
            json!(["output", "a"]),
            json!(null),
        ] {
            assert!(parse(wrong.clone()).is_err(), "{wrong}");
        }
        assert!(Message::parse(b"not json").is_err());
        assert!(Message::parse("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn no_list_takes_memory_without_end() {
        let of = |entries: usize| {
            let keys = vec!["k"; entries];
            let message = json!({"type": "metadata", "id": "i", "keys": keys});
            Message::parse(message.to_string().as_bytes())
        };
        assert!(of(MAX_ENTRIES).is_ok());
        assert!(of(MAX_ENTRIES + 1).unwrap_err().contains("1000 entries"));
    }
}
