//! How a component is made of a plugin: one command of the language's own tools, and what it has to reach.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use portcullis_config::Manifest;
use tempfile::TempDir;

use super::Language;
use super::world::{self, Streams, WORLD};
use crate::settings::Environment;

/// Where everything is kept that is made on the way.
pub(super) const TARGET: &str = "target";
/// Where `portcullis new` puts the SDK.
pub(crate) const SDK: &str = "portcullis-sdk";
/// The target of Rust's compiler, if the author's settings name none.
const RUST_TARGET: &str = "wasm32-wasip2";

/// A command, and what it needs besides the plugin's own directory.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Variables of the author's that it is given as they are.
    pub(crate) pass_env: Vec<String>,
    /// Where its programs are looked up.
    pub(crate) search_path: Vec<PathBuf>,
    /// Toolchains that it reads and executes.
    pub(crate) system: Vec<PathBuf>,
    /// What it only reads.
    pub(crate) read: Vec<PathBuf>,
    /// Where in the plugin's directory it executes what was written.
    pub(crate) write_exec: Vec<PathBuf>,
    /// What it makes.
    pub(crate) product: PathBuf,
    /// What was written for it, and is removed with it.
    written: Option<TempDir>,
}

/// Something that has to be installed first.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) what: &'static str,
    /// The one command that installs it.
    pub(crate) install: &'static str,
}

/// Why there is no recipe.
#[derive(Debug)]
pub(crate) enum NoRecipe {
    Missing(Missing),
    /// A file of the plugin cannot be used, as a clause.
    Unusable(String),
}

impl From<Missing> for NoRecipe {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

/// The author's tools.
#[derive(Debug)]
pub(crate) struct Tools<'a> {
    pub(crate) env: &'a Environment,
}

impl Recipe {
    /// How a plugin in this directory is built.
    ///
    /// # Errors
    /// A tool is not there, or a file of the plugin does not say what is needed.
    pub(crate) fn of(
        language: Language,
        dir: &Path,
        manifest: &Manifest,
        tools: &Tools<'_>,
    ) -> Result<Self, NoRecipe> {
        match language {
            Language::Rust => rust(dir, tools),
            Language::Go => Ok(go(dir, tools)?),
            Language::Python => python(dir, manifest, tools),
            Language::JavaScript => javascript(dir, manifest, tools),
            Language::C => Ok(c(dir, tools)?),
        }
    }

    /// Lets it execute what lies there: in the plugin's own directory, or elsewhere.
    fn executes(&mut self, place: PathBuf, dir: &Path) {
        if place.starts_with(dir) {
            self.write_exec.push(place);
        } else {
            self.system.push(place);
        }
    }

    fn reads(&mut self, written: TempDir) {
        self.read.push(written.path().to_owned());
        self.written = Some(written);
    }

    fn new(program: PathBuf, product: PathBuf) -> Self {
        Self {
            program,
            args: Vec::new(),
            env: Vec::new(),
            pass_env: Vec::new(),
            search_path: ["/usr/local/bin", "/usr/bin", "/bin"]
                .map(PathBuf::from)
                .to_vec(),
            system: Vec::new(),
            read: Vec::new(),
            write_exec: Vec::new(),
            product,
            written: None,
        }
    }
}

impl Tools<'_> {
    /// A program on the author's own path. Scripts do not count: what they start is another program that lies elsewhere.
    fn find(&self, name: &str) -> Option<PathBuf> {
        let path = self.env.get("PATH")?;
        std::env::split_paths(path)
            .map(|dir| dir.join(name))
            .find(|path| is_executable(path))
    }

    fn home(&self, below: &str) -> Option<PathBuf> {
        Some(self.env.path("HOME")?.join(below))
    }

    /// The first that has such a directory: the plugin's own place, and those that a variable lists.
    fn with(&self, own: PathBuf, variable: &str, name: &str) -> Option<PathBuf> {
        let listed = self.env.get(variable).map(std::env::split_paths);
        let mut places = [own].into_iter().chain(listed.into_iter().flatten());
        let found = places.find(|place| place.join(name).is_dir())?;
        found.canonicalize().ok()
    }

    /// The directory that a variable names, or else one in the home directory.
    fn place(&self, variable: &str, below: &str) -> Option<PathBuf> {
        self.env
            .path(variable)
            .map(Path::to_owned)
            .or_else(|| self.home(below))
    }
}

fn is_executable(path: &Path) -> bool {
    let mut head = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == *b"\x7fELF"
}

