//! The terminal as plugins share it with us: what they write is held while a person is asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

/// What everything that passes on a plugin's output has in common. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Screen(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Nobody is asked any more.
    released: Condvar,
    /// A write has ended.
    written: Notify,
    /// Whether a plugin's bytes went into a pipe. Whoever reads them may show them at any time, over a question too.
    piped: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    writers: usize,
    waiting: Vec<Waker>,
}

/// Nothing of a plugin is written until this is dropped.
#[derive(Debug)]
pub(crate) struct Held(Screen);

/// A write under way.
#[derive(Debug)]
pub(super) struct Writing(Screen);

impl Screen {
    /// Holds what plugins write from now on, once what is being written is out.
    pub(crate) async fn hold(&self) -> Held {
        self.state().held = true;
        let held = Held(self.clone());
        loop {
            let written = self.0.written.notified();
            if self.state().writers == 0 {
                return held;
            }
            written.await;
        }
    }

    /// Whether something of a plugin went into a pipe.
    pub(crate) fn is_piped(&self) -> bool {
        self.0.piped.load(Ordering::SeqCst)
    }

    pub(super) fn set_piped(&self) {
        self.0.piped.store(true, Ordering::SeqCst);
    }

    /// Begins a write, as soon as nobody is asked.
    pub(super) fn poll_write(&self, context: &mut Context<'_>) -> Poll<Writing> {
        let mut state = self.state();
        if state.held {
            state.waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        state.writers += 1;
        Poll::Ready(Writing(self.clone()))
    }

    /// As [`Self::poll_write`], for a thread that may wait.
    pub(super) fn wait_to_write(&self) -> Writing {
        let mut state = self.state();
        while state.held {
            let woken = self.0.released.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.writers += 1;
        Writing(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.held = false;
        state.waiting.drain(..).for_each(Waker::wake);
        drop(state);
        self.0.0.released.notify_all();
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.state().writers -= 1;
        self.0.0.written.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_waits_for_what_is_being_written_and_holds_the_rest() {
        let screen = Screen::default();
        let writing = screen.wait_to_write();
        let mut hold = Box::pin(screen.hold());
        let mut context = Context::from_waker(Waker::noop());
        assert!(hold.as_mut().poll(&mut context).is_pending());
        drop(writing);
        let Poll::Ready(held) = hold.as_mut().poll(&mut context) else {
            panic!("nothing is being written any more")
        };
        assert!(screen.poll_write(&mut context).is_pending());
        let other = screen.clone();
        let thread = std::thread::spawn(move || drop(other.wait_to_write()));
        drop(held);
        thread.join().unwrap();
        assert!(screen.poll_write(&mut context).is_ready());
    }

    #[tokio::test]
    async fn a_question_that_is_given_up_holds_nothing() {
        let screen = Screen::default();
        let _writing = screen.wait_to_write();
        let mut hold = Box::pin(screen.hold());
        let mut context = Context::from_waker(Waker::noop());
        assert!(hold.as_mut().poll(&mut context).is_pending());
        drop(hold);
        assert!(screen.poll_write(&mut context).is_ready());
    }
}
