//! `kv`: keys and values of the plugin's own. Values are never written into the trail.

use std::sync::Arc;

use portcullis_audit::{Effect, Masked};
use portcullis_kv::{Expected, KvError, Limits, Page, Store};
use portcullis_policy::{
    Authorized, Capability, Code, Denial, GuestError, KV_KEY, KvAction, KvGrant, KvRequest,
};

use crate::gate::{Gate, Refused, Use, with_causes};
use crate::kept::Unkept;

/// Why a call about state has no other answer. Foreign worlds tell their guests more of it than ours does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KvFailure {
    /// No state was granted.
    NotGranted,
    /// The key or the value is longer than may be kept.
    TooLarge,
    /// There is no room for more.
    Full,
    /// What is to be counted up is no number.
    NotANumber,
    /// Called too often within a minute.
    Rate,
    /// The store failed; the operator knows why.
    Io,
    /// The trail cannot be written.
    Closed,
}

impl From<Refused> for KvFailure {
    fn from(refused: Refused) -> Self {
        match (refused.code, refused.guest) {
            (Some(Code::KvTooLarge), _) => Self::TooLarge,
            (Some(Code::KvFull), _) => Self::Full,
            (Some(Code::LimitCalls), _) => Self::Rate,
            (_, GuestError::Denied) => Self::NotGranted,
            (
                _,
                GuestError::NotFound
                | GuestError::Invalid
                | GuestError::Limit
                | GuestError::OutputLimit
                | GuestError::MemoryLimit
                | GuestError::TimedOut
                | GuestError::CannotStart,
            ) => Self::Closed,
        }
    }
}

/// A call that was allowed.
struct Call {
    used: Use,
    authorized: Authorized<KvRequest>,
}

impl Call {
    fn grant(&self) -> &KvGrant {
        self.authorized.terms()
    }

    fn key(&self) -> String {
        self.authorized.request().key.clone()
    }

    fn limits(&self) -> Limits {
        let size = self.grant().size;
        Limits {
            key: KV_KEY,
            value: size.value,
            bytes: size.bytes,
            keys: size.keys,
        }
    }
}

impl Gate {
    /// The value of a key, if it has one.
    ///
    /// # Errors
    /// State was not granted, it is asked for too often, the store cannot be read, or the trail cannot be written.
    pub(crate) async fn kv_get(&mut self, key: String) -> Result<Option<Vec<u8>>, KvFailure> {
        let call = self.kv_begin("get", KvAction::Get, key)?;
        let key = call.key();
        // A page that was read before is in memory, and no other thread has to be woken for it.
        let at_hand = self.kept().opened().and_then(|store| store.try_get(&key));
        let got = match at_hand {
            Some(got) => got.map_err(Unkept::from),
            None => self.kv_blocking(move |store| store.get(&key)).await,
        };
        let length = |value: &Option<Vec<u8>>| value.as_ref().map(Vec::len);
        self.kv_told(&call, got, length)
    }

    /// Keys that begin with `prefix` and come after `after`, in the order of their bytes.
    ///
    /// # Errors
    /// As [`Gate::kv_get`].
    pub(crate) async fn kv_list(
        &mut self,
        prefix: String,
        after: Option<String>,
        most: usize,
    ) -> Result<Page, KvFailure> {
        let call = self.kv_begin("list", KvAction::List, prefix)?;
        let prefix = call.key();
        let listed = self
            .kv_blocking(move |store| store.list(&prefix, after.as_deref(), most))
            .await;
        self.kv_told(&call, listed, |page| {
            Some(page.keys.iter().map(String::len).sum())
        })
    }

    /// Gives a key a value. What was told to have been done is on disk.
    ///
    /// # Errors
    /// As [`Gate::kv_get`], and when there is no room.
    pub(crate) async fn kv_set(&mut self, key: String, value: Vec<u8>) -> Result<(), KvFailure> {
        let bytes = value.len() as u64;
        let call = self.kv_begin("set", KvAction::Set { bytes }, key)?;
        let (key, limits) = (call.key(), call.limits());
        self.kv_change(call, bytes, move |store| store.set(&key, &value, &limits))
            .await
    }

    /// Takes a key away. Gives whether it was there.
    ///
    /// # Errors
    /// As [`Gate::kv_get`].
    pub(crate) async fn kv_delete(&mut self, key: String) -> Result<bool, KvFailure> {
        let call = self.kv_begin("delete", KvAction::Delete, key)?;
        let key = call.key();
        self.kv_change(call, 0, move |store| store.delete(&key))
            .await
    }

