//! `portcullis:cli/kv`.

use portcullis_kv::Expected;
use serde::Serialize;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower};

use crate::capability::kv::KvFailure;
use crate::state::State;

pub(crate) const KV: &str = "portcullis:cli/kv@0.1.0";

#[derive(ComponentType, Lower, Clone, Copy, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Error {
    #[component(name = "denied")]
    Denied,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "full")]
    Full,
    #[component(name = "limit")]
    Limit,
    #[component(name = "io")]
    Io,
}

impl From<KvFailure> for Error {
    fn from(failure: KvFailure) -> Self {
        match failure {
            KvFailure::NotGranted => Self::Denied,
            KvFailure::TooLarge => Self::TooLarge,
            KvFailure::Full => Self::Full,
            KvFailure::Rate => Self::Limit,
            KvFailure::NotANumber | KvFailure::Io | KvFailure::Closed => Self::Io,
        }
    }
}

#[derive(ComponentType, Lower, Serialize)]
#[component(record)]
pub(crate) struct Page {
    keys: Vec<String>,
    more: bool,
}

impl From<portcullis_kv::Page> for Page {
    fn from(page: portcullis_kv::Page) -> Self {
        Self {
            keys: page.keys,
            more: page.more,
        }
    }
}

/// Makes the interface known to the linker.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut kv = linker.instance(KV)?;
    type Store<'a> = StoreContextMut<'a, State>;
    kv.func_wrap_async("get", |mut store: Store<'_>, (key,): (String,)| {
        Box::new(async move {
            let value = store.data_mut().gate.kv_get(key).await;
            Ok((value.map_err(Error::from),))
        })
    })?;
    kv.func_wrap_async(
        "set",
        |mut store: Store<'_>, (key, value): (String, Vec<u8>)| {
            Box::new(async move {
                let set = store.data_mut().gate.kv_set(key, value).await;
                Ok((set.map_err(Error::from),))
            })
        },
    )?;
    kv.func_wrap_async("delete", |mut store: Store<'_>, (key,): (String,)| {
        Box::new(async move {
            let deleted = store.data_mut().gate.kv_delete(key).await;
            Ok((deleted.map_err(Error::from),))
        })
    })?;
    type ListParams = (String, Option<String>, u32);
    kv.func_wrap_async(
        "list",
        |mut store: Store<'_>, (prefix, after, most): ListParams| {
            Box::new(async move {
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                let listed = store.data_mut().gate.kv_list(prefix, after, most).await;
                Ok((listed.map(Page::from).map_err(Error::from),))
            })
        },
    )?;
    type SwapParams = (String, Option<Vec<u8>>, Vec<u8>);
    kv.func_wrap_async(
        "compare-and-swap",
        |mut store: Store<'_>, (key, expected, value): SwapParams| {
            Box::new(async move {
                let expected = expected.map_or(Expected::Nothing, Expected::Value);
                let swapped = store.data_mut().gate.kv_swap(key, expected, value).await;
                Ok((swapped.map_err(Error::from),))
            })
        },
    )
}
