//! `fs_*`: whole files and single names, as `portcullis:cli/fs`.

use super::ask::{Ask, Bytes};
use super::wire::fs::{Entries, MakeDirectory, Read, Remove, Rename, Stat, Write};
use crate::abi::fs::{Entry, Error, Metadata, all};
use crate::state::State;

impl Ask for Read {
    const NAME: &'static str = "fs_read";
    type Answer = Bytes;
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<Bytes, Error> {
        let read = state.gate.read_file(self.path).await;
        Ok(Bytes(read?))
    }
}

impl Ask for Write {
    const NAME: &'static str = "fs_write";
    type Answer = ();
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<(), Error> {
        let written = state.gate.write_file(self.path, self.content.0).await;
        Ok(written?)
    }
}

impl Ask for Entries {
    const NAME: &'static str = "fs_entries";
    type Answer = Vec<Entry>;
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<Vec<Entry>, Error> {
        Ok(all(state.gate.list_directory(self.path).await?))
    }
}

impl Ask for Stat {
    const NAME: &'static str = "fs_stat";
    type Answer = Metadata;
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<Metadata, Error> {
        Ok(state.gate.stat(self.path).await?.into())
    }
}

impl Ask for MakeDirectory {
    const NAME: &'static str = "fs_make_directory";
    type Answer = ();
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<(), Error> {
        Ok(state.gate.make_directory(self.path).await?)
    }
}

impl Ask for Remove {
    const NAME: &'static str = "fs_remove";
    type Answer = ();
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<(), Error> {
        Ok(state.gate.remove(self.path).await?)
    }
}

impl Ask for Rename {
    const NAME: &'static str = "fs_rename";
    type Answer = ();
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<(), Error> {
        Ok(state.gate.rename(self.from, self.to).await?)
    }
}
