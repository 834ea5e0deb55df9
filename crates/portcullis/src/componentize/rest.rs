//! What of WASI preview 1 the adapter has not: exit codes, and an answer where a command uses sockets or signals.
//!
//! It is a module of its own, which stands beside the adapter. It has no memory and no state.

use wasm_encoder::{
    CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    Module, TypeSection, ValType,
};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::words;

/// What it is called in a module that imports from it.
pub(super) const MODULE: &str = "portcullis:wasi-preview1";

/// What of 0.2 it is made of.
const WIT: &str = "
    package portcullis:preview1;
    world rest { import wasi:cli/exit@0.2.12; }
    package wasi:cli@0.2.12 { interface exit { exit-with-code: func(status-code: u8); } }
";
const EXIT: (&str, &str) = ("wasi:cli/exit@0.2.12", "exit-with-code");

/// Does not return, whatever its number.
const PROC_EXIT: &str = "proc_exit";
/// How many numbers each of the others takes. They answer one, an `errno`.
const UNSUPPORTED: [(&str, usize); 5] = [
    ("proc_raise", 1),
    ("sock_accept", 3),
    ("sock_recv", 6),
    ("sock_send", 5),
    ("sock_shutdown", 2),
];
/// `errno`: `notsup`.
const NOT_SUPPORTED: i32 = 58;

/// Whether a function of preview 1 is in it.
pub(super) fn has(name: &str) -> bool {
    name == PROC_EXIT
        || UNSUPPORTED
            .iter()
            .any(|(unsupported, _)| *unsupported == name)
}

/// The module, with what it imports said in its metadata.
///
/// # Errors
/// None that a module to be made into a component could cause.
pub(super) fn adapter() -> Result<Vec<u8>, String> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("rest.wit", WIT).map_err(words)?;
    let world = resolve
        .select_world(&[package], Some("rest"))
        .map_err(words)?;
    let mut module = module().finish();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(words)?;
    Ok(module)
}

fn module() -> Module {
    let (mut types, mut imports) = (TypeSection::new(), ImportSection::new());
    let (mut functions, mut exports) = (FunctionSection::new(), ExportSection::new());
    let mut code = CodeSection::new();
    types.ty().function([ValType::I32], []);
    imports.import(EXIT.0, EXIT.1, EntityType::Function(0));
    functions.function(0);
    exports.export(PROC_EXIT, ExportKind::Func, 1);
    let mut body = Function::new([]);
    body.instructions().local_get(0).call(0).unreachable().end();
    code.function(&body);
    for (index, (name, params)) in (1..).zip(UNSUPPORTED) {
        types
            .ty()
            .function(vec![ValType::I32; params], [ValType::I32]);
        functions.function(index);
        exports.export(name, ExportKind::Func, index + 1);
        let mut body = Function::new([]);
        body.instructions().i32_const(NOT_SUPPORTED).end();
        code.function(&body);
    }
    let mut module = Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&exports)
        .section(&code);
    module
}
