use wasmtime::ResourceLimiter;

use crate::exhausted::{Exhausted, Resource};

/// Memories, tables and core instances that one plugin may have. A memory of no page takes as much address space as any
/// other, and an instance memory of the host; toolchains need a few, and one instance for each library they link.
const MEMORIES: usize = 64;
const TABLES: usize = 256;
const INSTANCES: usize = 1024;
/// Bytes of what stands between a plugin and its host.
const ASIDE: u64 = 128 * 1024 * 1024;

/// Counts what all memories and tables of one store use together, so that many small ones are no way around the limit
/// of a large one.
#[derive(Debug)]
pub(crate) struct MemoryLimits {
    memory: Budget,
    tables: Budget,
    /// What was refused last, since the call began.
    refused: Option<Exhausted>,
    /// What stands between a plugin and its host while it is recorded.
    aside: Budget,
    /// Whether that grows now, and not the plugin.
    is_aside: bool,
}

#[derive(Debug)]
struct Budget {
    used: u64,
    limit: u64,
    /// What was granted last, in case that it cannot be had.
    last: u64,
}

impl MemoryLimits {
    pub(crate) fn new(limits: &portcullis_policy::Limits) -> Self {
        Self {
            memory: Budget::new(limits.memory),
            tables: Budget::new(limits.table_elements),
            refused: None,
            aside: Budget::new(ASIDE),
            is_aside: false,
        }
    }

    /// Whether what grows now is ours and not the plugin's.
    pub(crate) fn set_aside(&mut self, is_aside: bool) {
        self.is_aside = is_aside;
    }

    /// Forgets what earlier calls were refused: a guest that got over it ends for another reason.
    pub(crate) fn forget_refused(&mut self) {
        self.refused = None;
    }

    /// What the guest wanted in this call and was refused.
    pub(crate) fn refused(&self) -> Option<Exhausted> {
        self.refused
    }

    fn growing(
        &mut self,
        resource: Resource,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> bool {
        if self.is_aside {
            return self.aside.grow(current, desired);
        }
        let budget = match resource {
            Resource::Tables => &mut self.tables,
            Resource::Fuel | Resource::Memory | Resource::Time => &mut self.memory,
        };
        // What the guest itself has ruled out is not given, so it is not counted either.
        if maximum.is_some_and(|maximum| desired > maximum) {
            budget.last = 0;
            return false;
        }
        let granted = budget.grow(current, desired);
        if !granted {
            self.refused = Some(Exhausted {
                resource,
                used: budget.used,
                limit: budget.limit,
            });
        }
        granted
    }
}

impl Budget {
    const fn new(limit: u64) -> Self {
        Self {
            used: 0,
            limit,
            last: 0,
        }
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let more = desired.saturating_sub(current) as u64;
        let after = self.used.saturating_add(more);
        if after > self.limit {
            self.last = 0;
            return false;
        }
        self.last = more;
        self.used = after;
        true
    }

    /// Takes back what was granted last: the system had no more.
    fn failed(&mut self) {
        self.used -= std::mem::take(&mut self.last);
    }
}

impl ResourceLimiter for MemoryLimits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.growing(Resource::Memory, current, desired, maximum))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        match self.is_aside {
            true => self.aside.failed(),
            false => self.memory.failed(),
        }
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.growing(Resource::Tables, current, desired, maximum))
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.tables.failed();
        Ok(())
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> MemoryLimits {
        MemoryLimits::new(&portcullis_policy::Limits {
            memory: 100,
            table_elements: 10,
            ..portcullis_policy::Limits::default()
        })
    }

    #[test]
    fn all_memories_are_one_and_tables_are_another() {
        let mut limits = limits();
        assert!(limits.memory_growing(0, 60, None).unwrap());
        assert!(limits.memory_growing(0, 40, Some(50)).unwrap());
        assert_eq!(limits.refused(), None);
        assert!(!limits.memory_growing(40, 41, Some(50)).unwrap());
        let refused = |resource, used, limit| {
            Some(Exhausted {
                resource,
                used,
                limit,
            })
        };
        assert_eq!(limits.refused(), refused(Resource::Memory, 100, 100));
        assert!(limits.table_growing(0, 10, None).unwrap());
        assert!(!limits.table_growing(10, 11, None).unwrap());
        assert_eq!(limits.refused(), refused(Resource::Tables, 10, 10));
        limits.forget_refused();
        assert_eq!(limits.refused(), None);
    }

    #[test]
    fn what_was_not_had_in_the_end_is_not_used() {
        let mut limits = limits();
        for _ in 0..10 {
            assert!(!limits.memory_growing(0, 60, Some(20)).unwrap());
            limits.memory_grow_failed(wasmtime::Error::msg("")).unwrap();
            assert!(limits.memory_growing(0, 60, None).unwrap());
            limits.memory_grow_failed(wasmtime::Error::msg("")).unwrap();
        }
        assert_eq!(limits.refused(), None, "its own bound is not ours");
        assert!(limits.memory_growing(0, 100, None).unwrap());
        assert!(!limits.memory_growing(100, 101, None).unwrap());
        limits.memory_grow_failed(wasmtime::Error::msg("")).unwrap();
        assert!(!limits.memory_growing(0, 1, None).unwrap());
    }
}
