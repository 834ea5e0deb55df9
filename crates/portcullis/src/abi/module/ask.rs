//! A function that takes one request in JSON and gives one answer.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use wasmtime::{Caller, Linker, Result};

use super::answer::encode;
use super::{Guest, MODULE, malformed_request, wire};
use crate::abi::packed::Packed;
use crate::state::State;

/// What is asked of one function.
pub(super) trait Ask: DeserializeOwned + Send + 'static {
    /// The name that guests import it by.
    const NAME: &'static str;
    /// What it is answered with.
    type Answer: Serialize + Send;
    /// Why it is not: a kind alone.
    type Error: Serialize + Send;

    /// Asks the gate.
    fn act(
        self,
        state: &mut State,
    ) -> impl Future<Output = std::result::Result<Self::Answer, Self::Error>> + Send;
}

/// Makes a function known to the linker.
pub(super) fn link<A: Ask>(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap_async(MODULE, A::NAME, |mut caller, (request,): (i64,)| {
        Box::new(async move { call::<A>(&mut caller, Packed::from_wasm(request)).await })
    })?;
    Ok(())
}

async fn call<A: Ask>(caller: &mut Caller<'_, State>, request: Packed) -> Result<i64> {
    let Some(guest) = Guest::of(caller)? else {
        return Ok(0);
    };
    let asked = wire::request::<A>(request.bytes(&guest.memory, caller)?);
    let answer = match asked {
        Ok(asked) => asked.act(caller.data_mut()).await.map_err(Why::Refused),
        Err(malformed) => {
            malformed_request(caller.data_mut(), A::NAME, &malformed);
            Err(Why::Malformed(Malformed::Invalid))
        }
    };
    // What the answer was made of is not needed while the guest makes room for it.
    let answer = encode(answer);
    guest.answer(caller, &answer).await
}

#[derive(Serialize)]
#[serde(untagged)]
enum Why<E> {
    Malformed(Malformed),
    Refused(E),
}

/// What every function says to what is no request, whatever else it can say.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Malformed {
    Invalid,
}

/// Bytes, which stand in JSON as base64.
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(&Base64Display::new(&self.0, &STANDARD))
    }
}
