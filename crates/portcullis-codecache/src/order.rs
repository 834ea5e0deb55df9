//! Compiling in another process: what is asked of it, what it answers, and what of the answer is believed.
//!
//! The answer is code that will run in this process, so it has to be shown that it is what a compiler made of these
//! bytes for this engine, whole. The order carries a key that is used once; the answer carries a MAC under it over the
//! code and over everything that the code is for, as an entry of the cache does. What lies in between, a pipe, and
//! whoever else could write to it, can neither change nor exchange anything.
//!
//! What this does not show: that the compiler was not taken over by the module that it compiled. It then has the key,
//! and its code runs here, as it would if the compilation itself had been made here.

use std::fmt;
use std::io::{self, Read, Write};

use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::StoreError;
use crate::cache::CodeCache;
use crate::entry::{HEADER, Keys, Kind, MAC, Mac, Subject};
use crate::load::{Artifact, Authenticated};

const SECRET: usize = 32;
/// How an answer ends: code, or why there is none.
const CODE: u8 = 1;
const REFUSAL: u8 = 2;
/// Bytes of a reason that are worth keeping: the compiler's word for it is not authenticated.
const MAX_REASON: usize = 4096;

/// A component or core module to be compiled by another process, with [`serve`].
///
/// ```
/// use portcullis_codecache::{Order, serve};
/// use wasmtime::Engine;
///
/// let engine = Engine::default();
/// let order = Order::component(&engine, wat::parse_str("(component)")?)?;
/// let mut answer = Vec::new();
/// serve(&engine, None, order.message(), &mut answer)?; // in another process, over pipes
/// let component = order.accept(answer)?.component()?;
/// # let _ = component;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Order {
    engine: Engine,
    subject: Subject,
    keys: Keys,
    message: Vec<u8>,
}

/// How a component is made of a core module that is none yet.
#[derive(Clone, Copy, Debug)]
pub struct Maker {
    /// Stands for everything that shapes the result besides the module: what is made by another recipe is something else.
    pub recipe: [u8; 32],
    /// Makes the component, or says why there is none.
    pub make: fn(&[u8]) -> Result<Vec<u8>, String>,
}

/// Why an answer is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The compiler refused the bytes.
    #[error("{0}")]
    Refused(String),
    /// The compiler has another version or other settings than this engine.
    #[error("it was compiled by another build, or with other settings")]
    OtherEngine,
    /// It is no answer to this order, or not all of it.
    #[error("what came back is not what was ordered")]
    NotAuthentic,
}

/// Code that was compiled as ordered.
pub struct Compiled {
    engine: Engine,
    subject: Subject,
    code: Vec<u8>,
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The message has the key.
        f.debug_struct("Order").finish_non_exhaustive()
    }
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled")
            .field("bytes", &self.code.len())
            .finish_non_exhaustive()
    }
}

impl Order {
    /// Orders the component with these bytes, for this engine.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn component(engine: &Engine, wasm: Vec<u8>) -> io::Result<Self> {
        Self::new(Subject::new(Component::KIND, engine, &wasm), engine, wasm)
    }

    /// Orders the component that `maker` makes of the core module with these bytes, for this engine.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn made(engine: &Engine, maker: &Maker, wasm: Vec<u8>) -> io::Result<Self> {
        Self::new(Subject::made(engine, &maker.recipe, &wasm), engine, wasm)
    }

    /// Orders the core module with these bytes, for this engine.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn module(engine: &Engine, wasm: Vec<u8>) -> io::Result<Self> {
        Self::new(Subject::new(Module::KIND, engine, &wasm), engine, wasm)
    }

    fn new(subject: Subject, engine: &Engine, wasm: Vec<u8>) -> io::Result<Self> {
        let mut secret = [0; SECRET];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let mut message = wasm;
        message.push(subject.kind as u8);
        message.extend_from_slice(&secret);
        Ok(Self {
            engine: engine.clone(),
            subject,
            keys: Keys::new(&secret),
            message,
        })
    }

    /// What [`serve`] has to read, to its end.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Takes the message out, for who cannot borrow it.
    pub fn take_message(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.message)
    }

    /// Takes what [`serve`] wrote.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn accept(self, mut answer: Vec<u8>) -> Result<Compiled, AnswerError> {
        match answer.pop() {
            Some(CODE) => {}
            Some(REFUSAL) => {
                answer.truncate(MAX_REASON);
                let why = String::from_utf8_lossy(&answer).into_owned();
                return Err(AnswerError::Refused(why));
            }
            _ => return Err(AnswerError::NotAuthentic),
        }
        let length = answer.len().checked_sub(HEADER + MAC);
        let length = length.ok_or(AnswerError::NotAuthentic)?;
        let trailer = answer.split_off(length);
        let (found, mac) = trailer.split_at(HEADER);
        let header = self.subject.header(length as u64);
        if found != header {
            return Err(match Subject::is_of_other_engine(found, &header) {
                true => AnswerError::OtherEngine,
                false => AnswerError::NotAuthentic,
            });
        }
        // Comparing a `blake3::Hash` takes the same time wherever the bytes differ.
        if *mac != Mac::new(&self.keys, &header).of(&answer).as_bytes()[..] {
            return Err(AnswerError::NotAuthentic);
        }
        Ok(Compiled {
            engine: self.engine,
            subject: self.subject,
            code: answer,
        })
    }
}

