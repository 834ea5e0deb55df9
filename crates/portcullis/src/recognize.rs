//! What a file is, by its bytes and shape, and how to build the right one.

use crate::abi::clawft::{self, PLUGIN};
use crate::abi::fledge;
use crate::abi::reglet;
use crate::abi::wasi_command::is_run;
use crate::outline::Outline;
use crate::shape::Shape;
use serde::{Deserialize, Serialize};

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A WebAssembly component: what most plugins are.
    Component,
    /// A component for the world of clawft's plugins.
    ClawftComponent,
    /// A component for a draft of that world, with named interfaces, which was never released.
    ClawftDraft,
    /// A core module in the form that plugins have in languages without component tooling.
    PortcullisModule,
    /// A core module for Extism.
    ExtismModule,
    /// A core module for fledge.
    FledgeModule,
    /// A core module for Reglet.
    RegletModule,
    /// A component for the world of WASI's commands, `wasi:cli/command`.
    WasiComponent,
    /// A core module with a `_start`, a command on WASI preview 1.
    WasiCommand,
    /// A core module with an `_initialize` on WASI preview 1, which does nothing by itself.
    WasiReactor,
    /// Any other core module.
    CoreModule,
    /// Code compiled ahead of time by some Wasmtime; it is native code and would have all our rights.
    Precompiled,
    /// The text format.
    Text,
    /// A native program.
    NativeProgram,
    /// A script with a `#!` line.
    Script,
    /// A zip or gzip archive.
    Archive,
    /// Nothing.
    Empty,
    /// Anything else.
    Unknown,
}