/// Those that are there, as they really are.
fn real(paths: impl IntoIterator<Item = Option<PathBuf>>) -> Vec<PathBuf> {
    let real = paths
        .into_iter()
        .flatten()
        .filter_map(|path| path.canonicalize().ok());
    real.collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn rust(dir: &Path, tools: &Tools<'_>) -> Result<Recipe, NoRecipe> {
    let cargo = tools.find("cargo").ok_or(Missing {
        what: "cargo",
        install: "curl --proto '=https' -sSf https://sh.rustup.rs | sh",
    })?;
    let name = library(dir).map_err(NoRecipe::Unusable)?;
    let target = tools
        .env
        .get("CARGO_BUILD_TARGET")
        .and_then(|target| target.to_str());
    let target = target.unwrap_or(RUST_TARGET);
    let own = dir.join(TARGET);
    let product = own
        .join(target)
        .join("release")
        .join(format!("{name}.wasm"));
    let home = tools.place("CARGO_HOME", ".cargo");
    let of_home = |below: &str| home.as_ref().map(|home| home.join(below));
    // Macros and build scripts are programs of this machine, and linked as its others are, unless cargo is told otherwise.
    let told = [Some(dir.join(".cargo/config.toml")), of_home("config.toml")];
    if tools.find("cc").is_none() && !told.into_iter().flatten().any(|path| path.exists()) {
        return Err(NoRecipe::from(Missing {
            what: "a linker for macros and build scripts, `cc`",
            install: "sudo apt-get install build-essential",
        }));
    }
    let bin = cargo.parent().map(Path::to_owned);
    let mut recipe = Recipe::new(cargo, product);
    // Not all of its home, which has credentials in it.
    recipe.read = real(["registry", "git", "config.toml"].map(of_home));
    recipe.system = real([of_home("bin"), tools.place("RUSTUP_HOME", ".rustup")]);
    recipe.search_path.splice(0..0, bin);
    recipe.write_exec = vec![own.clone()];
    recipe.args = words(&[
        "build",
        "--release",
        "--lib",
        "--offline",
        "--target",
        target,
    ]);
    recipe.env = vec![("CARGO_TARGET_DIR".to_owned(), own.display().to_string())];
    let upper = target.to_ascii_uppercase().replace('-', "_");
    recipe.pass_env = words(&[
        "CARGO_HOME",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
        "RUSTC",
        "RUSTFLAGS",
    ]);
    recipe
        .pass_env
        .extend(["LINKER", "RUSTFLAGS"].map(|end| format!("CARGO_TARGET_{upper}_{end}")));
    Ok(recipe)
}

/// What a tool makes that is told where.
fn product(dir: &Path) -> PathBuf {
    dir.join(TARGET).join("plugin.wasm")
}

/// The name of the library of a package.
///
/// # Errors
/// `Cargo.toml` does not say.
fn library(dir: &Path) -> Result<String, String> {
    let path = dir.join(Language::Rust.mark());
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let manifest: toml::Table = text
        .parse()
        .map_err(|error| format!("`{}`: {error}", path.display()))?;
    let named = |table: &str| manifest.get(table)?.get("name")?.as_str();
    let name = named("lib").or(named("package"));
    name.map(|name| name.replace('-', "_"))
        .ok_or_else(|| format!("`{}` has no package", path.display()))
}

fn go(dir: &Path, tools: &Tools<'_>) -> Result<Recipe, Missing> {
    let go = tools.find("go").ok_or(Missing {
        what: "go, 1.24 or newer",
        install: "see https://go.dev/doc/install",
    })?;
    let product = product(dir);
    let go = go.canonicalize().unwrap_or(go);
    let root = go.ancestors().nth(2).map(Path::to_owned);
    let mut recipe = Recipe::new(go, product.clone());
    recipe.system = real([root.filter(|root| !root.starts_with("/usr"))]);
    recipe.read = real([tools.place("GOMODCACHE", "go/pkg/mod")]);
    recipe.args = words(&[
        "build",
        "-trimpath",
        "-buildmode=c-shared",
        "-ldflags=-s -w",
        "-o",
    ]);
    recipe
        .args
        .extend([product.display().to_string(), ".".to_owned()]);
    let cache = dir.join(TARGET).join("go").display().to_string();
    recipe.env = [
        ("GOOS", "wasip1"),
        ("GOARCH", "wasm"),
        ("GOTOOLCHAIN", "local"),
        ("GOPROXY", "off"),
        ("GOWORK", "off"),
        ("GOFLAGS", "-mod=mod"),
        ("GOCACHE", &cache),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    recipe.pass_env = words(&["GOMODCACHE"]);
    Ok(recipe)
}

fn c(dir: &Path, tools: &Tools<'_>) -> Result<Recipe, Missing> {
    let names = ["clang", "clang-22", "clang-21", "clang-20", "clang-19"];
    let clang = names
        .iter()
        .find_map(|name| tools.find(name))
        .ok_or(Missing {
            what: "clang and lld, 14 or newer",
            install: "sudo apt-get install clang lld",
        })?;
    let product = product(dir);
    let mut recipe = Recipe::new(clang, product.clone());
    recipe.args = words(&[
        "--target=wasm32",
        "-Os",
        "-nostdlib",
        "-mbulk-memory",
        "-Wall",
        "-Wl,--no-entry,--strip-debug",
        "-I",
        SDK,
        "-o",
    ]);
    recipe
        .args
        .extend([product.display().to_string(), Language::C.mark().to_owned()]);
    Ok(recipe)
}

/// Writes the WIT that a plugin is built for: not into its directory, where somebody could have put links.
fn wit(manifest: &Manifest, streams: Streams) -> Result<TempDir, NoRecipe> {
    let written = tempfile::tempdir().and_then(|wit| {
        world::write(wit.path(), manifest, streams)?;
        Ok(wit)
    });
    written.map_err(|error| NoRecipe::Unusable(format!("cannot write its WIT: {error}")))
}

/// How `componentize-py` is started: by its module, since the script of that name may be anybody's.
const COMPONENTIZE_PY: &str = "import sys; from componentize_py import script; sys.exit(script())";

fn python(dir: &Path, manifest: &Manifest, tools: &Tools<'_>) -> Result<Recipe, NoRecipe> {
    let python = tools.find("python3").ok_or(Missing {
        what: "python3",
        install: "sudo apt-get install python3 python3-pip",
    })?;
    let own = dir.join(".venv");
    let packages = tools.with(own, "PYTHONPATH", "componentize_py");
    let packages = packages.ok_or(Missing {
        what: "componentize-py",
        install: "python3 -m pip install --target .venv componentize-py==0.25.1",
    })?;
    let wit = wit(manifest, Streams::AsTheyAre)?;
    let place = wit.path().display().to_string();
    let product = product(dir);
    let mut recipe = Recipe::new(python.canonicalize().unwrap_or(python), product.clone());
    recipe.args = words(&[
        "-c",
        COMPONENTIZE_PY,
        "-d",
        &place,
        "-w",
        WORLD,
        "componentize",
        "plugin",
    ]);
    recipe.args.extend(words(&["-p", ".", "-p", SDK, "-o"]));
    recipe.args.push(product.display().to_string());
    let packages_place = packages.display().to_string();
    // The second, so that it looks for no other modules of this machine.
    recipe.env = ["PYTHONPATH", "VIRTUAL_ENV"]
        .map(|name| (name.to_owned(), packages_place.clone()))
        .to_vec();
    recipe.executes(packages, dir);
    recipe.reads(wit);
    Ok(recipe)
}

/// What makes a component with the tools of JavaScript.
const JAVASCRIPT: &str = include_str!("javascript.mjs");

fn javascript(dir: &Path, manifest: &Manifest, tools: &Tools<'_>) -> Result<Recipe, NoRecipe> {
    let node = tools.find("node").ok_or(Missing {
        what: "node, 18 or newer",
        install: "sudo apt-get install nodejs npm",
    })?;
    let own = dir.join("node_modules");
    let modules = tools.with(own, "NODE_PATH", "componentize-qjs");
    let modules = modules.ok_or(Missing {
        what: "componentize-qjs",
        install: "npm install",
    })?;
    if !modules.join("esbuild").is_dir() {
        return Err(NoRecipe::from(Missing {
            what: "esbuild",
            install: "npm install --save-dev esbuild@0.28.2",
        }));
    }
    let wit = wit(manifest, Streams::StandIn)?;
    // Beside the WIT, of which it is no part.
    let script = wit.path().join("javascript.mjs");
    fs::write(&script, JAVASCRIPT)
        .map_err(|error| NoRecipe::Unusable(format!("cannot write what builds it: {error}")))?;
    let product = product(dir);
    let mut recipe = Recipe::new(node.canonicalize().unwrap_or(node), product.clone());
    let shown = |path: &Path| path.display().to_string();
    recipe.args = vec![shown(&script), shown(&modules)];
    recipe
        .args
        .extend(words(&[".", Language::JavaScript.mark()]));
    recipe.args.extend([
        shown(wit.path()),
        WORLD.to_owned(),
        product.display().to_string(),
    ]);
    recipe.executes(modules, dir);
    recipe.reads(wit);
    Ok(recipe)
}
