//! `portcullis:cli/prompt`.

use portcullis_policy::GuestError;
use serde_json::Value;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, LinkerInstance, Lower};

use crate::capability::prompt::{Asked, Wanted};
use crate::state::State;

pub(crate) const PROMPT: &str = "portcullis:cli/prompt@0.1.0";

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
enum Error {
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
    link_lines(&mut instance)?;
    link_choices(&mut instance)
}

fn link_lines(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap_async(
        "text",
        |store: StoreContextMut<'_, State>, (id, message, default): Text| {
            Box::new(async move {
                let wanted = Wanted::Text {
                    default,
                    validate: None,
                };
                let answer = ask(store, id, message, wanted).await;
                Ok((answer.and_then(|answer| match answer {
                    Value::String(text) => Ok(text),
                    _ => Err(Error::Nobody),
                }),))
            })
        },
    )?;
    instance.func_wrap_async(
        "confirm",
        |store: StoreContextMut<'_, State>, (id, message, default): Confirm| {
            Box::new(async move {
                let answer = ask(store, id, message, Wanted::Confirm { default }).await;
                Ok((answer.and_then(|answer| answer.as_bool().ok_or(Error::Nobody)),))
            })
        },
    )
}

fn link_choices(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap_async(
        "choose",
        |store: StoreContextMut<'_, State>, asked: Choose| {
            Box::new(async move { Ok((choose(store, asked).await,)) })
        },
    )?;
    instance.func_wrap_async(
        "choose-some",
        |store: StoreContextMut<'_, State>, asked: ChooseSome| {
            Box::new(async move { Ok((choose_some(store, asked).await,)) })
        },
    )
}

async fn choose(
    store: StoreContextMut<'_, State>,
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
    place(&options, &ask(store, id, message, wanted).await?)
}

async fn choose_some(
    store: StoreContextMut<'_, State>,
    (id, message, options, defaults): ChooseSome,
) -> Result<Vec<u32>, Error> {
    let defaults = defaults.iter().map(|&place| among(&options, place));
    let wanted = Wanted::Some {
        options: options.clone(),
        defaults: defaults.collect::<Result<_, _>>()?,
    };
    let answer = ask(store, id, message, wanted).await?;
    let chosen = answer.as_array().ok_or(Error::Nobody)?;
    chosen.iter().map(|one| place(&options, one)).collect()
}

async fn ask(
    mut store: StoreContextMut<'_, State>,
    id: String,
    message: String,
    wanted: Wanted,
) -> Result<Value, Error> {
    let asked = Asked {
        id,
        message,
        wanted,
    };
    let answer = store.data_mut().gate.prompt(&asked).await;
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
