//! `env_get`: a variable of the host, as `portcullis:cli/env`.

use super::ask::Ask;
use super::wire::env::Get;
use crate::abi::env::{self, Error};
use crate::state::State;

impl Ask for Get {
    const NAME: &'static str = "env_get";
    type Answer = Option<String>;
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<Option<String>, Error> {
        env::get(state, self.name)
    }
}
