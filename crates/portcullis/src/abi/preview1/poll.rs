//! Waiting. Files are always ready; for streams and clocks Wasmtime waits.

use wasmtime_wasi::p1::types::{
    Errno, Event, EventFdReadwrite, Eventrwflags, Eventtype, Size, Subscription,
    SubscriptionFdReadwrite, SubscriptionU,
};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
use wiggle::{GuestMemory, GuestPtr, GuestType as _};

use super::Result;
use super::numbers::Opened;
use crate::state::State;

/// What its largest numbers lie at a multiple of, in any memory.
const ALIGNED: usize = 8;

/// What is waited for, as Wasmtime knows it, or an event that has come.
enum Found {
    Wait(Subscription),
    Ready(Event),
}

/// Waits until one of them happens, and says which.
///
/// # Errors
/// There are none, too many, or one is about what is not open.
pub(super) async fn poll(
    state: &mut State,
    memory: &mut GuestMemory<'_>,
    wanted: GuestPtr<Subscription>,
    events: GuestPtr<Event>,
    count: Size,
) -> Result<Size> {
    if count == 0 {
        return Err(Errno::Inval.into());
    }
    // Wasmtime counts them once more.
    let size = Subscription::guest_size() + Event::guest_size();
    state.preview1().spend(size, usize::try_from(count)?)?;
    let (mut waits, mut ready) = (Vec::new(), Vec::new());
    for one in wanted.as_array(count).iter() {
        match find(state, memory.read(one?)?)? {
            Found::Wait(wait) => waits.push(wait),
            Found::Ready(event) => ready.push(event),
        }
    }
    if ready.is_empty() {
        ready = wait(state, waits).await?;
    }
    let told = Size::try_from(ready.len())?;
    for (place, event) in events.as_array(count).iter().zip(ready) {
        memory.write(place?, event)?;
    }
    Ok(told)
}

fn find(state: &mut State, wanted: Subscription) -> Result<Found> {
    let (file_descriptor, kind) = match &wanted.u {
        SubscriptionU::Clock(_) => return Ok(Found::Wait(wanted)),
        SubscriptionU::FdRead(on) => (on.file_descriptor, Eventtype::FdRead),
        SubscriptionU::FdWrite(on) => (on.file_descriptor, Eventtype::FdWrite),
    };
    let own = match state.numbers()?.get(file_descriptor)? {
        Opened::Stream(own) => *own,
        Opened::File(_) => {
            return Ok(Found::Ready(Event {
                userdata: wanted.userdata,
                error: Errno::Success,
                type_: kind,
                fd_readwrite: EventFdReadwrite {
                    nbytes: 1,
                    flags: Eventrwflags::empty(),
                },
            }));
        }
        Opened::Directory(_) => return Err(Errno::Badf.into()),
    };
    let on = SubscriptionFdReadwrite {
        file_descriptor: own.into(),
    };
    Ok(Found::Wait(Subscription {
        userdata: wanted.userdata,
        u: match wanted.u {
            SubscriptionU::FdWrite(_) => SubscriptionU::FdWrite(on),
            SubscriptionU::FdRead(_) | SubscriptionU::Clock(_) => SubscriptionU::FdRead(on),
        },
    }))
}

/// Has Wasmtime wait, in a memory of our own.
async fn wait(state: &mut State, waits: Vec<Subscription>) -> Result<Vec<Event>> {
    let count = Size::try_from(waits.len())?;
    let all = count * Subscription::guest_size();
    let size = all + count * Event::guest_size();
    let mut own = vec![0; usize::try_from(size)? + ALIGNED];
    let start = own.as_ptr().align_offset(ALIGNED);
    let own = &mut GuestMemory::Unshared(own.get_mut(start..).unwrap_or_default());
    let (wanted, events) = (GuestPtr::new(0), GuestPtr::new(all));
    for (place, wait) in wanted.as_array(count).iter().zip(waits) {
        own.write(place?, wait)?;
    }
    let rest = &mut state.preview1().rest;
    let told = rest.poll_oneoff(own, wanted, events, count).await?;
    let events = events.as_array(told);
    let read = events.iter().map(|place| Ok(own.read(place?)?));
    read.collect()
}
