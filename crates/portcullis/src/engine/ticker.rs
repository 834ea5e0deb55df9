use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// How often a running guest is asked whether its time is up.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Advances the engine's epoch while a guest runs, and sleeps while none does.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    active: AtomicUsize,
    parked: AtomicBool,
    stop: AtomicBool,
}

/// Keeps the epoch advancing; one for each call in progress.
#[derive(Debug)]
pub(crate) struct Active(Arc<Shared>);

impl Ticker {
    pub(crate) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("portcullis-epoch".to_owned())
            .spawn(move || run(&seen, &engine))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Says that a guest is about to run.
    pub(crate) fn enter(&self) -> Active {
        self.shared.active.fetch_add(1, Ordering::SeqCst);
        if self.shared.parked.swap(false, Ordering::SeqCst) {
            self.unpark();
        }
        Active(Arc::clone(&self.shared))
    }

    fn unpark(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

fn run(shared: &Shared, engine: &Engine) {
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.active.load(Ordering::SeqCst) > 0 {
            thread::park_timeout(TICK);
            engine.increment_epoch();
            continue;
        }
        // `parked` first, then the second look: a call that enters in between either is seen here or unparks.
        shared.parked.store(true, Ordering::SeqCst);
        if shared.active.load(Ordering::SeqCst) == 0 && !shared.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        shared.parked.store(false, Ordering::SeqCst);
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.unpark();
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic: it only counts and sleeps.
            let _ = thread.join();
        }
    }
}
