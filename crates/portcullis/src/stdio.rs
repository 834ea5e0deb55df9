use std::sync::Arc;

use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::cli::StdoutStream;

/// Where a guest's own output goes.
///
/// # Defaults
/// Nowhere; standard input is at its end.
#[derive(Clone, Default)]
pub struct GuestStdio {
    stdout: Option<Arc<dyn Fn() -> Box<dyn StdoutStream + Sync> + Send + Sync>>,
    stderr: Option<Arc<dyn Fn() -> Box<dyn StdoutStream + Sync> + Send + Sync>>,
}

impl std::fmt::Debug for GuestStdio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestStdio")
            .field("stdout", &self.stdout.is_some())
            .field("stderr", &self.stderr.is_some())
            .finish()
    }
}

impl GuestStdio {
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

    pub(crate) fn attach(&self, wasi: &mut WasiCtxBuilder) {
        if let Some(make) = &self.stdout {
            wasi.stdout(make());
        }
        if let Some(make) = &self.stderr {
            wasi.stderr(make());
        }
    }
}
