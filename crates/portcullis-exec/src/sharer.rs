use std::sync::{Arc, Weak};

/// A plugin instance, as far as its commands may share scratch directories: with each other, and with nobody else's.
///
/// Clones stand for the same instance. When the last one is gone, so is what was shared.
#[derive(Clone, Debug, Default)]
pub struct Sharer(Arc<()>);

/// Recognises a [`Sharer`] without keeping it.
#[derive(Debug)]
pub(crate) struct SharerId(Weak<()>);

impl Sharer {
    /// An instance that has nothing in common with any other.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn id(&self) -> SharerId {
        SharerId(Arc::downgrade(&self.0))
    }
}

impl SharerId {
    /// Whether this is that instance.
    pub(crate) fn is(&self, sharer: &Sharer) -> bool {
        // As long as this is here, no other can come to lie in the same place.
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(&sharer.0))
    }

    /// Whether the instance is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}
