//! The form of an entry: a header, a MAC over header and code, and the code.

use std::hash::{Hash, Hasher};

use wasmtime::Engine;

const MAGIC: [u8; 8] = *b"PCLSCODE";
/// The version of the entry format; a part of the name, so other versions are never met.
const VERSION: u32 = 1;

pub(crate) const HEADER: usize = 8 + 4 + 4 + 32 + 32 + 8;
pub(crate) const MAC: usize = 32;
/// Where a header has the engine.
const ENGINE: std::ops::Range<usize> = 16..48;
/// Where the code begins.
pub(crate) const PREAMBLE: usize = HEADER + MAC;

/// What was compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Component = 1,
    Module = 2,
    /// A component that a [`Maker`](crate::Maker) makes of a core module first.
    Made = 3,
}

impl Kind {
    pub(crate) fn of(byte: Option<u8>) -> Option<Self> {
        [Self::Component, Self::Module, Self::Made]
            .into_iter()
            .find(|kind| byte == Some(*kind as u8))
    }
}

/// The secrets of a cache: one key names entries, two authenticate them.
pub(crate) struct Keys {
    name: [u8; 32],
    mac: [u8; 32],
    piece: [u8; 32],
}

impl Keys {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Keys {
            name: blake3::derive_key("portcullis codecache 2026-11-21 entry name", secret),
            mac: blake3::derive_key("portcullis codecache 2026-11-21 entry mac", secret),
            piece: blake3::derive_key("portcullis codecache 2026-11-21 entry piece", secret),
        }
    }
}

/// What an entry is for: this kind of code, by this engine with these settings, from these bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    engine: [u8; 32],
    wasm: [u8; 32],
}

impl Subject {
    pub(crate) fn new(kind: Kind, engine: &Engine, wasm: &[u8]) -> Self {
        Self::of(kind, engine, blake3::hash(wasm))
    }

    /// A component that is made of these bytes first, as the recipe says.
    pub(crate) fn made(engine: &Engine, recipe: &[u8; 32], wasm: &[u8]) -> Self {
        Self::of(Kind::Made, engine, blake3::keyed_hash(recipe, wasm))
    }

    fn of(kind: Kind, engine: &Engine, wasm: blake3::Hash) -> Self {
        let mut settings = Digest(blake3::Hasher::new());
        engine.precompile_compatibility_hash().hash(&mut settings);
        let engine = *settings.0.finalize().as_bytes();
        Subject {
            kind,
            engine,
            wasm: *wasm.as_bytes(),
        }
    }

    /// The header of an entry with this many bytes of code.
    pub(crate) fn header(&self, code: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let mut rest = header.as_mut_slice();
        for part in [
            MAGIC.as_slice(),
            &VERSION.to_le_bytes(),
            &(self.kind as u32).to_le_bytes(),
            &self.engine,
            &self.wasm,
            &code.to_le_bytes(),
        ] {
            let (place, after) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = after;
        }
        header
    }

    /// Whether a header that is not the expected one differs from it in the engine alone, or also in the length of the
    /// code, which is the engine's.
    pub(crate) fn is_of_other_engine(found: &[u8], expected: &[u8; HEADER]) -> bool {
        found.len() == HEADER
            && found[..ENGINE.start] == expected[..ENGINE.start]
            && found[ENGINE] != expected[ENGINE]
            && found[ENGINE.end..HEADER - 8] == expected[ENGINE.end..HEADER - 8]
    }

    /// The file name of the entry. It is keyed, so that nobody else can tell which plugins are used.
    pub(crate) fn name(&self, keys: &Keys) -> String {
        let mut name = blake3::keyed_hash(&keys.name, &self.header(0)).to_string();
        name.push_str(SUFFIX);
        name
    }
}

/// How the names of entries end.
pub(crate) const SUFFIX: &str = ".pcode";

/// The code is authenticated in pieces of this many bytes, so that several threads can do it.
pub(crate) const PIECE: usize = 1 << 20;

/// The MAC of an entry: over the header, which has the length, and the keyed hashes of all pieces in order.
#[derive(Clone, Copy)]
pub(crate) struct Mac<'a> {
    keys: &'a Keys,
    header: &'a [u8; HEADER],
}

impl<'a> Mac<'a> {
    pub(crate) fn new(keys: &'a Keys, header: &'a [u8; HEADER]) -> Self {
        Mac { keys, header }
    }

    /// Begins the hash of one piece.
    pub(crate) fn piece(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.keys.piece)
    }

    /// The MAC, from the hashes of all pieces.
    pub(crate) fn finish(&self, pieces: &[blake3::Hash]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.keys.mac);
        hasher.update(self.header);
        for piece in pieces {
            hasher.update(piece.as_bytes());
        }
        hasher.finalize()
    }

    /// The MAC of this code.
    pub(crate) fn of(&self, code: &[u8]) -> blake3::Hash {
        let hash = |piece| self.piece().update(piece).finalize();
        self.finish(&code.chunks(PIECE).map(hash).collect::<Vec<_>>())
    }
}

/// Takes all the bytes of a `Hash` implementation, where `finish` would keep 64 bits of them.
struct Digest(blake3::Hasher);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0.finalize().as_bytes()[..8]);
        u64::from_le_bytes(first)
    }
}
