//! `portcullis:cli@0.1.0`, and `my:cli` of the design it comes from: one record type under every name.

use portcullis_exec::{Completed, ExecAsk, Status};
use portcullis_policy::{Code, GuestError};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource, ResourceType};

use crate::state::State;

/// The names under which plugins import `process`.
pub(crate) const PROCESS: [&str; 3] = [
    "portcullis:cli/process@0.1.0",
    "my:cli/process",
    "my:cli/process@0.1.0",
];
/// The names under which plugins import `process-context`.
pub(crate) const CONTEXT: [&str; 3] = [
    "portcullis:cli/process-context@0.1.0",
    "my:cli/process-context",
    "my:cli/process-context@0.1.0",
];

/// The exit status of a command that was stopped at its deadline, as `timeout(1)` reports it.
const TIMED_OUT: u32 = 124;
/// What is added to the number of a signal, as a shell reports it.
const SIGNAL_BASE: u32 = 128;

#[derive(ComponentType, Lift)]
#[component(record)]
struct ExecRequest {
    program: String,
    args: Vec<String>,
    cwd: Option<String>,
    env: Vec<(String, String)>,
    #[component(name = "inherit-env")]
    inherit_env: bool,
    stdin: Option<Vec<u8>>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct ExecResult {
    status: u32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Settings that hold for several commands: the host side of the `context` resource.
#[derive(Debug, Default)]
pub(crate) struct Context {
    env: Vec<(String, String)>,
}

impl Context {
    fn bytes(&self) -> usize {
        self.env
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }
}

/// Bytes of names and values that all contexts of an instance keep; one command could not be given a tenth of it.
const CONTEXT_BYTES: usize = 1024 * 1024;

/// Makes every name known to the linker. Whether a call does anything is the gate's decision.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for name in PROCESS {
        linker.instance(name)?.func_wrap_async(
            "exec",
            |mut store: StoreContextMut<'_, State>, (request,)| {
                Box::new(async move { Ok((exec(store.data_mut(), request).await,)) })
            },
        )?;
    }
    for name in CONTEXT {
        let mut instance = linker.instance(name)?;
        instance.resource(
            "context",
            ResourceType::host::<Context>(),
            |mut store, rep| {
                let state = store.data_mut();
                let context = state.table.delete(Resource::<Context>::new_own(rep))?;
                state.context_bytes -= context.bytes();
                Ok(())
            },
        )?;
        instance.func_wrap(
            "[constructor]context",
            |mut store: StoreContextMut<'_, State>, ()| {
                Ok((store.data_mut().table.push(Context::default())?,))
            },
        )?;
        instance.func_wrap(
            "[method]context.set-env",
            |mut store: StoreContextMut<'_, State>,
             (context, key, value): (Resource<Context>, String, String)| {
                let state = store.data_mut();
                let context = state.table.get_mut(&context)?;
                state.context_bytes -= context.bytes();
                context.env.retain(|(name, _)| *name != key);
                context.env.push((key, value));
                state.context_bytes += context.bytes();
                if state.context_bytes > CONTEXT_BYTES {
                    return Err(wasmtime::Error::msg(
                        "all contexts together hold at most 1 MiB",
                    ));
                }
                Ok(())
            },
        )?;
        instance.func_wrap_async(
            "[method]context.exec",
            |mut store: StoreContextMut<'_, State>,
             (context, mut request): (Resource<Context>, ExecRequest)| {
                Box::new(async move {
                    let state = store.data_mut();
                    let own = std::mem::take(&mut request.env);
                    request.env = state
                        .table
                        .get(&context)?
                        .env
                        .iter()
                        .cloned()
                        .chain(own)
                        .collect();
                    Ok((exec(state, request).await,))
                })
            },
        )?;
    }
    Ok(())
}

async fn exec(state: &mut State, request: ExecRequest) -> Result<ExecResult, String> {
    let ExecRequest {
        program,
        args,
        cwd,
        env,
        inherit_env,
        stdin,
    } = request;
    let ask = ExecAsk {
        program,
        args,
        cwd,
        env,
        inherit_env,
        stdin,
    };
    let completed = state.gate.exec(ask.into()).await;
    let completed = completed.map_err(|refused| guest_text(refused.guest))?;
    let for_output = completed
        .killed_for
        .is_some_and(|code| code != Code::LimitMemory);
    if completed.truncated() || for_output {
        // The record has no flag for it, and output that was cut would pass as whole.
        return Err(guest_text(state.gate.output_limit(&completed)));
    }
    Ok(encode(completed))
}

fn encode(completed: Completed) -> ExecResult {
    let status = match completed.status {
        Status::Exited(code) => u32::from(code),
        Status::Signalled(signal) => SIGNAL_BASE + signal.unsigned_abs(),
        Status::TimedOut => TIMED_OUT,
    };
    ExecResult {
        status,
        stdout: completed.stdout,
        stderr: completed.stderr,
    }
}

fn guest_text(error: GuestError) -> String {
    error.text().to_owned()
}
