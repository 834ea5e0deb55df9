//! `portcullis:cli/prompt`.

use portcullis_policy::GuestError;
use serde::Serialize;
use serde_json::Value;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower};

use crate::capability::prompt::{Asked, Wanted};
use crate::state::State;

pub(crate) const PROMPT: &str = "portcullis:cli/prompt@0.1.0";

#[derive(ComponentType, Lower, Clone, Copy, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Error {
    #[component(name = "nobody")]
    Nobody,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "limit")]
    Limit,
    #[component(name = "io")]
    Io,
}

type Text = (String, String, Option<String>);
type Confirm = (String, String, bool);
type Choose = (String, String, Vec<String>, Option<u32>);
type ChooseSome = (String, String, Vec<String>, Vec<u32>);

/// Makes the interface known to the linker.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(PROMPT)?;
    type Store<'a> = StoreContextMut<'a, State>;
    instance.func_wrap_async("text", |mut store: Store<'_>, asked: Text| {
        Box::new(async move { Ok((text(store.data_mut(), asked).await,)) })
    })?;
    instance.func_wrap_async("confirm", |mut store: Store<'_>, asked: Confirm| {
        Box::new(async move { Ok((confirm(store.data_mut(), asked).await,)) })
    })?;
    instance.func_wrap_async("choose", |mut store: Store<'_>, asked: Choose| {
        Box::new(async move { Ok((choose(store.data_mut(), asked).await,)) })
    })?;
    instance.func_wrap_async("choose-some", |mut store: Store<'_>, asked: ChooseSome| {
        Box::new(async move { Ok((choose_some(store.data_mut(), asked).await,)) })
    })
}

pub(crate) async fn text(state: &mut State, (id, message, default): Text) -> Result<String, Error> {
    let wanted = Wanted::Text {
        default,
        validate: None,
    };
    match ask(state, id, message, wanted).await? {
        Value::String(text) => Ok(text),
        _ => Err(Error::Nobody),
    }
}

pub(crate) async fn confirm(
    state: &mut State,
    (id, message, default): Confirm,
) -> Result<bool, Error> {
    let answer = ask(state, id, message, Wanted::Confirm { default }).await?;
    answer.as_bool().ok_or(Error::Nobody)
}

pub(crate) async fn choose(
    state: &mut State,
    (id, message, options, default): Choose,
) -> Result<u32, Error> {
    if options.is_empty() {
        return Err(Error::Invalid);
    }
    let default = default.map(|place| among(&options, place)).transpose()?;
    let wanted = Wanted::One {
        options: options.clone(),
        default,
        unasked: default,
    };
    place(&options, &ask(state, id, message, wanted).await?)
}

pub(crate) async fn choose_some(
    state: &mut State,
    (id, message, options, defaults): ChooseSome,
) -> Result<Vec<u32>, Error> {
    let defaults = defaults.iter().map(|&place| among(&options, place));
    let wanted = Wanted::Some {
        options: options.clone(),
        defaults: defaults.collect::<Result<_, _>>()?,
    };
    let answer = ask(state, id, message, wanted).await?;
    let chosen = answer.as_array().ok_or(Error::Nobody)?;
    chosen.iter().map(|one| place(&options, one)).collect()
}

async fn ask(
    state: &mut State,
    id: String,
    message: String,
    wanted: Wanted,
) -> Result<Value, Error> {
    let asked = Asked {
        id,
        message,
        wanted,
    };
    let answer = state.gate.prompt(&asked).await;
    answer.map_err(|refused| match refused.guest {
        GuestError::Limit => Error::Limit,
        GuestError::Denied
        | GuestError::NotFound
        | GuestError::Invalid
        | GuestError::OutputLimit
        | GuestError::MemoryLimit
        | GuestError::TimedOut
        | GuestError::CannotStart => Error::Io,
    })
}

/// A place that there is.
fn among(options: &[String], place: u32) -> Result<usize, Error> {
    let place = usize::try_from(place).map_err(|_| Error::Invalid)?;
    Some(place)
        .filter(|&place| place < options.len())
        .ok_or(Error::Invalid)
}

/// Where an option stands that was chosen by its text.
fn place(options: &[String], chosen: &Value) -> Result<u32, Error> {
    let found = options.iter().position(|option| chosen == option);
    found
        .and_then(|place| u32::try_from(place).ok())
        .ok_or(Error::Nobody)
}
