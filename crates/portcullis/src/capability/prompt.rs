//! `prompt`: questions of a plugin to the person at the terminal. An answer is text, and grants nothing.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use portcullis_audit::{Effect, Masked};
use portcullis_policy::{Capability, PluginId};
use serde_json::Value;

use crate::gate::{Gate, Refused};

/// How often an answer that does not fit is asked for again.
const TRIES: usize = 3;

/// Asks a person for a plugin.
///
/// A host asks one question at a time, and none while a person is asked for [consent](crate::Consent). No clock runs while
/// a question is open. What is typed goes to the plugin and nowhere else.
///
/// An implementation has to show whose question it is with each line of it: a plugin's question must not be taken for one
/// of the host's.
pub trait Prompter: fmt::Debug + Send + Sync {
    /// Asks, and waits for what is answered.
    ///
    /// # Cancellation
    /// The future is dropped when the call is: the question is then withdrawn.
    fn ask<'a>(&'a self, prompt: Prompt<'a>) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;
}

/// A question of a plugin. Nothing of it is filtered for terminals.
#[derive(Clone, Copy, Debug)]
pub struct Prompt<'a> {
    /// Who asks.
    pub plugin: &'a PluginId,
    /// How the plugin calls the question.
    pub id: &'a str,
    /// The question.
    pub message: &'a str,
    /// What is answered.
    pub kind: PromptKind,
    /// What there is to choose from, where something is to be chosen. They are counted from 1.
    pub options: &'a [String],
    /// What an empty answer means, in words, if it means anything.
    pub default: Option<&'a str>,
    /// Why the last answer was none, if there was one.
    pub wrong: Option<&'a str>,
}

/// What a question is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptKind {
    /// Any text.
    Text,
    /// Yes or no.
    Confirm,
    /// One of the options, by number or text.
    One,
    /// Some of the options, by numbers or texts with commas between them.
    Some,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A line that was typed; one that does not fit is asked for again.
    Typed(String),
    /// A line that was given before, which is not asked for again.
    Given(String),
    /// Nobody could be asked, for this reason: the plugin gets the default.
    Nobody(String),
}

/// A question as a plugin asked it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) message: String,
    pub(crate) wanted: Wanted,
}

/// What a plugin wants for an answer.
#[derive(Debug)]
pub(crate) enum Wanted {
    Text {
        default: Option<String>,
        /// `non_empty`, `integer` or `url`; others are no checks.
        validate: Option<String>,
    },
    Confirm {
        default: bool,
    },
    One {
        options: Vec<String>,
        /// What an empty line means.
        default: Option<usize>,
        /// The answer where nobody can be asked.
        unasked: Option<usize>,
    },
    Some {
        options: Vec<String>,
        defaults: Vec<usize>,
    },
}

impl Gate {
    /// Has a person asked, and gives the answer in the form of the question: a text, a truth, or a list of texts; `null`
    /// where there is none.
    ///
    /// # Errors
    /// It is asked too often, or the trail cannot be written.
    pub(crate) async fn prompt(&mut self, asked: &Asked) -> Result<Value, Refused> {
        let used = self.begin(Capability::Prompt, "ask", Masked::new(&asked.id))?;
        let answer = match self.converse(asked).await {
            Ok(answer) => answer,
            Err(why) => {
                let default = asked.wanted.unasked();
                if default.is_null() {
                    let plugin = &self.grants().plugin;
                    let id = Masked::new(&asked.id).as_str().escape_debug().to_string();
                    self.activity.failure(format!(
                        "plugin `{plugin}` has no answer to its question `{id}`: {why}; `--answer {id}=…` gives one"
                    ));
                }
                default
            }
        };
        let effect = Effect {
            bytes_in: answer.to_string().len() as u64,
            failed: answer.is_null().then(|| Masked::new("nobody answered")),
            ..Effect::default()
        };
        self.told(&used, None, effect)?;
        Ok(answer)
    }

