//! What changes a store: each a transaction of its own, with the counts in it.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use crate::store::{Store, Usage, get, usage};
use crate::{KvError, Limits};

impl Store {
    /// Gives a key a value. When this returns it is on disk.
    ///
    /// # Errors
    /// A limit, or [`KvError`] when the file cannot be written: it is then as it was.
    pub fn set(&self, key: &str, value: &[u8], limits: &Limits) -> Result<(), KvError> {
        limits.admit(key, value)?;
        self.change(|change| change.put(key, Some(value), limits))
    }

    /// Takes a key away. Gives whether it was there.
    ///
    /// # Errors
    /// [`KvError`], when the file cannot be written.
    pub fn delete(&self, key: &str) -> Result<bool, KvError> {
        self.change(|change| {
            let there = change.get(key)?.is_some();
            change.put(key, None, &Limits::default())?;
            Ok(there)
        })
    }

    /// Gives a key a value if it has what is expected. Gives whether it did.
    ///
    /// # Errors
    /// As [`Store::set`].
    pub fn compare_and_swap(
        &self,
        key: &str,
        expected: &Expected,
        value: &[u8],
        limits: &Limits,
    ) -> Result<bool, KvError> {
        limits.admit(key, value)?;
        self.change(|change| {
            let same = expected.is(change.get(key)?.as_deref());
            if same {
                change.put(key, Some(value), limits)?;
            }
            Ok(same)
        })
    }

    /// Adds to a number that is written in decimal; a key without a value counts as 0. Gives the sum.
    ///
    /// # Errors
    /// [`KvError::NotANumber`], or as [`Store::set`].
    pub fn increment(&self, key: &str, delta: i64, limits: &Limits) -> Result<i64, KvError> {
        limits.admit(key, &[])?;
        self.change(|change| {
            let sum = match change.get(key)? {
                None => Some(delta),
                Some(value) => number(&value).and_then(|number| number.checked_add(delta)),
            };
            let sum = sum.ok_or(KvError::NotANumber)?;
            let value = sum.to_string();
            limits.admit(key, value.as_bytes())?;
            change.put(key, Some(value.as_bytes()), limits)?;
            Ok(sum)
        })
    }

    /// Takes everything away. Gives what there was.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub fn clear(&self) -> Result<Usage, KvError> {
        self.change(|change| {
            let before = change.told(usage(change.transaction))?;
            change.told(change.transaction.execute("DELETE FROM entry", []))?;
            change.count(Usage::default())?;
            Ok(before)
        })
    }

    fn change<T>(&self, act: impl FnOnce(&Change<'_>) -> Result<T, KvError>) -> Result<T, KvError> {
        let mut connection = self.connection();
        self.in_place()?;
        let acted = self.act(&mut connection, act);
        match acted {
            Ok(acted) => acted,
            Err(error) => self.told(Err(error), &connection),
        }
    }

    /// The outer error is the transaction's own.
    fn act<T>(
        &self,
        connection: &mut Connection,
        act: impl FnOnce(&Change<'_>) -> Result<T, KvError>,
    ) -> rusqlite::Result<Result<T, KvError>> {
        // The right to write is taken first: one that reads and then wants to write could have to give up half way.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let change = Change {
            store: self,
            transaction: &transaction,
        };
        let acted = act(&change);
        if acted.is_ok() {
            transaction.commit()?;
        }
        Ok(acted)
    }
}

/// What a key has to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No value.
    Nothing,
    /// This value.
    Value(Vec<u8>),
    /// The value that this was made of: for those who would have to hold many.
    Digest([u8; 32]),
}

impl Expected {
    /// What a key had, in little.
    pub fn digest(found: Option<&[u8]>) -> Self {
        found.map_or(Self::Nothing, |value| {
            Self::Digest(*blake3::hash(value).as_bytes())
        })
    }

    fn is(&self, found: Option<&[u8]>) -> bool {
        match self {
            Self::Nothing => found.is_none(),
            Self::Value(value) => found == Some(value),
            Self::Digest(_) => *self == Self::digest(found),
        }
    }
}

/// A change that is not yet made.
struct Change<'a> {
    store: &'a Store,
    transaction: &'a Connection,
}

impl Change<'_> {
    fn told<T>(&self, result: rusqlite::Result<T>) -> Result<T, KvError> {
        self.store.told(result, self.transaction)
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        self.told(get(self.transaction, key))
    }

    /// Writes or removes an entry and counts it. What a limit leaves no room for may still become smaller.
    fn put(&self, key: &str, value: Option<&[u8]>, limits: &Limits) -> Result<(), KvError> {
        let before = self.told(usage(self.transaction))?;
        let old = self.told(size(self.transaction, key))?;
        let added = value.map(|value| (key.len() + value.len()) as u64);
        let removed = old.map(|bytes| key.len() as u64 + bytes);
        let replaced = |now: u64, less: u64, more: u64| {
            let now = now.checked_sub(less).and_then(|now| now.checked_add(more));
            now.ok_or_else(|| KvError::damaged(self.store.path(), "it counts wrongly"))
        };
        let after = Usage {
            keys: replaced(
                before.keys,
                u64::from(old.is_some()),
                u64::from(value.is_some()),
            )?,
            bytes: replaced(before.bytes, removed.unwrap_or(0), added.unwrap_or(0))?,
        };
        if after.keys > limits.keys.max(before.keys) {
            return Err(KvError::TooManyKeys { max: limits.keys });
        }
        if after.bytes > limits.bytes.max(before.bytes) {
            return Err(KvError::TooManyBytes {
                bytes: after.bytes,
                max: limits.bytes,
            });
        }
        let written = match value {
            Some(value) => write(self.transaction, key, value),
            None => remove(self.transaction, key),
        };
        self.told(written)?;
        self.count(after)
    }

    fn count(&self, usage: Usage) -> Result<(), KvError> {
        let counted = self
            .transaction
            .prepare_cached("UPDATE about SET keys = ?1, bytes = ?2 WHERE one = 1")
            .and_then(|mut statement| statement.execute((usage.keys, usage.bytes)));
        self.told(counted).map(drop)
    }
}

fn size(connection: &Connection, key: &str) -> rusqlite::Result<Option<u64>> {
    connection
        .prepare_cached("SELECT length(value) FROM entry WHERE key = ?1")?
        .query_row([key.as_bytes()], |row| row.get(0))
        .optional()
}

fn write(connection: &Connection, key: &str, value: &[u8]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO entry VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute((key.as_bytes(), value)).map(drop)
}

fn remove(connection: &Connection, key: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM entry WHERE key = ?1")?;
    statement.execute([key.as_bytes()]).map(drop)
}

fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