impl Kind {
    /// Looks at a file's bytes. A module that is cut off or malformed is still recognized by its beginning.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [] => Self::Empty,
            [0, b'a', b's', b'm', ..] => Self::of_wasm(bytes),
            [0x7f, b'E', b'L', b'F', ..] if contains(bytes, b".wasmtime") => Self::Precompiled,
            [0x7f, b'E', b'L', b'F', ..] | [b'M', b'Z', ..] | [0xcf, 0xfa, 0xed, 0xfe, ..] => {
                Self::NativeProgram
            }
            [b'#', b'!', ..] => Self::Script,
            [b'P', b'K', 3, 4, ..] | [0x1f, 0x8b, ..] => Self::Archive,
            _ if is_text(bytes) => Self::Text,
            _ => Self::Unknown,
        }
    }

    fn of_wasm(bytes: &[u8]) -> Self {
        // The version of the format, and whether it is that of components.
        if bytes
            .get(4..8)
            .is_some_and(|version| version[2..] == [1, 0])
        {
            return Self::of_component(bytes);
        }
        let shape = Shape::of(bytes);
        if shape.imports_from("extism") {
            Self::ExtismModule
        } else if shape.imports_from_module(fledge::MODULE) {
            Self::FledgeModule
        } else if shape.imports_from_module(reglet::MODULE) || reglet::speaks(&shape) {
            Self::RegletModule
        } else if shape.imports_from(OURS) || shape.lacks().is_empty() {
            Self::PortcullisModule
        } else if shape.exports("_start") {
            Self::WasiCommand
        } else if shape.exports("_initialize") {
            Self::WasiReactor
        } else {
            Self::CoreModule
        }
    }

    fn of_component(bytes: &[u8]) -> Self {
        let outline = Outline::of(bytes);
        let exports = outline.exports.iter().map(|export| &export.name);
        let mut names = outline.imports.iter().chain(exports);
        let mut exports = outline.exports.iter();
        if outline.exports(RUN) {
            Self::Component
        } else if outline.exports_instance(PLUGIN) {
            Self::ClawftComponent
        } else if exports.any(|export| export.is_instance && is_run(&export.name)) {
            Self::WasiComponent
        } else if names.any(|name| name.starts_with(clawft::NAMED)) {
            Self::ClawftDraft
        } else {
            Self::Component
        }
    }

    /// Whether it can be a plugin.
    pub const fn is_plugin(self) -> bool {
        matches!(
            self,
            Self::Component
                | Self::ClawftComponent
                | Self::PortcullisModule
                | Self::FledgeModule
                | Self::RegletModule
                | Self::WasiComponent
                | Self::WasiCommand
        )
    }

    /// Whether it is a command of WASI, which has arguments, input and an exit code.
    pub const fn is_command(self) -> bool {
        matches!(self, Self::WasiComponent | Self::WasiCommand)
    }

    /// What it is, as a noun.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Component => "a component",
            Self::ClawftComponent => "a component for clawft",
            Self::ClawftDraft => {
                "a component for a draft of clawft's interface, with named interfaces"
            }
            Self::PortcullisModule => "a core module in the form of plugins",
            Self::ExtismModule => "a core module for Extism",
            Self::FledgeModule => "a core module for fledge",
            Self::RegletModule => "a core module for Reglet",
            Self::WasiComponent => "a component that is a command of WASI 0.2",
            Self::WasiCommand => "a core module that is a command of WASI preview 1",
            Self::WasiReactor => {
                "a core module that is a reactor of WASI preview 1, and does nothing by itself"
            }
            Self::CoreModule => "a core module, and not in the form of plugins",
            Self::Precompiled => "native code compiled ahead of time (`.cwasm`)",
            Self::Text => "WebAssembly in the text format",
            Self::NativeProgram => "a native program",
            Self::Script => "a script",
            Self::Archive => "an archive",
            Self::Empty => "empty",
            Self::Unknown => "not a WebAssembly file",
        }
    }

    /// How to get a plugin from it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Component
            | Self::ClawftComponent
            | Self::PortcullisModule
            | Self::FledgeModule
            | Self::RegletModule
            | Self::WasiComponent
            | Self::WasiCommand => "it can be loaded",
            Self::ClawftDraft => {
                "the draft was never released; rebuild it for the world `clawft:plugin/plugin@0.1.0`, whose `host` and `plugin` are plain names"
            }
            Self::ExtismModule => "rebuild the plugin for the world `portcullis:cli/plugin@0.1.0`",
            Self::WasiReactor => {
                "build it as a command, with a `_start`, or have it export `memory`, `allocate` and `run` as the core-module form of `docs/interfaces.md` says"
            }
            Self::CoreModule => {
                "build with `--target wasm32-wasip2`, or turn it into a component with `wasm-tools component new`"
            }
            Self::Precompiled => {
                "load the `.wasm` file it was compiled from; Portcullis keeps compiled code itself"
            }
            Self::Text => "translate it with `wasm-tools parse -o plugin.wasm`",
            Self::NativeProgram | Self::Script => {
                "a plugin is a `.wasm` file; a command is run by a plugin"
            }
            Self::Archive => "unpack it and name the `.wasm` file inside",
            Self::Empty | Self::Unknown => "check how the file was built or copied",
        }
    }
}

/// What every component of our worlds exports.
const RUN: &str = "run";
/// How the names of our modules begin, in this version and others.
const OURS: &str = "portcullis:core/";

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn is_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(4096)];
    let text = String::from_utf8_lossy(head);
    let first = text
        .lines()
        .map(str::trim_start)
        .find(|line| !line.is_empty() && !line.starts_with(";;"));
    first.is_some_and(|line| line.starts_with("(module") || line.starts_with("(component"))
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn files_are_recognized_by_their_bytes() {
        let cases: [(&[u8], Kind); 9] = [
            (b"", Kind::Empty),
            (b"\0asm\x0d\0\x01\0", Kind::Component),
            (b"\0asm\x01\0\0\0", Kind::CoreModule),
            (b"\0asm", Kind::CoreModule),
            (b"\x7fELF\x02\x01.wasmtime.info", Kind::Precompiled),
            (b"\x7fELF\x02\x01\x01", Kind::NativeProgram),
            (b"\n;; a comment\n  (component)", Kind::Text),
            (b"#!/bin/sh\n", Kind::Script),
            (b"PK\x03\x04....", Kind::Archive),
        ];
        for (bytes, kind) in cases {
            assert_eq!(
                Kind::of(bytes),
                kind,
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
}
