//! `wasi:keyvalue@0.2.0-draft2`: `store`, `atomics` and `batch`, over the same state as `portcullis:cli/kv`.
//!
//! There is one bucket, by the names `""` and `default`; any other is no store. A handle for a swap knows a digest of
//! what it saw, so that many take no room: a value that was changed and changed back is taken for unchanged. The calls of
//! a batch are as many calls of one key each, and count as such.

use portcullis_kv::{Expected, MAX_PAGE};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, LinkerInstance, Lower, Resource, ResourceType};

use crate::capability::kv::KvFailure;
use crate::state::State;

pub(crate) const STORE: &str = "wasi:keyvalue/store@0.2.0-draft2";
pub(crate) const ATOMICS: &str = "wasi:keyvalue/atomics@0.2.0-draft2";
pub(crate) const BATCH: &str = "wasi:keyvalue/batch@0.2.0-draft2";

/// The names of the one bucket.
const NAMES: [&str; 2] = ["", "default"];

struct Bucket;

/// What was seen when a swap was begun.
struct Cas {
    key: String,
    seen: Expected,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

impl From<KvFailure> for Error {
    fn from(failure: KvFailure) -> Self {
        let why = match failure {
            KvFailure::NotGranted => return Self::AccessDenied,
            KvFailure::TooLarge => "too large",
            KvFailure::Full => "full",
            KvFailure::NotANumber => "not a number",
            KvFailure::Rate => "limit",
            KvFailure::Io | KvFailure::Closed => "io",
        };
        Self::Other(why.to_owned())
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct KeyResponse {
    keys: Vec<String>,
    cursor: Option<String>,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
enum CasError {
    #[component(name = "store-error")]
    Store(Error),
    #[component(name = "cas-failed")]
    Failed(Resource<Cas>),
}

type Context<'a> = StoreContextMut<'a, State>;

/// Makes the interfaces known to the linker.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    store(linker)?;
    let mut instance = linker.instance(ATOMICS)?;
    bucket(&mut instance)?;
    cas(&mut instance)?;
    atomics(&mut instance)?;
    batch(linker)
}

fn store(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(STORE)?;
    bucket(&mut instance)?;
    instance.func_wrap("open", |mut store: Context<'_>, (name,): (String,)| {
        let opened = if NAMES.contains(&&*name) {
            Ok(store.data_mut().table.push(Bucket)?)
        } else {
            Err(Error::NoSuchStore)
        };
        Ok((opened,))
    })?;
    type Of = (Resource<Bucket>, String);
    instance.func_wrap_async(
        "[method]bucket.get",
        |mut store: Context<'_>, (_, key): Of| {
            Box::new(async move {
                let value = store.data_mut().gate.kv_get(key).await;
                Ok((value.map_err(Error::from),))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]bucket.set",
        |mut store: Context<'_>, (_, key, value): (Resource<Bucket>, String, Vec<u8>)| {
            Box::new(async move {
                let set = store.data_mut().gate.kv_set(key, value).await;
                Ok((set.map_err(Error::from),))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]bucket.delete",
        |mut store: Context<'_>, (_, key): Of| {
            Box::new(async move {
                let deleted = store.data_mut().gate.kv_delete(key).await;
                Ok((deleted.map(drop).map_err(Error::from),))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]bucket.exists",
        |mut store: Context<'_>, (_, key): Of| {
            Box::new(async move {
                let value = store.data_mut().gate.kv_get(key).await;
                Ok((value.map(|value| value.is_some()).map_err(Error::from),))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]bucket.list-keys",
        |mut store: Context<'_>, (_, cursor): (Resource<Bucket>, Option<String>)| {
            Box::new(async move {
                let gate = &mut store.data_mut().gate;
                let listed = gate.kv_list(String::new(), cursor, MAX_PAGE).await;
                let response = listed.map(|page| KeyResponse {
                    cursor: page.keys.last().filter(|_| page.more).cloned(),
                    keys: page.keys,
                });
                Ok((response.map_err(Error::from),))
            })
        },
    )
}

/// All three interfaces have it. Where it is left to the linker, as for imports that are supplied late, it would be another.
fn bucket(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    let bucket = ResourceType::host::<Bucket>();
    instance.resource("bucket", bucket, |mut store: Context<'_>, rep| {
        let own = Resource::<Bucket>::new_own(rep);
        store.data_mut().table.delete(own).map(drop)?;
        Ok(())
    })
}

fn cas(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    let cas = ResourceType::host::<Cas>();
    instance.resource("cas", cas, |mut store: Context<'_>, rep| {
        let own = Resource::<Cas>::new_own(rep);
        store.data_mut().table.delete(own).map(drop)?;
        Ok(())
    })?;
    instance.func_wrap_async(
        "[static]cas.new",
        |mut store: Context<'_>, (_, key): (Resource<Bucket>, String)| {
            Box::new(async move { Ok((begin(store.data_mut(), key).await?,)) })
        },
    )?;
    instance.func_wrap_async(
        "[method]cas.current",
        |mut store: Context<'_>, (cas,): (Resource<Cas>,)| {
            Box::new(async move {
                let state = store.data_mut();
                let key = state.table.get(&cas)?.key.clone();
                let value = match state.gate.kv_get(key).await {
                    Ok(value) => value,
                    Err(failure) => return Ok((Err(Error::from(failure)),)),
                };
                // What the guest swaps on is what it saw last.
                state.table.get_mut(&cas)?.seen = Expected::digest(value.as_deref());
                Ok((Ok(value),))
            })
        },
    )
}

/// A handle that knows what a key has now.
async fn begin(state: &mut State, key: String) -> wasmtime::Result<Result<Resource<Cas>, Error>> {
    let seen = match state.gate.kv_get(key.clone()).await {
        Ok(value) => Expected::digest(value.as_deref()),
        Err(failure) => return Ok(Err(failure.into())),
    };
    Ok(Ok(state.table.push(Cas { key, seen })?))
}

fn atomics(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap_async(
        "increment",
        |mut store: Context<'_>, (_, key, delta): (Resource<Bucket>, String, i64)| {
            Box::new(async move {
                let sum = store.data_mut().gate.kv_increment(key, delta).await;
                Ok((sum.map_err(Error::from),))
            })
        },
    )?;
    instance.func_wrap_async(
        "swap",
        |mut store: Context<'_>, (cas, value): (Resource<Cas>, Vec<u8>)| {
            Box::new(async move {
                let state = store.data_mut();
                let Cas { key, seen } = state.table.delete(cas)?;
                let swapped = match state.gate.kv_swap(key.clone(), seen, value).await {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(match begin(state, key).await? {
                        Ok(again) => CasError::Failed(again),
                        Err(error) => CasError::Store(error),
                    }),
                    Err(failure) => Err(CasError::Store(failure.into())),
                };
                Ok((swapped,))
            })
        },
    )
}

