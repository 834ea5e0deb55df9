//! A component that does nothing but pass calls on: it imports what a plugin imports, and exports each function of it.
//!
//! A host's functions can be called only by a guest. Linked with the host like the plugin itself, the forwarder makes every
//! one of them callable by values, which is what a recorder needs that stands between the two.

use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::sync::LazyLock;

use portcullis_codecache::Maker;
use wasmparser::Parser;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::decoding::{self, DecodedWasm};
use wit_parser::{
    Function, FunctionKind, Handle, InterfaceId, Resolve, SizeAlign, Type, TypeDefKind, TypeId,
    TypeOwner, WorldId, WorldItem, WorldKey,
};

use crate::componentize::COMMAND;

/// How forwarders are made: of a plugin that is a component, or is made one.
pub(crate) static FORWARDER: LazyLock<Maker> = LazyLock::new(|| Maker {
    recipe: recipe(),
    make,
});

/// Counts changes of this module that make another forwarder of the same plugin.
const VERSION: u8 = 1;

fn recipe() -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("portcullis 2026-11-28 forwarder of a plugin");
    hasher.update(&[VERSION]).update(&COMMAND.recipe);
    *hasher.finalize().as_bytes()
}

fn make(plugin: &[u8]) -> Result<Vec<u8>, String> {
    if Parser::is_component(plugin) {
        return forwarder(plugin);
    }
    forwarder(&(COMMAND.make)(plugin)?)
}

/// One function of the host.
struct Forwarded {
    /// As it is imported, with its version: `wasi:io/streams@0.2.3`.
    interface: String,
    /// As the component model names it: `[method]input-stream.read`.
    name: String,
}

/// Makes the forwarder of a component.
///
/// # Errors
/// The bytes are no component, or import something else than interfaces, in words.
fn forwarder(component: &[u8]) -> Result<Vec<u8>, String> {
    let decoded = decoding::decode(component).map_err(words)?;
    let DecodedWasm::Component(mut resolve, world) = decoded else {
        return Err("it is a package of interfaces".to_owned());
    };
    let mut functions = Vec::new();
    let mut passed = Vec::new();
    for (interface, id) in interfaces(&resolve, world)? {
        for (name, function) in &resolve.interfaces[id].functions {
            functions.push(Forwarded {
                interface: interface.clone(),
                name: name.clone(),
            });
            passed.push(function.clone());
        }
    }
    let text = module(&resolve, &functions, &passed);
    let mut module = wat::parse_str(text).map_err(words)?;

    let mut named = Named::new(&mut resolve, world);
    for function in &mut passed {
        named.name_in(function)?;
    }
    let exports = &mut resolve.worlds[world].exports;
    exports.clear();
    for (Forwarded { interface, name }, mut function) in functions.iter().zip(passed) {
        let name = export(interface, name);
        function.name.clone_from(&name);
        function.kind = FunctionKind::Freestanding;
        exports.insert(WorldKey::Name(name), WorldItem::Function(function));
    }
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(words)?;
    // Two versions of an interface stay two.
    let encoder = ComponentEncoder::default().merge_imports_based_on_semver(false);
    let encoder = encoder.validate(true).module(&module);
    let bytes = encoder.and_then(|mut encoder| encoder.encode());
    bytes.map_err(words)
}

/// What a function is exported as: names of exports have a form that those of functions have not.
pub(crate) fn export(interface: &str, name: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(interface.as_bytes()).update(&[0]);
    hasher.update(name.as_bytes());
    let digest = hasher.finalize();
    format!("f{}", hex::encode(&digest.as_bytes()[..16]))
}

fn interfaces(resolve: &Resolve, world: WorldId) -> Result<Vec<(String, InterfaceId)>, String> {
    resolve.worlds[world]
        .imports
        .iter()
        .filter_map(|(key, item)| match item {
            WorldItem::Interface { id, .. } => Some(Ok((resolve.name_world_key(key), *id))),
            WorldItem::Type { .. } => None,
            WorldItem::Function(function) => {
                Some(Err(format!("it imports the function `{}`", function.name)))
            }
        })
        .collect()
}

/// Types of imported interfaces, under names of the world itself: only by such may its own functions use them.
struct Named<'a> {
    resolve: &'a mut Resolve,
    world: WorldId,
    names: HashMap<TypeId, TypeId>,
}

impl<'a> Named<'a> {
    fn new(resolve: &'a mut Resolve, world: WorldId) -> Self {
        // What the plugin's own functions used goes with them.
        let imports = &mut resolve.worlds[world].imports;
        imports.retain(|_, item| matches!(item, WorldItem::Interface { .. }));
        Self {
            resolve,
            world,
            names: HashMap::new(),
        }
    }

    fn name_in(&mut self, function: &mut Function) -> Result<(), String> {
        let params = function.params.iter_mut().map(|param| &mut param.ty);
        for ty in params.chain(&mut function.result) {
            self.name(ty)?;
        }
        Ok(())
    }

    fn name(&mut self, ty: &mut Type) -> Result<(), String> {
        if let Type::Id(id) = ty {
            self.name_id(id)?;
        }
        Ok(())
    }