    /// # Errors
    /// Why there is no answer.
    async fn converse(&self, asked: &Asked) -> Result<Value, String> {
        let Some(prompter) = self.parts().prompter.clone() else {
            return Err("this application asks nobody".to_owned());
        };
        // Waiting for one's turn is waiting for the person too.
        let _stopped = self.clock.stop();
        let _turn = self.parts().asker.turn.lock().await;
        let default = asked.wanted.default_words();
        let mut wrong = None;
        for _ in 0..TRIES {
            let reply = self.ask_for(&*prompter, asked, default.as_deref(), wrong.as_deref());
            match reply.await {
                Reply::Nobody(why) => return Err(why),
                Reply::Given(line) => {
                    let read = asked.wanted.read(line.trim());
                    return read.map_err(|why| format!("the answer that was given is none: {why}"));
                }
                Reply::Typed(line) => match asked.wanted.read(line.trim()) {
                    Ok(answer) => return Ok(answer),
                    Err(why) => wrong = Some(why),
                },
            }
        }
        Err(format!("what was typed was no answer {TRIES} times"))
    }

    async fn ask_for(
        &self,
        prompter: &dyn Prompter,
        asked: &Asked,
        default: Option<&str>,
        wrong: Option<&str>,
    ) -> Reply {
        let grants = self.grants();
        let (kind, options) = match &asked.wanted {
            Wanted::Text { .. } => (PromptKind::Text, &[][..]),
            Wanted::Confirm { .. } => (PromptKind::Confirm, &[][..]),
            Wanted::One { options, .. } => (PromptKind::One, &options[..]),
            Wanted::Some { options, .. } => (PromptKind::Some, &options[..]),
        };
        let prompt = Prompt {
            plugin: &grants.plugin,
            id: &asked.id,
            message: &asked.message,
            kind,
            options,
            default,
            wrong,
        };
        prompter.ask(prompt).await
    }
}

impl Wanted {
    /// Reads a line.
    ///
    /// # Errors
    /// Why it is no answer, as a clause.
    fn read(&self, line: &str) -> Result<Value, String> {
        match self {
            Self::Text {
                default: Some(default),
                ..
            } if line.is_empty() => Ok(default.clone().into()),
            Self::Text { validate, .. } => {
                valid(line, validate.as_deref()).map(|()| line.to_owned().into())
            }
            Self::Confirm { default } => match line.to_ascii_lowercase().as_str() {
                "" => Ok((*default).into()),
                "y" | "yes" | "true" => Ok(true.into()),
                "n" | "no" | "false" => Ok(false.into()),
                _ => Err("answer y or n".to_owned()),
            },
            Self::One {
                options, default, ..
            } => match default.and_then(|place| options.get(place)) {
                Some(default) if line.is_empty() => Ok(default.clone().into()),
                _ => chosen(options, line).map(|option| option.to_owned().into()),
            },
            Self::Some { options, defaults } if line.is_empty() => Ok(some(options, defaults)),
            Self::Some { options, .. } => line
                .split(',')
                .map(|part| {
                    chosen(options, part.trim()).map(|option| Value::from(option.to_owned()))
                })
                .collect(),
        }
    }

    /// The answer where nobody can be asked.
    fn unasked(&self) -> Value {
        match self {
            Self::Text { default, .. } => default.clone().into(),
            Self::Confirm { default } => (*default).into(),
            Self::One {
                options, unasked, ..
            } => unasked.and_then(|place| options.get(place)).cloned().into(),
            Self::Some { options, defaults } => some(options, defaults),
        }
    }

    fn default_words(&self) -> Option<String> {
        match self {
            Self::Text { default, .. } => default.clone(),
            Self::Confirm { default } => Some(if *default { "yes" } else { "no" }.to_owned()),
            Self::One {
                options, default, ..
            } => options.get((*default)?).cloned(),
            Self::Some { options, defaults } => {
                let words = defaults.iter().filter_map(|place| options.get(*place));
                let words: Vec<_> = words.map(String::as_str).collect();
                Some(words.join(", "))
            }
        }
    }
}

