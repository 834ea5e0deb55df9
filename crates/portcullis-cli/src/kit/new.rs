//! What a new plugin begins with.

use std::path::PathBuf;

use super::Language;
use super::recipe::SDK;

/// The SDKs, as the build script finds them.
mod sdks {
    include!(concat!(env!("OUT_DIR"), "/sdks.rs"));
}

/// A file of a new plugin.
#[derive(Debug)]
pub(crate) struct NewFile {
    /// From the plugin's directory.
    pub(crate) path: PathBuf,
    pub(crate) content: Vec<u8>,
}

/// Files by their places.
type Files = &'static [(&'static str, &'static str)];

/// What every plugin has.
const COMMON: Files = &[
    ("plugin.toml", include_str!("new/plugin.toml")),
    ("portcullis.toml", include_str!("new/portcullis.toml")),
    ("tests/status.toml", include_str!("new/tests.toml")),
    ("README.md", include_str!("new/README.md")),
    (".gitignore", include_str!("new/gitignore")),
];

/// What is particular to a language.
struct Kind {
    files: Files,
    sdk: &'static [(&'static str, &'static [u8])],
    world: &'static str,
    /// What is to be done once, before the first build.
    setup: &'static str,
    ignored: &'static str,
}

const COMPONENT: &str = "portcullis:cli/plugin-with-command@0.1.0";
const CORE_MODULE: &str = "portcullis:core/v1";

const fn kind(language: Language) -> Kind {
    match language {
        Language::Rust => Kind {
            files: &[
                ("Cargo.toml", include_str!("new/rust/Cargo.toml")),
                ("src/lib.rs", include_str!("new/rust/src/lib.rs")),
            ],
            sdk: sdks::RUST,
            world: COMPONENT,
            setup: "$ rustup target add wasm32-wasip2\n$ cargo fetch\n",
            ignored: "",
        },
        Language::Go => Kind {
            files: &[
                ("go.mod", include_str!("new/go/go.mod")),
                ("main.go", include_str!("new/go/main.go")),
            ],
            sdk: sdks::GO,
            world: CORE_MODULE,
            setup: "",
            ignored: "",
        },
        Language::Python => Kind {
            files: &[("plugin.py", include_str!("new/python/plugin.py"))],
            sdk: sdks::PYTHON,
            world: COMPONENT,
            setup: "$ python3 -m pip install --target .venv componentize-py==0.25.1\n",
            ignored: "/.venv/\n__pycache__/\n",
        },
        Language::JavaScript => Kind {
            files: &[
                ("plugin.js", include_str!("new/javascript/plugin.js")),
                ("package.json", include_str!("new/javascript/package.json")),
            ],
            sdk: sdks::JAVASCRIPT,
            world: COMPONENT,
            setup: "$ npm install\n",
            ignored: "/node_modules/\n",
        },
        Language::C => Kind {
            files: &[("plugin.c", include_str!("new/c/plugin.c"))],
            sdk: sdks::C,
            world: CORE_MODULE,
            setup: "",
            ignored: "",
        },
    }
}

/// All files of a new plugin of this name.
pub(crate) fn files(name: &str, language: Language, schemas: [(&str, String); 2]) -> Vec<NewFile> {
    let kind = kind(language);
    let filled = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{language}}", language.name())
            .replace("{{world}}", kind.world)
            .replace("{{setup}}", kind.setup)
            .replace("{{ignored}}", kind.ignored)
    };
    let own = COMMON.iter().chain(kind.files).map(|(path, text)| NewFile {
        path: path.into(),
        content: filled(text).into_bytes(),
    });
    let sdk = kind.sdk.iter().map(|(path, content)| NewFile {
        path: PathBuf::from(SDK).join(path),
        content: content.to_vec(),
    });
    let schemas = schemas.into_iter().map(|(name, text)| NewFile {
        path: PathBuf::from(SDK).join("schema").join(name),
        content: text.into_bytes(),
    });
    own.chain(sdk).chain(schemas).collect()
}

/// What is to be done once, before the first build; a line each.
pub(crate) fn setup(language: Language) -> &'static str {
    kind(language).setup
}