impl Compiled {
    /// The component.
    ///
    /// # Errors
    /// What the engine says, also if a core module was ordered.
    pub fn component(self) -> wasmtime::Result<Component> {
        self.load()
    }

    /// The core module.
    ///
    /// # Errors
    /// What the engine says, also if a component was ordered.
    pub fn module(self) -> wasmtime::Result<Module> {
        self.load()
    }

    fn load<T: Artifact>(self) -> wasmtime::Result<T> {
        T::load(&self.engine, Authenticated::compiled(self.code))
    }
}

impl CodeCache {
    /// Stores code that was compiled as ordered.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored. Nothing of it is left then.
    pub fn put_compiled(&self, compiled: &Compiled) -> Result<(), StoreError> {
        self.put_code(&compiled.subject, &compiled.code)
    }
}

/// Compiles what is ordered on `input`, which is read to its end, and writes the answer to `output`.
///
/// The engine must have the settings of the one that ordered, as far as they shape code, and so must the maker. Without a
/// maker nothing is made.
///
/// # Errors
/// When `input` or `output` fails, or `input` is no order. That something cannot be compiled is an answer.
pub fn serve(
    engine: &Engine,
    maker: Option<&Maker>,
    mut input: impl Read,
    mut output: impl Write,
) -> io::Result<()> {
    let mut wasm = Vec::new();
    input.read_to_end(&mut wasm)?;
    let length = wasm.len().checked_sub(SECRET);
    let length = length.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut secret = [0; SECRET];
    secret.copy_from_slice(&wasm.split_off(length));
    let kind = Kind::of(wasm.pop()).ok_or(io::ErrorKind::InvalidData)?;
    match compile(engine, maker, kind, &wasm)? {
        Ok((subject, code)) => {
            let header = subject.header(code.len() as u64);
            let mac = Mac::new(&Keys::new(&secret), &header).of(&code);
            output.write_all(&code)?;
            output.write_all(&header)?;
            output.write_all(mac.as_bytes())?;
            output.write_all(&[CODE])?;
        }
        Err(why) => {
            output.write_all(why.as_bytes())?;
            output.write_all(&[REFUSAL])?;
        }
    }
    output.flush()
}

type Served = Result<(Subject, Vec<u8>), String>;

fn compile(engine: &Engine, maker: Option<&Maker>, kind: Kind, wasm: &[u8]) -> io::Result<Served> {
    let (subject, code) = match kind {
        Kind::Component => (
            Subject::new(kind, engine, wasm),
            engine.precompile_component(wasm),
        ),
        Kind::Module => (
            Subject::new(kind, engine, wasm),
            engine.precompile_module(wasm),
        ),
        Kind::Made => {
            let maker = maker.ok_or(io::ErrorKind::InvalidData)?;
            match (maker.make)(wasm) {
                Ok(made) => (
                    Subject::made(engine, &maker.recipe, wasm),
                    engine.precompile_component(&made),
                ),
                Err(why) => return Ok(Err(why)),
            }
        }
    };
    let code = code.map_err(|error| format!("{error:#}"));
    Ok(code.map(|code| (subject, code)))
}