fn some(options: &[String], places: &[usize]) -> Value {
    let chosen = places.iter().filter_map(|place| options.get(*place));
    chosen.cloned().map(Value::from).collect()
}

/// An option by its text, or its number counted from 1.
fn chosen<'a>(options: &'a [String], line: &str) -> Result<&'a str, String> {
    let by_text = options.iter().find(|option| *option == line);
    let by_number = || {
        let place = line.parse::<usize>().ok()?.checked_sub(1)?;
        options.get(place)
    };
    let found = by_text.or_else(by_number);
    found.map(String::as_str).ok_or_else(|| {
        format!(
            "answer a number from 1 to {}, or an option as it is written",
            options.len()
        )
    })
}

fn valid(line: &str, validator: Option<&str>) -> Result<(), String> {
    let (fits, what) = match validator {
        Some("non_empty") => (!line.is_empty(), "it may not be empty"),
        Some("integer") => (line.parse::<i64>().is_ok(), "it has to be a whole number"),
        Some("url") => (
            line.starts_with("http://") || line.starts_with("https://"),
            "it has to begin with http:// or https://",
        ),
        // Whether a path is there the plugin learns from its own directories.
        Some(_) | None => (true, ""),
    };
    if fits { Ok(()) } else { Err(what.to_owned()) }
}

/// Whom a host asks for its plugins.
pub(crate) type Whom = Option<Arc<dyn Prompter>>;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn a_line_is_read_in_the_form_of_the_question() {
        let text = |default: Option<&str>, validate: Option<&str>| Wanted::Text {
            default: default.map(str::to_owned),
            validate: validate.map(str::to_owned),
        };
        let options = || texts(&["a", "b", "3"]);
        let one = |default| Wanted::One {
            options: options(),
            default,
            unasked: None,
        };
        let many = Wanted::Some {
            options: options(),
            defaults: vec![1, 9],
        };
        for (wanted, line, answer) in [
            (&text(None, None), "x", Some(json!("x"))),
            (&text(Some("d"), Some("integer")), "", Some(json!("d"))),
            (&text(None, Some("integer")), "-7", Some(json!("-7"))),
            (&text(None, Some("integer")), "x", None),
            (&text(None, Some("non_empty")), "", None),
            (&text(None, Some("url")), "ftp://x", None),
            (
                &text(None, Some("path_exists")),
                "/etc",
                Some(json!("/etc")),
            ),
            (&Wanted::Confirm { default: true }, "", Some(json!(true))),
            (&Wanted::Confirm { default: true }, "No", Some(json!(false))),
            (&Wanted::Confirm { default: true }, "maybe", None),
            (&one(None), "2", Some(json!("b"))),
            (&one(None), "3", Some(json!("3"))),
            (&one(None), "", None),
            (&one(Some(0)), "", Some(json!("a"))),
            (&one(Some(0)), "4", None),
            (&one(Some(0)), "0", None),
            (&many, "", Some(json!(["b"]))),
            (&many, "1, b", Some(json!(["a", "b"]))),
            (&many, "1,x", None),
        ] {
            assert_eq!(wanted.read(line).ok(), answer, "{wanted:?} {line}");
        }
    }

    #[test]
    fn where_nobody_is_asked_the_default_is_the_answer() {
        let options = || texts(&["a", "b"]);
        let one = |unasked| Wanted::One {
            options: options(),
            default: None,
            unasked,
        };
        assert_eq!(one(Some(1)).unasked(), json!("b"));
        assert_eq!(one(Some(2)).unasked(), Value::Null);
        assert_eq!(one(None).unasked(), Value::Null);
        let text = Wanted::Text {
            default: None,
            validate: None,
        };
        assert_eq!(text.unasked(), Value::Null);
        let some = Wanted::Some {
            options: options(),
            defaults: vec![7, 1],
        };
        assert_eq!(some.unasked(), json!(["b"]));
    }
}
