//! `kv_*`: what the plugin keeps, as `portcullis:cli/kv`.

use portcullis_kv::Expected;

use super::ask::{Ask, Bytes};
use super::wire::kv::{Delete, Get, List, Set, Swap};
use crate::abi::kv::{Error, Page};
use crate::state::State;

impl Ask for Get {
    const NAME: &'static str = "kv_get";
    type Answer = Option<Bytes>;
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<Option<Bytes>, Error> {
        Ok(state.gate.kv_get(self.key).await?.map(Bytes))
    }
}

impl Ask for Set {
    const NAME: &'static str = "kv_set";
    type Answer = ();
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<(), Error> {
        Ok(state.gate.kv_set(self.key, self.value.0).await?)
    }
}

impl Ask for Delete {
    const NAME: &'static str = "kv_delete";
    type Answer = bool;
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<bool, Error> {
        Ok(state.gate.kv_delete(self.key).await?)
    }
}

impl Ask for List {
    const NAME: &'static str = "kv_list";
    type Answer = Page;
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<Page, Error> {
        let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let listed = state.gate.kv_list(self.prefix, self.after, most).await;
        Ok(listed?.into())
    }
}

impl Ask for Swap {
    const NAME: &'static str = "kv_compare_and_swap";
    type Answer = bool;
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<bool, Error> {
        let expected = self
            .expected
            .map_or(Expected::Nothing, |value| Expected::Value(value.0));
        let swapped = state.gate.kv_swap(self.key, expected, self.value.0).await;
        Ok(swapped?)
    }
}
