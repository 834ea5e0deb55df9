//! `clock` and `random`: real by default, and fixed by policy for runs that can be repeated.
//!
//! A fixed time of day stands still. The monotonic clock always begins at zero, and runs on, so that a guest can sleep and
//! wait; what it prints of durations still differs.

use std::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use portcullis_policy::Grants;
use wasmtime_wasi::{HostWallClock, WasiCtxBuilder};

/// Fixes what the grants say.
pub(crate) fn fix(wasi: &mut WasiCtxBuilder, grants: &Grants) {
    if let Some(time) = grants.clock {
        wasi.wall_clock(StandingStill(time));
    }
    if let Some(seed) = grants.random {
        let stream = |number| {
            let mut stream = ChaCha20Rng::seed_from_u64(seed);
            stream.set_stream(number);
            stream
        };
        let mut once = stream(2);
        let insecure_seed = u128::from(once.next_u64()) << 64 | u128::from(once.next_u64());
        wasi.secure_random(stream(0))
            .insecure_random(stream(1))
            .insecure_random_seed(insecure_seed);
    }
}

struct StandingStill(Duration);

impl HostWallClock for StandingStill {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}