fn batch(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(BATCH)?;
    bucket(&mut instance)?;
    type Keys = (Resource<Bucket>, Vec<String>);
    type Entries = (Resource<Bucket>, Vec<(String, Vec<u8>)>);
    instance.func_wrap_async("get-many", |mut store: Context<'_>, (_, keys): Keys| {
        Box::new(async move { Ok((get_many(store.data_mut(), keys).await,)) })
    })?;
    instance.func_wrap_async(
        "set-many",
        |mut store: Context<'_>, (_, entries): Entries| {
            Box::new(async move {
                for (key, value) in entries {
                    if let Err(failure) = store.data_mut().gate.kv_set(key, value).await {
                        return Ok((Err(Error::from(failure)),));
                    }
                }
                Ok((Ok(()),))
            })
        },
    )?;
    instance.func_wrap_async("delete-many", |mut store: Context<'_>, (_, keys): Keys| {
        Box::new(async move {
            for key in keys {
                if let Err(failure) = store.data_mut().gate.kv_delete(key).await {
                    return Ok((Err(Error::from(failure)),));
                }
            }
            Ok((Ok(()),))
        })
    })
}

/// Bytes of values that a batch gives at once, whatever it asks for: one key may be named a thousand times.
const MANY: usize = 32 * 1024 * 1024;

type Found = Vec<(String, Option<Vec<u8>>)>;

async fn get_many(state: &mut State, keys: Vec<String>) -> Result<Found, Error> {
    let mut found = Vec::new();
    let mut bytes = 0;
    for key in keys {
        let value = state.gate.kv_get(key.clone()).await?;
        bytes += value.as_ref().map_or(0, Vec::len);
        if bytes > MANY {
            return Err(KvFailure::TooLarge.into());
        }
        found.push((key, value));
    }
    Ok(found)
}
