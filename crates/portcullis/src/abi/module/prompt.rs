//! `prompt_*`: questions to whoever runs the plugin, as `portcullis:cli/prompt`.

use super::ask::Ask;
use super::wire::prompt::{Choose, ChooseSome, Confirm, Text};
use crate::abi::prompt::{self, Error};
use crate::state::State;

impl Ask for Text {
    const NAME: &'static str = "prompt_text";
    type Answer = String;
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<String, Error> {
        prompt::text(state, (self.id, self.message, self.default)).await
    }
}

impl Ask for Confirm {
    const NAME: &'static str = "prompt_confirm";
    type Answer = bool;
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<bool, Error> {
        prompt::confirm(state, (self.id, self.message, self.default)).await
    }
}

impl Ask for Choose {
    const NAME: &'static str = "prompt_choose";
    type Answer = u32;
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<u32, Error> {
        let asked = (self.id, self.message, self.options.0, self.default);
        prompt::choose(state, asked).await
    }
}

impl Ask for ChooseSome {
    const NAME: &'static str = "prompt_choose_some";
    type Answer = Vec<u32>;
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<Vec<u32>, Error> {
        let asked = (self.id, self.message, self.options.0, self.defaults.0);
        prompt::choose_some(state, asked).await
    }
}
