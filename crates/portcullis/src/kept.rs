//! Where plugins' own state is kept.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use portcullis_kv::{KvError, Store, Stores};
use portcullis_policy::Grants;

/// The stores of a host, opened when the first plugin uses its own.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    directory: Option<PathBuf>,
    stores: Mutex<Option<Arc<Stores>>>,
}

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unkept {
    /// The application has said nothing.
    #[error("this host has no directory for the state of plugins")]
    Nowhere,
    #[error(transparent)]
    Store(#[from] KvError),
}

impl Shelf {
    pub(crate) fn new(directory: Option<PathBuf>) -> Self {
        Self {
            directory,
            stores: Mutex::default(),
        }
    }

    fn stores(&self) -> Result<Arc<Stores>, Unkept> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stores) = &*stores {
            return Ok(Arc::clone(stores));
        }
        let directory = self.directory.as_deref().ok_or(Unkept::Nowhere)?;
        let opened = Arc::new(Stores::open(directory)?);
        *stores = Some(Arc::clone(&opened));
        Ok(opened)
    }
}

/// The state of one plugin. Its store is opened when it is first used, and stays open.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    shelf: Arc<Shelf>,
    /// By which name; `None` for a plugin that keeps none.
    name: Option<String>,
    store: OnceLock<Arc<Store>>,
}

impl Kept {
    pub(crate) fn of(shelf: &Arc<Shelf>, grants: &Grants) -> Self {
        let kv = grants.kv.as_ref();
        Self {
            shelf: Arc::clone(shelf),
            name: kv.map(|kv| kv.owner.state_of(&grants.plugin)),
            store: OnceLock::new(),
        }
    }

    /// The store, if it was used before.
    pub(crate) fn opened(&self) -> Option<&Arc<Store>> {
        self.store.get()
    }

    /// The store. This waits for the disk.
    pub(crate) fn store(&self) -> Result<Arc<Store>, Unkept> {
        if let Some(store) = self.store.get() {
            return Ok(Arc::clone(store));
        }
        let name = self.name.as_deref().ok_or(Unkept::Nowhere)?;
        let store = self.shelf.stores()?.store(name)?;
        Ok(Arc::clone(self.store.get_or_init(|| store)))
    }
}
