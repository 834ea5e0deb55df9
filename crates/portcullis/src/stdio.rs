use std::sync::Arc;

use tokio::io::AsyncWrite;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::cli::{StdinStream, StdoutStream};

use crate::last_words::{LastWords, Listened};
use crate::record::{Channel, Recorder};

type MakeInput = Arc<dyn Fn() -> Box<dyn StdinStream + Sync> + Send + Sync>;
type MakeOutput = Arc<dyn Fn() -> Box<dyn StdoutStream + Sync> + Send + Sync>;

/// Where a guest's own input comes from, and where its output goes.
///
/// # Defaults
/// Input is at its end, output goes nowhere.
#[derive(Clone, Default)]
pub struct GuestStdio {
    stdin: Option<MakeInput>,
    stdout: Option<MakeOutput>,
    stderr: Option<MakeOutput>,
}

impl std::fmt::Debug for GuestStdio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestStdio")
            .field("stdin", &self.stdin.is_some())
            .field("stdout", &self.stdout.is_some())
            .field("stderr", &self.stderr.is_some())
            .finish()
    }
}

impl GuestStdio {
    /// Lets the guest read its standard input from a stream made for each instance.
    #[must_use]
    pub fn stdin<S: StdinStream + Sync + 'static>(
        mut self,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        self.stdin = Some(Arc::new(move || Box::new(make())));
        self
    }

    /// Sends what the guest writes to its standard output to a stream made for each instance.
    #[must_use]
    pub fn stdout<S: StdoutStream + Sync + 'static>(
        mut self,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        self.stdout = Some(Arc::new(move || Box::new(make())));
        self
    }

    /// Sends what the guest writes to its standard error to a stream made for each instance.
    #[must_use]
    pub fn stderr<S: StdoutStream + Sync + 'static>(
        mut self,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        self.stderr = Some(Arc::new(move || Box::new(make())));
        self
    }

    /// The same, with what arrives in a record.
    pub(crate) fn recorded(self, recorder: &Arc<Recorder>) -> Self {
        let listened = |make: Option<MakeOutput>, to: Channel| {
            let recorder = Arc::clone(recorder);
            let make = make.unwrap_or_else(|| Arc::new(|| Box::new(std::io::empty())));
            let listened: MakeOutput = Arc::new(move || {
                let recorder = Arc::clone(&recorder);
                let hears = Arc::new(move |bytes: &[u8]| recorder.wrote(to, bytes));
                Box::new(Listened::new(make(), hears))
            });
            Some(listened)
        };
        Self {
            stdin: self.stdin,
            stdout: listened(self.stdout, Channel::Stdout),
            stderr: listened(self.stderr, Channel::Stderr),
        }
    }

    /// The same, with the guest's input at its end.
    pub(crate) fn without_input(&self) -> Self {
        Self {
            stdin: None,
            ..self.clone()
        }
    }

    /// Standard output as a command gets it that inherits it; `None` when it goes nowhere.
    pub(crate) fn stdout_of_command(&self) -> Option<Box<dyn AsyncWrite + Send + Unpin>> {
        self.stdout.as_deref().map(of_command)
    }

    /// Standard error likewise.
    pub(crate) fn stderr_of_command(&self) -> Option<Box<dyn AsyncWrite + Send + Unpin>> {
        self.stderr.as_deref().map(of_command)
    }

    pub(crate) fn attach(&self, wasi: &mut WasiCtxBuilder, words: &LastWords) {
        if let Some(make) = &self.stdin {
            wasi.stdin(make());
        }
        if let Some(make) = &self.stdout {
            wasi.stdout(make());
        }
        let stderr = match &self.stderr {
            Some(make) => make(),
            None => Box::new(std::io::empty()),
        };
        wasi.stderr(words.listen(stderr));
    }
}

fn of_command(
    make: &(dyn Fn() -> Box<dyn StdoutStream + Sync> + Send + Sync),
) -> Box<dyn AsyncWrite + Send + Unpin> {
    Box::new(Box::into_pin(make().async_stream()))
}
