//! The guest that calls: its memory, and the ways to make and to free room in it.

use wasmtime::{AsContext, AsContextMut, Caller, Extern, Memory, Result, TypedFunc};

use super::error::ErrorDetail;
use crate::abi::packed::{self, Packed};
use crate::abi::place::Outside;
use crate::state::State;

/// The export that frees what [`packed::ALLOCATE`] made, if a guest has it: `(pointer: i32, size: i32)`.
pub(super) const DEALLOCATE: &str = "deallocate";

/// A guest, for as long as one call of it or into it.
pub(super) struct Guest {
    pub(super) memory: Memory,
    pub(super) allocate: TypedFunc<u32, u32>,
    pub(super) deallocate: Option<TypedFunc<(u32, u32), ()>>,
}

/// Why there are no bytes of a guest.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error(transparent)]
    Outside(#[from] Outside),
    #[error("it has {bytes} bytes, and may have {max}")]
    TooLong { bytes: u64, max: usize },
}

impl From<Unread> for ErrorDetail {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Outside(_) => Self::malformed(unread),
            Unread::TooLong { .. } => Self::new(
                "validation",
                "VALIDATION_ERROR",
                format!("request too large: {unread}"),
            ),
        }
    }
}

impl Guest {
    /// `None` while it makes or frees room for the host: a guest that asks for an answer then would never come to an end.
    pub(super) fn of(caller: &mut Caller<'_, State>) -> Result<Option<Self>> {
        if caller.data_mut().reglet().busy {
            return Ok(None);
        }
        let deallocate = match caller.get_export(DEALLOCATE) {
            Some(Extern::Func(deallocate)) => deallocate.typed(&*caller).ok(),
            _ => None,
        };
        Ok(Some(Self {
            memory: packed::memory(caller)?,
            allocate: packed::allocate(caller)?,
            deallocate,
        }))
    }

    /// Passes bytes to the guest, which gets no answers meanwhile. `None` when it has no room.
    ///
    /// # Errors
    /// When its `allocate` traps, or says a place outside of its memory.
    pub(super) async fn give(
        &self,
        mut store: impl AsContextMut<Data = State>,
        bytes: &[u8],
    ) -> Result<Option<Packed>> {
        store.as_context_mut().data_mut().reglet().busy = true;
        let place = packed::give(&mut store, self.memory, &self.allocate, bytes).await;
        store.as_context_mut().data_mut().reglet().busy = false;
        place
    }

    /// Frees a place that nobody needs any more.
    ///
    /// # Errors
    /// When its `deallocate` traps.
    pub(super) async fn free(
        &self,
        mut store: impl AsContextMut<Data = State>,
        place: Packed,
    ) -> Result<()> {
        let Some(deallocate) = &self.deallocate else {
            return Ok(());
        };
        store.as_context_mut().data_mut().reglet().busy = true;
        let freed = deallocate.call_async(&mut store, place.halves()).await;
        store.as_context_mut().data_mut().reglet().busy = false;
        freed
    }
}

/// A copy of what the guest says lies there.
///
/// # Errors
/// It does not lie in its memory, or is longer than `max`.
pub(super) fn copy(
    memory: &Memory,
    store: &impl AsContext,
    place: Packed,
    max: usize,
) -> Result<Vec<u8>, Unread> {
    let data = memory.data(store);
    let range = place.within(data.len())?;
    if range.len() > max {
        let bytes = range.len() as u64;
        return Err(Unread::TooLong { bytes, max });
    }
    Ok(data[range].to_vec())
}
