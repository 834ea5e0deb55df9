//! A host whose `exec` is a function of the test.

use std::path::PathBuf;
use wasmtime::component::{Component, Linker, Resource, ResourceType, Val};
use wasmtime::{Engine, Store};

/// A command as the guest asked for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Request {
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) inherit_env: bool,
    pub(crate) stdin: Option<Vec<u8>>,
}

/// Status and standard output, or the text of a refusal. Standard error says `complaint` where the status is not 0.
pub(crate) type Answer = Result<(u32, String), String>;

struct State {
    answer: Box<dyn Fn(&Request) -> Answer + Send>,
    requests: Vec<Request>,
    contexts: Vec<Vec<(String, String)>>,
}

/// A resource type needs a Rust type to stand for it; the index into `contexts` is its representation.
struct Context;

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    /// What `run` returned, or the trap's text.
    pub(crate) result: Result<Result<String, String>, String>,
    /// The commands asked for, in order.
    pub(crate) requests: Vec<Request>,
}

impl Run {
    /// Returns the text of `ok`.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        match &self.result {
            Ok(Ok(text)) => text,
            other => panic!("expected ok, got {other:?}"),
        }
    }

    /// Returns the text of `err`.
    #[track_caller]
    pub(crate) fn err(&self) -> &str {
        match &self.result {
            Ok(Err(text)) => text,
            other => panic!("expected err, got {other:?}"),
        }
    }
}

/// Returns the path of a guest that `cargo xtask guests` built.
pub(crate) fn guest(name: &str) -> PathBuf {
    root()
        .join("target/guests")
        .join(name)
        .with_extension("wasm")
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Runs a component's `run` with `args`; each command is answered by `answer`.
pub(crate) fn run(
    path: PathBuf,
    args: &[&str],
    answer: impl Fn(&Request) -> Answer + Send + 'static,
) -> Run {
    let engine = Engine::default();
    let bytes = std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error} (`cargo xtask guests` builds it)",
            path.display()
        )
    });
    let component = Component::new(&engine, bytes).unwrap();
    let mut store = Store::new(
        &engine,
        State {
            answer: Box::new(answer),
            requests: Vec::new(),
            contexts: Vec::new(),
        },
    );
    let instance = linker(&engine).instantiate(&mut store, &component).unwrap();
    let args = Val::List(args.iter().map(|&arg| Val::String(arg.into())).collect());
    let run = instance.get_func(&mut store, "run").unwrap();
    let mut results = [Val::Bool(false)];
    let result = match run.call(&mut store, &[args], &mut results) {
        Err(trap) => Err(format!("{trap:?}")),
        Ok(()) => Ok(match &results[0] {
            Val::Result(Ok(Some(text))) => Ok(string(text)),
            Val::Result(Err(Some(text))) => Err(string(text)),
            other => panic!("`run` returned {other:?}"),
        }),
    };
    Run {
        result,
        requests: std::mem::take(&mut store.data_mut().requests),
    }
}

/// Returns what a component's `env-overlay` answers.
pub(crate) fn overlay(path: PathBuf) -> Vec<(String, String)> {
    let engine = Engine::default();
    let component = Component::new(&engine, std::fs::read(path).unwrap()).unwrap();
    let answer = Box::new(|_: &Request| Err("denied".to_owned()));
    let mut store = Store::new(
        &engine,
        State {
            answer,
            requests: Vec::new(),
            contexts: Vec::new(),
        },
    );
    let instance = linker(&engine).instantiate(&mut store, &component).unwrap();
    let overlay = instance.get_func(&mut store, "env-overlay").unwrap();
    let mut results = [Val::Bool(false)];
    overlay.call(&mut store, &[], &mut results).unwrap();
    pairs(&results[0])
}

fn linker(engine: &Engine) -> Linker<State> {
    let mut linker = Linker::new(engine);
    for name in [
        "portcullis:cli/process@0.1.0",
        "my:cli/process",
        "my:cli/process@0.1.0",
    ] {
        let mut process = linker.instance(name).unwrap();
        process
            .func_new("exec", |mut store, _, params, results| {
                results[0] = exec(store.data_mut(), request(&params[0]));
                Ok(())
            })
            .unwrap();
    }
    let mut context = linker
        .instance("portcullis:cli/process-context@0.1.0")
        .unwrap();
    context
        .resource("context", ResourceType::host::<Context>(), |_, _| Ok(()))
        .unwrap();
    context
        .func_wrap("[constructor]context", |mut store, ()| {
            let contexts = &mut store.data_mut().contexts;
            contexts.push(Vec::new());
            Ok((Resource::<Context>::new_own(
                u32::try_from(contexts.len() - 1).unwrap(),
            ),))
        })
        .unwrap();
    context
        .func_wrap(
            "[method]context.set-env",
            |mut store, (this, key, value): (Resource<Context>, String, String)| {
                store.data_mut().contexts[this.rep() as usize].push((key, value));
                Ok(())
            },
        )
        .unwrap();
    context
        .func_new("[method]context.exec", |mut store, _, params, results| {
            let Val::Resource(this) = &params[0] else {
                panic!("the first parameter is the context")
            };
            let this = this.try_into_resource::<Context>(&mut store)?.rep();
            let mut request = request(&params[1]);
            let state = store.data_mut();
            request
                .env
                .splice(0..0, state.contexts[this as usize].clone());
            results[0] = exec(state, request);
            Ok(())
        })
        .unwrap();
    linker
}

fn exec(state: &mut State, request: Request) -> Val {
    let answer = (state.answer)(&request);
    state.requests.push(request);
    let bytes = |text: &str| Val::List(text.bytes().map(Val::U8).collect());
    match answer {
        Err(error) => Val::Result(Err(Some(Box::new(Val::String(error))))),
        Ok((status, stdout)) => Val::Result(Ok(Some(Box::new(Val::Record(vec![
            ("status".to_owned(), Val::U32(status)),
            ("stdout".to_owned(), bytes(&stdout)),
            (
                "stderr".to_owned(),
                bytes(if status == 0 { "" } else { "complaint" }),
            ),
        ]))))),
    }
}

fn request(value: &Val) -> Request {
    let Val::Record(fields) = value else {
        panic!("a request is a record")
    };
    let mut request = Request::default();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("program", program) => request.program = string(program),
            ("args", Val::List(args)) => request.args = args.iter().map(string).collect(),
            ("cwd", Val::Option(cwd)) => request.cwd = cwd.as_deref().map(string),
            ("env", env) => request.env = pairs(env),
            ("inherit-env", Val::Bool(inherit)) => request.inherit_env = *inherit,
            ("stdin", Val::Option(stdin)) => request.stdin = stdin.as_deref().map(bytes),
            (name, value) => panic!("a request has no field `{name}` like {value:?}"),
        }
    }
    request
}

fn string(value: &Val) -> String {
    let Val::String(text) = value else {
        panic!("expected a string, got {value:?}")
    };
    text.clone()
}

fn bytes(value: &Val) -> Vec<u8> {
    let Val::List(items) = value else {
        panic!("expected a list, got {value:?}")
    };
    items
        .iter()
        .map(|item| match item {
            Val::U8(byte) => *byte,
            other => panic!("expected a byte, got {other:?}"),
        })
        .collect()
}

fn pairs(value: &Val) -> Vec<(String, String)> {
    let Val::List(items) = value else {
        panic!("expected a list, got {value:?}")
    };
    items
        .iter()
        .map(|item| match item {
            Val::Tuple(pair) => (string(&pair[0]), string(&pair[1])),
            other => panic!("expected a pair, got {other:?}"),
        })
        .collect()
}
