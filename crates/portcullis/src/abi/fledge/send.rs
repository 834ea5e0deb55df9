//! `send`: what becomes of a message. One that cannot be acted on is warned about, and never an error.

use serde_json::{Value, json};
use wasmtime::{Caller, Result};

use super::exec::{self, Answer};
use super::message::Message;
use super::{MAX_MESSAGE, answer, memory, place, store, unsigned};
use crate::capability::prompt::{Asked, Wanted};
use crate::state::State;

pub(super) async fn send(caller: &mut Caller<'_, State>, at: i32, length: i32) -> Result<()> {
    let memory = memory(caller)?;
    let data = memory.data(&*caller);
    let place = place(at, unsigned(length)?, data.len())?;
    let message = if place.len() > MAX_MESSAGE {
        Err(format!(
            "it has {} bytes, more than {MAX_MESSAGE}",
            place.len()
        ))
    } else {
        Message::parse(&data[place])
    };
    let state = caller.data_mut();
    match message {
        Ok(message) => act(state, message).await,
        Err(why) => {
            warn(state, &format!("malformed message (dropped): {why}")).await;
            Ok(())
        }
    }
}

async fn act(state: &mut State, message: Message) -> Result<()> {
    match message {
        Message::Output { text } => state.fledge().said.output(&text).await,
        Message::Log { level, message } => line(state, &level, &message).await,
        Message::Progress {
            message: Some(message),
            current,
            total,
            done,
        } => line(state, "progress", &progress(&message, current, total, done)).await,
        // Without words there is nothing to show.
        Message::Progress { message: None, .. } => {}
        Message::Store { key, value } => keep(state, key, value).await,
        asking => {
            if state.fledge().responses {
                let (id, value) = respond(state, asking).await;
                let response = json!({ "type": "response", "id": id, "value": value });
                let response = serde_json::to_vec(&response)?;
                state.fledge().slot.put(response);
            } else if is_question(&asking) {
                let why = "interactive UI (prompt/confirm/select) needs `responses = true` among the \
                           `capabilities` of its manifest; nobody was asked";
                warn(state, why).await;
            }
        }
    }
    Ok(())
}

fn is_question(message: &Message) -> bool {
    matches!(
        message,
        Message::Prompt { .. }
            | Message::Confirm { .. }
            | Message::Select { .. }
            | Message::MultiSelect { .. }
    )
}

fn progress(message: &str, current: Option<u64>, total: Option<u64>, done: Option<bool>) -> String {
    let mut text = message.to_owned();
    if let (Some(current), Some(total)) = (current, total) {
        text.push_str(&format!(" ({current}/{total})"));
    }
    if done == Some(true) {
        text.push_str(" done");
    }
    text
}

async fn keep(state: &mut State, key: String, value: String) {
    if state.gate.grants().kv.is_none() {
        return warn(state, "store not granted — message dropped").await;
    }
    if let Err(why) = store::keep(state, key, value).await {
        warn(state, &format!("store rejected: {why}")).await;
    }
}

/// The answer to a message that has an `id`.
async fn respond(state: &mut State, message: Message) -> (String, Value) {
    match message {
        Message::Prompt {
            id,
            message,
            default,
            validate,
        } => ask(state, id, message, Wanted::Text { default, validate }).await,
        Message::Confirm {
            id,
            message,
            default,
        } => {
            let default = default.unwrap_or_default();
            ask(state, id, message, Wanted::Confirm { default }).await
        }
        Message::Select {
            id,
            message,
            options,
            default,
        } => {
            let default = default.and_then(|place| usize::try_from(place).ok());
            let wanted = Wanted::One {
                options,
                default,
                // As fledge has it.
                unasked: default.or(Some(0)),
            };
            ask(state, id, message, wanted).await
        }
        Message::MultiSelect {
            id,
            message,
            options,
            defaults,
        } => {
            let defaults = defaults.into_iter();
            let defaults = defaults.filter_map(|place| usize::try_from(place).ok());
            let defaults = defaults.collect();
            ask(state, id, message, Wanted::Some { options, defaults }).await
        }
        Message::Load { id, key } => {
            let granted = state.gate.grants().kv.is_some();
            let value = if granted {
                store::value(state, key).await.unwrap_or_default()
            } else {
                None
            };
            (id, json!(value))
        }
        Message::Exec {
            id,
            command,
            cwd,
            timeout,
        } => {
            let answer = if state.gate.grants().exec.is_some() {
                let ask = exec::Ask {
                    command,
                    cwd,
                    timeout,
                };
                exec::run(state, ask).await
            } else {
                Answer::failed(126, "exec capability not granted")
            };
            (id, json!(answer))
        }
        Message::Metadata { id, keys } => {
            let granted = !state.gate.grants().metadata.is_empty();
            let keys = if granted { keys } else { Vec::new() };
            (id, answer::facts(state, keys).await)
        }
        Message::Output { .. }
        | Message::Log { .. }
        | Message::Progress { .. }
        | Message::Store { .. } => unreachable!("they have no `id`"),
    }
}

async fn ask(state: &mut State, id: String, message: String, wanted: Wanted) -> (String, Value) {
    let asked = Asked {
        id,
        message,
        wanted,
    };
    let value = state.gate.prompt(&asked).await.unwrap_or_default();
    (asked.id, value)
}

async fn warn(state: &mut State, message: &str) {
    line(state, "warning", message).await;
}

async fn line(state: &mut State, level: &str, message: &str) {
    let rates = state.gate.rates();
    state.fledge().said.line(&rates, level, message).await;
}
