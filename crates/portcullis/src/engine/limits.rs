use wasmtime::ResourceLimiter;

/// Counts what all memories and tables of one instance use together, so that many small ones are no way around the
/// limit of a large one.
#[derive(Debug)]
pub(crate) struct MemoryLimits {
    memory: Budget,
    tables: Budget,
}

#[derive(Debug)]
struct Budget {
    used: u64,
    limit: u64,
    refused: bool,
}

impl MemoryLimits {
    pub(crate) fn new(limits: &portcullis_policy::Limits) -> Self {
        Self {
            memory: Budget::new(limits.memory),
            tables: Budget::new(limits.table_elements),
        }
    }

    /// The memory limit, if the guest ran into it.
    pub(crate) fn refused_memory(&self) -> Option<u64> {
        self.memory.refused.then_some(self.memory.limit)
    }
}

impl Budget {
    const fn new(limit: u64) -> Self {
        Self {
            used: 0,
            limit,
            refused: false,
        }
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let more = desired.saturating_sub(current) as u64;
        let after = self.used.saturating_add(more);
        self.refused |= after > self.limit;
        if after > self.limit {
            return false;
        }
        self.used = after;
        true
    }
}

impl ResourceLimiter for MemoryLimits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.memory.grow(current, desired))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.tables.grow(current, desired))
    }
}
