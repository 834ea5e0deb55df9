//! Requests beside the guest, which goes on meanwhile: it may still be writing the body, or have sent others.
//!
//! A task of its own carries out each, so that its lines are written whatever the guest does. None outlives the guest's call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use portcullis_policy::{Capability, Code, Denial, GuestError, Limits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

use super::sending::{Sending, Sent, Told, Wanted};
use super::{HttpAnswer, HttpAsk, HttpFailure, Waits};
use crate::gate::{Gate, UseLines};

/// Requests of one guest that are not answered yet, those that wait for room included.
const AT_ONCE: usize = 64;
/// Bodies are kept for so many requests of the largest size; of smaller ones there may be more.
const LARGEST: usize = 8;
/// Bytes that count as one of room.
const UNIT: u64 = 1024;

/// What is under way beside one guest. All clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    under_way: Arc<Mutex<JoinSet<Option<Told>>>>,
    /// Room for bodies, those included that have come and that the guest has not read yet.
    room: Arc<Semaphore>,
    /// What one request takes before it is known how much it needs.
    each: u32,
}

/// What came back, with its room.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) answer: HttpAnswer,
    /// The body of the answer, which is empty there.
    pub(crate) body: Bytes,
}

/// A body that was received. Its room is free when the last part of it is dropped.
struct Held {
    content: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

impl Requests {
    pub(crate) fn new(limits: &Limits) -> Self {
        let bytes = limits.http_request.saturating_add(limits.http_response);
        let each = units(bytes).max(1);
        let room = (each as usize).saturating_mul(LARGEST);
        Self {
            under_way: Arc::default(),
            room: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))),
            each,
        }
    }

    fn under_way(&self) -> MutexGuard<'_, JoinSet<Option<Told>>> {
        // Whole between two statements.
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all. Each leaves its line.
    pub(crate) fn give_up(&self) {
        self.under_way().abort_all();
    }

    /// What is to be told of those that are over.
    fn over(&self) -> Vec<Told> {
        let mut under_way = self.under_way();
        let over = std::iter::from_fn(|| under_way.try_join_next());
        over.filter_map(|joined| joined.ok().flatten()).collect()
    }

    /// Ends all, waits until they are gone, and gives what is to be told of them.
    async fn end(&self) -> Vec<Told> {
        let mut under_way = std::mem::take(&mut *self.under_way());
        under_way.abort_all();
        let mut told = Vec::new();
        while let Some(joined) = under_way.join_next().await {
            told.extend(joined.ok().flatten());
        }
        told
    }
}

impl Gate {
    /// Begins a request that goes on beside the guest, which may still be writing its body. Dropping the receiver gives the
    /// request up.
    ///
    /// # Errors
    /// [`HttpFailure`], for all that is known before the body and the addresses of the host.
    pub(crate) fn http_beside<B>(
        &mut self,
        ask: &HttpAsk,
        waits: Waits,
        body: B,
    ) -> Result<oneshot::Receiver<Result<Came, HttpFailure>>, HttpFailure>
    where
        B: Future<Output = Result<Bytes, HttpFailure>> + Send + 'static,
    {
        self.collect_requests();
        let mut sending = self.http_allowed(ask)?;
        sending.outgoing.waits = waits;
        let requests = self.requests.clone();
        if requests.under_way().len() >= AT_ONCE {
            return Err(self.too_many(&sending.wanted, &sending.lines));
        }
        let (mut tell, told) = oneshot::channel();
        requests.clone().under_way().spawn(async move {
            let sent = tokio::select! {
                biased;
                () = tell.closed() => return None,
                sent = sent(requests, sending, body) => sent,
            };
            let (came, told) = sent;
            // The guest may have dropped it just now.
            let _ = tell.send(came);
            told
        });
        Ok(told)
    }

    /// Tells the operator of the requests that were answered since the last time.
    pub(crate) fn collect_requests(&mut self) {
        let over = self.requests.over();
        over.into_iter().for_each(|told| self.http_told(Some(told)));
    }

    /// Ends the requests of a guest whose call is over, and tells the operator of them.
    pub(crate) async fn end_requests(&mut self) {
        let over = self.requests.end().await;
        over.into_iter().for_each(|told| self.http_told(Some(told)));
    }

    fn too_many(&mut self, wanted: &Wanted, lines: &UseLines) -> HttpFailure {
        let denial = Denial {
            code: Code::HttpTooMany,
            plugin: self.grants().plugin.clone(),
            capability: Capability::Http,
            action: format!("send {wanted} now"),
            object: wanted.url.clone(),
            notes: vec![format!("{AT_ONCE} requests of it are not answered yet")],
            remedies: Vec::new(),
            rule: None,
            guest: GuestError::Limit,
        };
        match lines.refused(&denial) {
            Ok(()) => {
                self.activity.denial(denial);
                HttpFailure::Rate
            }
            Err(unwritten) => {
                self.http_told(Some(Told::Failure(unwritten.0)));
                HttpFailure::Closed
            }
        }
    }
}

/// Waits for room and for the body, and sends the request, all of it in the request's own time.
async fn sent(
    requests: Requests,
    sending: Sending,
    body: impl Future<Output = Result<Bytes, HttpFailure>>,
) -> (Result<Came, HttpFailure>, Option<Told>) {
    let mut room = None;
    let Sent { answer, told } = sending
        .send(async {
            let acquired = requests.room.acquire_many_owned(requests.each).await;
            // It is never closed.
            room = Some(acquired.map_err(|_| HttpFailure::Closed)?);
            body.await
        })
        .await;
    (answer.map(|answer| held(answer, room)), told)
}

/// Gives the room back that the body does not take.
fn held(mut answer: HttpAnswer, room: Option<OwnedSemaphorePermit>) -> Came {
    let mut content = std::mem::take(&mut answer.body);
    content.shrink_to_fit();
    let taken = units(content.len() as u64) as usize;
    let room = room.and_then(|mut room| {
        let taken = taken.min(room.num_permits());
        room.split(taken)
    });
    let held = Held {
        content,
        _room: room,
    };
    Came {
        answer,
        body: Bytes::from_owner(held),
    }
}

/// How much room so many bytes take.
fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}
