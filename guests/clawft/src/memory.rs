//! What the guest does with its memory and its time.

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

static INITS: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);
static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub fn note_init() {
    INITS.fetch_add(1, Ordering::Relaxed);
}

/// How often `init` was called in this memory, and this function.
pub fn counts() -> [u64; 2] {
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    [INITS.load(Ordering::Relaxed), calls]
}

/// Takes fuel in proportion to the rounds.
pub fn burn(rounds: u64) -> u64 {
    (0..rounds).fold(1, |sum, round| black_box(sum ^ round))
}

/// Takes memory a mebibyte at a time, and ends as Rust ends where there is no more. Gives it back.
pub fn allocate(mebibytes: u64) -> usize {
    let taken: Vec<Vec<u8>> = (0..mebibytes)
        .map(|_| black_box(vec![1; 1024 * 1024]))
        .collect();
    taken.len()
}

pub fn remember(text: &str) {
    if let Ok(mut kept) = KEPT.lock() {
        kept.push(text.to_owned());
    }
}

/// How often a text stands in this memory, which is not to hold it for the question: it comes backwards.
pub fn scan(backwards: &str) -> usize {
    let wanted = backwards.as_bytes();
    let end = core::arch::wasm32::memory_size::<0>() * 65_536;
    let byte = |at: usize| {
        let place: *const u8 = core::ptr::without_provenance(at);
        // SAFETY: below `end` all of the memory can be read, and nothing writes it meanwhile.
        unsafe { place.read_volatile() }
    };
    let stands_at = |at: &usize| {
        let mut there = wanted.iter().rev().enumerate();
        there.all(|(offset, wanted)| byte(at + offset) == *wanted)
    };
    (1..end - wanted.len()).filter(stands_at).count()
}