    /// Gives a key a value if it has what is expected. Gives whether it did.
    ///
    /// # Errors
    /// As [`Gate::kv_set`].
    pub(crate) async fn kv_swap(
        &mut self,
        key: String,
        expected: Expected,
        value: Vec<u8>,
    ) -> Result<bool, KvFailure> {
        let bytes = value.len() as u64;
        let call = self.kv_begin("compare-and-swap", KvAction::Set { bytes }, key)?;
        let (key, limits) = (call.key(), call.limits());
        let swap = move |store: &Store| store.compare_and_swap(&key, &expected, &value, &limits);
        self.kv_change(call, bytes, swap).await
    }

    /// Adds to a number that is written in decimal. Gives the sum.
    ///
    /// # Errors
    /// As [`Gate::kv_set`], and [`KvFailure::NotANumber`].
    pub(crate) async fn kv_increment(&mut self, key: String, delta: i64) -> Result<i64, KvFailure> {
        // As long as such a number can be.
        let bytes = 20;
        let call = self.kv_begin("increment", KvAction::Set { bytes }, key)?;
        let (key, limits) = (call.key(), call.limits());
        let add = move |store: &Store| store.increment(&key, delta, &limits);
        self.kv_change(call, bytes, add).await
    }

    fn kv_begin(
        &mut self,
        function: &'static str,
        action: KvAction,
        key: String,
    ) -> Result<Call, KvFailure> {
        let used = self.begin(Capability::Kv, function, Masked::new(&key))?;
        let authorized = self.authorize(&used, KvRequest { action, key })?;
        Ok(Call { used, authorized })
    }

    /// Does something that waits for the disk, on a thread that may.
    async fn kv_blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Store) -> Result<T, KvError> + Send + 'static,
    ) -> Result<T, Unkept> {
        let kept = Arc::clone(self.kept());
        let done = tokio::task::spawn_blocking(move || Ok(act(&*kept.store()?)?)).await;
        done.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Unkept::Nowhere),
        })
    }

    /// Writes down what the guest is about to be told.
    fn kv_told<T>(
        &mut self,
        call: &Call,
        result: Result<T, Unkept>,
        length: impl FnOnce(&T) -> Option<usize>,
    ) -> Result<T, KvFailure> {
        match result {
            Ok(found) => {
                let length = length(&found);
                let effect = Effect {
                    bytes_in: length.unwrap_or(0) as u64,
                    failed: length.is_none().then(|| Masked::new("it is not set")),
                    ..Effect::default()
                };
                self.told(&call.used, None, effect)?;
                Ok(found)
            }
            Err(error) => {
                let (failure, effect) = self.kv_failed(call, &error);
                self.told(&call.used, None, effect)?;
                Err(failure)
            }
        }
    }

    /// Writes down that something is about to be changed, changes it, and writes down what came of it.
    async fn kv_change<T: Send + 'static>(
        &mut self,
        call: Call,
        bytes: u64,
        act: impl FnOnce(&Store) -> Result<T, KvError> + Send + 'static,
    ) -> Result<T, KvFailure> {
        self.before(&call.used, None)?;
        match self.kv_blocking(act).await {
            Ok(changed) => {
                let effect = Effect {
                    bytes_out: bytes,
                    ..Effect::default()
                };
                self.done(&call.used, effect)?;
                Ok(changed)
            }
            Err(error) => {
                let (failure, effect) = self.kv_failed(&call, &error);
                self.done(&call.used, effect)?;
                Err(failure)
            }
        }
    }

    /// Tells the operator why a store did not do what it may.
    fn kv_failed(&mut self, call: &Call, error: &Unkept) -> (KvFailure, Effect) {
        let why = with_causes(error);
        let effect = Effect {
            failed: Some(Masked::new(&why)),
            ..Effect::default()
        };
        let failure = match error {
            Unkept::Store(KvError::TooManyKeys { .. }) => {
                let denial = self.kv_full(call, &why, "keys");
                self.activity.denial(denial);
                KvFailure::Full
            }
            Unkept::Store(KvError::TooManyBytes { .. }) => {
                let denial = self.kv_full(call, &why, "bytes");
                self.activity.denial(denial);
                KvFailure::Full
            }
            Unkept::Store(KvError::KeyTooLong { .. } | KvError::ValueTooLong { .. }) => {
                KvFailure::TooLarge
            }
            Unkept::Store(KvError::NotANumber) => KvFailure::NotANumber,
            Unkept::Store(_) | Unkept::Nowhere => {
                let plugin = &self.grants().plugin;
                self.activity
                    .failure(format!("plugin `{plugin}` cannot use its state: {why}"));
                KvFailure::Io
            }
        };
        (failure, effect)
    }

    fn kv_full(&self, call: &Call, why: &str, key: &str) -> Denial {
        let note = format!("{why} (`kv.{key}`, {})", call.grant().origin);
        call.authorized.request().full(&self.grants(), note)
    }
}
