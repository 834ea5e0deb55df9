//! The WebAssembly engine: one configuration, one clock for deadlines, limits per instance.

mod limits;
mod ticker;

pub(crate) use limits::MemoryLimits;
pub(crate) use ticker::{Active, TICK, Ticker};

use portcullis_policy::Limits;
use wasmtime::Config;

/// Bytes of strings and lists that one host call may lift from a guest, and so the ceiling of `stdin`.
pub(crate) const HOST_CALL_BYTES: usize = 16 * 1024 * 1024;

/// The same where a call is recorded. A byte then takes as much memory as any value, 32 bytes, so this is 4 MiB of a list
/// of bytes.
pub(crate) const HOST_CALL_BYTES_AS_VALUES: usize = 128 * 1024 * 1024;

/// Bytes of stack a guest may use.
const GUEST_STACK: usize = 1024 * 1024;

/// What ends a guest that computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metering {
    /// Its time: it looks at a clock now and then, which costs next to nothing.
    Epochs,
    /// Its time, and the number of its instructions, which all have to be counted.
    EpochsAndFuel,
}

impl Metering {
    pub(crate) const fn of(limits: &Limits) -> Self {
        match limits.fuel {
            None => Self::Epochs,
            Some(_) => Self::EpochsAndFuel,
        }
    }
}

/// The engine's configuration. Everything that changes compiled code is set here, so that two hosts of one build share
/// their cache; code of one metering is never taken for that of the other.
pub(crate) fn config(metering: Metering, pooling: bool) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.consume_fuel(metering == Metering::EpochsAndFuel);
    config.max_wasm_stack(GUEST_STACK);
    config.async_stack_size(2 * GUEST_STACK);
    config.wasm_component_model(true);
    // Shared memory would let two instances race, and 64-bit memories lose the guard pages that make bounds checks
    // free. No toolchain needs either for a plugin.
    config.wasm_memory64(false);
    if pooling {
        let mut pool = wasmtime::PoolingAllocationConfig::default();
        pool.linear_memory_keep_resident(2 * 1024 * 1024);
        config.allocation_strategy(wasmtime::InstanceAllocationStrategy::Pooling(pool));
    }
    config
}
