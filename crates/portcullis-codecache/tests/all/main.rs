//! Behaviour of the compiled-code cache, through its public interface.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod attacks;
mod concurrency;
mod hits;
mod order;
mod ownership;
mod space;

use std::fs;
use std::path::PathBuf;

use portcullis_codecache::{CodeCache, Fetched, LoadError, Options, Origin};
use tempfile::TempDir;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Instance, Module, Store};

/// A cache directory and one for its key.
struct Place {
    _parent: TempDir,
    dir: PathBuf,
    key_dir: PathBuf,
}

impl Place {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let (dir, key_dir) = (parent.path().join("cache"), parent.path().join("data"));
        Place {
            _parent: parent,
            dir,
            key_dir,
        }
    }

    fn cache(&self) -> CodeCache {
        CodeCache::open(&self.dir, &self.key_dir, Options::default()).unwrap()
    }

    /// The files of the entries.
    fn entries(&self) -> Vec<PathBuf> {
        let mut entries: Vec<_> = fs::read_dir(&self.dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        entries
    }

    /// Stores the component that answers this and gives the file of its entry, after a hit was shown.
    fn stored(&self, engine: &Engine, answer: u32) -> PathBuf {
        let cache = self.cache();
        let before = self.entries();
        assert!(compiled(&fetch(&cache, engine, answer)).0);
        let hit = fetch(&cache, engine, answer);
        assert!(is_hit(&hit), "{:?}", hit.origin);
        assert_eq!(run(engine, &hit.code), answer);
        self.entries()
            .into_iter()
            .find(|entry| !before.contains(entry))
            .unwrap()
    }
}

/// A component whose `run` gives this number.
fn component_wasm(answer: u32) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(component
            (core module $m (func (export "run") (result i32) i32.const {answer}))
            (core instance $i (instantiate $m))
            (func (export "run") (result u32) (canon lift (core func $i "run"))))"#
    ))
    .unwrap()
}

/// A core module whose `run` gives this number.
fn module_wasm(answer: u32) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module (func (export "run") (result i32) i32.const {answer}))"#
    ))
    .unwrap()
}

fn run(engine: &Engine, component: &Component) -> u32 {
    let mut store = Store::new(engine, ());
    let instance = Linker::new(engine)
        .instantiate(&mut store, component)
        .unwrap();
    let run = instance
        .get_typed_func::<(), (u32,)>(&mut store, "run")
        .unwrap();
    run.call(&mut store, ()).unwrap().0
}

fn run_module(engine: &Engine, module: &Module) -> i32 {
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, module, &[]).unwrap();
    instance
        .get_typed_func::<(), i32>(&mut store, "run")
        .unwrap()
        .call(&mut store, ())
        .unwrap()
}

fn fetch(cache: &CodeCache, engine: &Engine, answer: u32) -> Fetched<Component> {
    let wasm = component_wasm(answer);
    cache
        .component(engine, &wasm, || Component::new(engine, &wasm))
        .unwrap()
}

fn is_hit<T>(fetched: &Fetched<T>) -> bool {
    matches!(fetched.origin, Origin::Cache)
}

/// Whether it was compiled and stored, and why an entry was refused.
fn compiled<T>(fetched: &Fetched<T>) -> (bool, Option<&LoadError>) {
    match &fetched.origin {
        Origin::Compiled {
            refused,
            not_stored: None,
        } => (true, refused.as_ref()),
        _ => (false, None),
    }
}