    fn name_id(&mut self, id: &mut TypeId) -> Result<(), String> {
        if let Some(known) = self.names.get(id) {
            *id = *known;
            return Ok(());
        }
        let original = *id;
        let mut ty = self.resolve.types[original].clone();
        if ty.name.is_some() {
            let name = format!("t{}", self.names.len());
            ty.name = Some(name.clone());
            ty.kind = TypeDefKind::Type(Type::Id(original));
            ty.owner = TypeOwner::World(self.world);
            let span = ty.span;
            *id = self.resolve.types.alloc(ty);
            let item = WorldItem::Type { id: *id, span };
            let imports = &mut self.resolve.worlds[self.world].imports;
            imports.insert(WorldKey::Name(name), item);
        } else {
            match &mut ty.kind {
                TypeDefKind::Handle(Handle::Own(inner) | Handle::Borrow(inner)) => {
                    self.name_id(inner)?
                }
                TypeDefKind::Tuple(tuple) => {
                    for inner in &mut tuple.types {
                        self.name(inner)?;
                    }
                }
                TypeDefKind::Result(result) => {
                    for inner in result.ok.iter_mut().chain(&mut result.err) {
                        self.name(inner)?;
                    }
                }
                TypeDefKind::Option(inner) | TypeDefKind::List(inner) => self.name(inner)?,
                other => return Err(format!("it passes a {}", other.as_str())),
            }
            ty.owner = TypeOwner::None;
            *id = self.resolve.types.alloc(ty);
        }
        self.names.insert(original, *id);
        Ok(())
    }
}

/// The core module of a forwarder, as text.
///
/// What it is given lies in its memory until the call is over, and so does what it gives: it hands on where. Only what the
/// host returns by a place in memory needs room, which the caller of an import provides.
fn module(resolve: &Resolve, functions: &[Forwarded], passed: &[Function]) -> String {
    let mut sizes = SizeAlign::default();
    sizes.fill(resolve);
    let (mut imports, mut exports) = (String::new(), String::new());
    for (index, (Forwarded { interface, name }, function)) in
        functions.iter().zip(passed).enumerate()
    {
        let passed_as = self::export(interface, name);
        let import = resolve.wasm_signature(AbiVariant::GuestImport, function);
        let export = resolve.wasm_signature(AbiVariant::GuestExport, function);
        let room = function.result.filter(|_| import.retptr);
        let room = room.map_or(0, |result| sizes.size(&result).size_wasm32());
        let mut body: String = (0..export.params.len())
            .map(|local| format!(" local.get {local}"))
            .collect();
        if import.retptr {
            _ = write!(
                body,
                " i32.const 0 i32.const 0 i32.const 8 i32.const {room} call $room global.set $last\
                 \n    global.get $last call $i{index} global.get $last"
            );
        } else {
            _ = write!(body, " call $i{index}");
        }
        let (params, results) = (
            types("param", &import.params),
            types("result", &import.results),
        );
        _ = writeln!(
            imports,
            "  (import \"{interface}\" \"{name}\" (func $i{index}{params}{results}))"
        );
        let (params, results) = (
            types("param", &export.params),
            types("result", &export.results),
        );
        _ = writeln!(
            exports,
            "  (func (export \"{passed_as}\"){params}{results}\n   {body})"
        );
        if export.retptr {
            _ = writeln!(
                exports,
                "  (func (export \"cabi_post_{passed_as}\") (param i32) call $over)"
            );
        }
    }
    format!("(module\n{imports}{ROOM}{exports})")
}

/// Memory that is given out from the beginning again when a call is over.
const ROOM: &str = r#"
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 8))
  (global $last (mut i32) (i32.const 0))
  (func $over i32.const 8 global.set $next)
  (func $room (export "cabi_realloc") (param $old i32) (param $had i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32) (local $end i32)
    ;; Aligned to 8 whatever was asked for.
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (local.set $end (i32.add (local.get $at) (local.get $size)))
    (if (i32.lt_u (local.get $end) (local.get $at)) (then unreachable))
    (if (i32.gt_u (local.get $end) (i32.shl (memory.size) (i32.const 16)))
      (then
        (i32.shr_u (i32.sub (local.get $end) (i32.shl (memory.size) (i32.const 16))) (i32.const 16))
        (i32.add (i32.const 1))
        memory.grow
        (if (i32.eq (i32.const -1)) (then unreachable))))
    (if (local.get $had)
      (then (memory.copy (local.get $at) (local.get $old) (local.get $had))))
    (global.set $next (local.get $end))
    (local.get $at))
"#;

fn types(what: &str, types: &[WasmType]) -> String {
    let mut text = String::new();
    if !types.is_empty() {
        _ = write!(text, " ({what}");
        for ty in types {
            text.push_str(match ty {
                WasmType::I32 | WasmType::Pointer | WasmType::Length => " i32",
                WasmType::I64 | WasmType::PointerOrI64 => " i64",
                WasmType::F32 => " f32",
                WasmType::F64 => " f64",
            });
        }
        text.push(')');
    }
    text
}

fn words(error: impl Display) -> String {
    format!("{error:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_has_none() {
        assert!(make(b"").is_err());
        assert!(make(b"\0asm\x0d\0\x01\0cut off").is_err());
        assert!(make(b"\0asm\x01\0\0\0").is_err());
    }

    #[test]
    fn two_functions_have_two_names() {
        assert_ne!(export("a:b/c", "d"), export("a:b/cd", ""));
        assert_eq!(export("a:b/c", "d"), export("a:b/c", "d"));
    }
}
