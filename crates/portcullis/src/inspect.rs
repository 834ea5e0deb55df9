//! What a plugin's file says about itself. No guest code runs, and nothing is compiled.

use serde::Serialize;
use wasmparser::{Parser, Payload};

use portcullis_policy::{Capability, Grants};

use crate::abi::{clawft, fledge};
use crate::diagnostic::Diagnostic;
use crate::error::MissingImport;
use crate::imports;
use crate::notice;
use crate::outline::Outline;
use crate::recognize::Kind;
use crate::shape::{ModuleImport, Shape};

/// What every component exports that is a plugin.
const RUN: &str = "run";

/// What stands in a plugin's file.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes.
    pub bytes: usize,
    /// Its BLAKE3 digest, the one in the audit trail, as 64 hexadecimal digits.
    pub blake3: String,
    /// What it imports, in order; empty for anything but a plugin.
    pub imports: Vec<Import>,
    /// What it exports.
    pub exports: Vec<String>,
    /// Exports that every plugin has, and it has not. Of a file that is a core module of another kind, those of a core
    /// module that is a plugin.
    pub lacks: Vec<&'static str>,
    /// Where reading it stopped, if it is malformed.
    pub malformed: Option<String>,
    /// What the operator should know of it before it is run.
    pub notices: Vec<Diagnostic>,
}

/// What a plugin imports: an interface, or a function of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    /// Its name, with package and version; for a function `module.name`.
    pub name: String,
    /// The capability it needs; `None` if it is there without a grant, and of no effect without one.
    pub needs: Option<Capability>,
    /// Why it keeps the plugin from being loaded under these grants, if it does.
    pub missing: Option<String>,
}

/// Reads a plugin's file, and compares its imports with grants.
pub fn inspect(bytes: &[u8], grants: &Grants) -> Inspection {
    let kind = Kind::of(bytes);
    let (imports, exports, malformed) = match kind {
        Kind::Component => of_component(bytes, |names| imports::missing(names, grants)),
        Kind::ClawftComponent => of_component(bytes, imports::clawft::missing),
        Kind::WasiComponent => of_component(bytes, |names| imports::missing(names, grants)),
        Kind::PortcullisModule | Kind::WasiCommand => {
            of_module(bytes, imports::module::needs, |imports| {
                imports::module::missing(imports, grants)
            })
        }
        Kind::FledgeModule => of_module(bytes, imports::fledge::needs, |imports| {
            imports::fledge::missing(imports, grants)
        }),
        Kind::RegletModule => of_module(bytes, imports::reglet::needs, |imports| {
            imports::reglet::missing(imports, grants)
        }),
        _ => (Vec::new(), Vec::new(), None),
    };
    let lacks = match kind {
        Kind::Component if exports.iter().any(|export| export == RUN) => Vec::new(),
        Kind::Component => vec![RUN],
        Kind::ClawftComponent => clawft::lacks(bytes),
        Kind::FledgeModule if exports.iter().any(|export| export == fledge::START) => Vec::new(),
        Kind::FledgeModule => vec![fledge::START],
        Kind::PortcullisModule | Kind::CoreModule | Kind::WasiReactor => Shape::of(bytes).lacks(),
        _ => Vec::new(),
    };
    Inspection {
        kind,
        bytes: bytes.len(),
        blake3: blake3::hash(bytes).to_hex().to_string(),
        imports,
        exports,
        lacks,
        malformed,
        notices: notice::of_file(&grants.plugin, kind, bytes),
    }
}

type Interface = (Vec<Import>, Vec<String>, Option<String>);

fn of_component(bytes: &[u8], missing: impl Fn(&[String]) -> Vec<MissingImport>) -> Interface {
    let outline = Outline::of(bytes);
    let missing = missing(&outline.imports);
    let imports = outline
        .imports
        .into_iter()
        .map(|name| Import {
            needs: imports::needs(&name),
            missing: why(&missing, &name),
            name,
        })
        .collect();
    let exports = outline.exports.into_iter().map(|export| export.name);
    (imports, exports.collect(), outline.malformed)
}

fn of_module(
    bytes: &[u8],
    needs: impl Fn(&ModuleImport) -> Option<Capability>,
    missing: impl Fn(&[ModuleImport]) -> Vec<MissingImport>,
) -> Interface {
    let shape = Shape::of(bytes);
    let missing = missing(&shape.imports);
    let imports = shape
        .imports
        .iter()
        .map(|import| Import {
            needs: needs(import),
            missing: why(&missing, &import.shown()),
            name: import.shown(),
        })
        .collect();
    (imports, shape.exports, shape.malformed)
}

fn why(missing: &[MissingImport], name: &str) -> Option<String> {
    let import = missing.iter().find(|import| import.name == name);
    import.map(|import| import.why.clone())
}

/// Whether modules and components lie deeper in one another than any toolchain puts them. Compiling such a file takes
/// memory and time that grow with the square of its depth.
pub(crate) fn is_too_deep(bytes: &[u8]) -> bool {
    const MOST: u32 = 100;
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(_) => {}
            // What is malformed is refused by who compiles it.
            Err(_) => return false,
        }
        if depth > MOST {
            return true;
        }
    }
    false
}
