use std::fs::File;

use portcullis_kv::{Expected, Limits, MAX_VALUE};

use crate::{Record, Registry, RegistryError};

/// More plugins than anybody has, and more than all of their rows.
const LIMITS: Limits = Limits {
    key: 256,
    bytes: 1 << 30,
    keys: 100_000,
    value: MAX_VALUE,
};

/// The only one that may change what is installed. Others wait until this is dropped.
#[derive(Debug)]
pub struct Writer<'a> {
    registry: &'a Registry,
    /// Held; the system lets go of it when the file is closed or the process ends.
    _lock: File,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(registry: &'a Registry, lock: File) -> Self {
        Self {
            registry,
            _lock: lock,
        }
    }

    /// Installs a plugin under a name that is free. When this returns it is on disk.
    ///
    /// # Errors
    /// [`RegistryError::Taken`], or it cannot be written; then nothing is installed.
    pub fn install(&self, record: &Record, component: &[u8]) -> Result<(), RegistryError> {
        self.is_free(record, None)?;
        self.registry.contents().keep(&record.sha256, component)?;
        self.put(&Expected::Nothing, record)
    }

    /// Puts one row in the place of another, which has to be there as it was looked at; with the component if it is
    /// another one.
    ///
    /// # Errors
    /// [`RegistryError::Changed`], [`RegistryError::Taken`], or it cannot be written; then everything is as it was.
    pub fn replace(
        &self,
        before: &Record,
        after: &Record,
        component: Option<&[u8]>,
    ) -> Result<(), RegistryError> {
        self.expect(before)?;
        self.is_free(after, Some(&before.name))?;
        if let Some(component) = component {
            self.registry.contents().keep(&after.sha256, component)?;
        }
        self.put(&Expected::Value(before.to_bytes()?), after)?;
        self.sweep()
    }

    /// Removes a plugin, which has to be there as it was looked at.
    ///
    /// # Errors
    /// As [`Writer::replace`].
    pub fn remove(&self, record: &Record) -> Result<(), RegistryError> {
        self.expect(record)?;
        self.registry.rows().delete(&record.name)?;
        self.sweep()
    }

    /// Throws away content that no row names.
    pub(crate) fn sweep(&self) -> Result<(), RegistryError> {
        self.registry.contents().sweep(&self.registry.digests()?)
    }

    /// Whether nothing else is called by any of its names.
    fn is_free(&self, record: &Record, but: Option<&str>) -> Result<(), RegistryError> {
        for other in self.registry.list()? {
            if but == Some(other.name.as_str()) {
                continue;
            }
            if let Some(name) = record.names().find(|name| other.goes_by(name)) {
                return Err(RegistryError::Taken {
                    name: name.to_owned(),
                    other: other.name,
                    source_of: other.source,
                });
            }
        }
        Ok(())
    }

    fn expect(&self, record: &Record) -> Result<(), RegistryError> {
        if self.registry.get(&record.name)?.as_ref() == Some(record) {
            return Ok(());
        }
        Err(RegistryError::Changed {
            name: record.name.clone(),
        })
    }

    fn put(&self, expected: &Expected, record: &Record) -> Result<(), RegistryError> {
        let row = record.to_bytes()?;
        let rows = self.registry.rows();
        if rows.compare_and_swap(&record.name, expected, &row, &LIMITS)? {
            return Ok(());
        }
        Err(RegistryError::Changed {
            name: record.name.clone(),
        })
    }
}
