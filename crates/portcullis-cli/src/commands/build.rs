//! `portcullis build`: makes the component of a plugin, with the tools of its language, in a cell.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis::{ExecAsk, Input};
use portcullis_config::{FlagSet, MANIFEST_FILE, Manifest};
use portcullis_policy::{Confinement, Grants, ProgramRule};
use serde_json::json;

use super::exec::{self, Asked};
use crate::args::{BuildArgs, Common};
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, diagnostic, system};
use crate::kit::{self, Language, Missing, NoRecipe, Recipe, Tools, Tree};
use crate::render::{Printer, line};
use crate::settings::{Environment, Settings};

pub(super) async fn build(args: &BuildArgs, env: Environment, out: Printer) -> Result<Exit> {
    let dir = directory(args, &env)?;
    let built = component(args, &dir, env, out).await?;
    match built {
        Err(exit) => Ok(exit),
        Ok(built) => {
            if args.output.json {
                out.json(json!({ "component": built.path, "bytes": built.bytes, "imports": built.imports }))?;
            } else {
                let size = built.bytes.div_ceil(1024);
                out.line(&line(&format!(
                    "built `{}`, {size} KiB",
                    built.path.display()
                )))?;
                for import in &built.imports {
                    out.line(&line(&format!("  imports {import}")))?;
                }
            }
            Ok(Exit::OK)
        }
    }
}

/// The plugin's directory, as it really is.
pub(super) fn directory(args: &BuildArgs, env: &Environment) -> Result<PathBuf> {
    let dir = args.dir.as_deref().unwrap_or(Path::new("."));
    let real = env.cwd.join(dir).canonicalize();
    real.map_err(|error| Failure::unusable("build", dir, &error))
}

/// What was built.
#[derive(Debug)]
struct Built {
    path: PathBuf,
    bytes: usize,
    imports: Vec<String>,
}

/// Builds the plugin in a directory; the inner error is how its tools ended.
///
/// # Errors
/// It cannot be built here: something is not there, or what came out is no plugin.
async fn component(
    args: &BuildArgs,
    dir: &Path,
    env: Environment,
    out: Printer,
) -> Result<Result<Built, Exit>> {
    let manifest = manifest(dir)?;
    let language = Language::of(dir).ok_or_else(|| no_language(dir))?;
    let recipe = Recipe::of(language, dir, &manifest, &Tools { env: &env });
    let recipe = recipe.map_err(|why| no_recipe(language, why))?;
    let product = recipe.product.clone();
    let tree = Tree::open(dir).map_err(|error| Failure::unusable("build", dir, &error))?;
    let settings = settings(args, dir, &recipe, env)?;
    let asked = asked(args, &recipe, &settings)?;
    let exit = exec::perform(&settings, asked, Input::Nothing, args.output.json, out).await?;
    if exit != Exit::OK {
        return Ok(Err(exit));
    }
    drop(recipe);
    let bytes = tree
        .read(&product)
        .map_err(|error| Failure::unusable("read what was built,", &product, &error))?;
    let bytes = match language {
        Language::JavaScript => kit::with_streams(bytes),
        _ => bytes,
    };
    let bytes = kit::componentize(bytes).map_err(|why| {
        Failure::usage(diagnostic(code::BUILD, "what was built is no plugin").note(why))
    })?;
    let path = dir.join(component_name(dir, &manifest));
    tree.put(&path, &bytes)
        .map_err(|error| Failure::unusable("write", &path, &error))?;
    Ok(Ok(Built {
        imports: imports(&bytes, &manifest),
        bytes: bytes.len(),
        path,
    }))
}

/// What a plugin in a file imports.
fn imports(bytes: &[u8], manifest: &Manifest) -> Vec<String> {
    let found = portcullis::inspect(bytes, &Grants::none(manifest.id.clone()));
    let names = found.imports.into_iter().map(|import| import.name);
    // What a language brings along by itself is nothing to decide on.
    names.filter(|name| !name.starts_with("wasi")).collect()
}

fn manifest(dir: &Path) -> Result<Manifest> {
    let path = dir.join(MANIFEST_FILE);
    let text = fs::read_to_string(&path).map_err(|error| {
        Failure::usage(
            diagnostic(
                code::UNUSABLE,
                format!("cannot read the manifest `{}`", path.display()),
            )
            .note(system(&error))
            .help("`portcullis new NAME --lang LANGUAGE` makes a plugin with one"),
        )
    })?;
    Ok(Manifest::parse(&path, &text)?)
}

/// The name in the manifest or of the directory, and not where a link of that name leads.
fn component_name(dir: &Path, manifest: &Manifest) -> PathBuf {
    match &manifest.component {
        Some(name) => PathBuf::from(name),
        None => Path::new(dir.file_name().unwrap_or_default()).with_added_extension("wasm"),
    }
}

fn no_language(dir: &Path) -> Failure {
    Failure::usage(
        diagnostic(
            code::BUILD,
            format!(
                "cannot tell what the plugin in `{}` is written in",
                dir.display()
            ),
        )
        .note(format!("it has none of {}", Language::marks())),
    )
}

fn no_recipe(language: Language, why: NoRecipe) -> Failure {
    let message = format!("cannot build a plugin in {}", language.name());
    match why {
        NoRecipe::Missing(Missing { what, install }) => Failure::unavailable(
            diagnostic(code::BUILD, message)
                .note(format!("{what} is not installed"))
                .help(format!("to install it: {install}")),
        ),
        NoRecipe::Unusable(why) => Failure::usage(diagnostic(code::BUILD, message).note(why)),
    }
}

/// The plugin's directory to write, and nothing else of the author's but the toolchain.
fn settings(args: &BuildArgs, dir: &Path, recipe: &Recipe, env: Environment) -> Result<Settings> {
    let common = Common {
        project: Some(dir.to_owned()),
        ..args.common()
    };
    let read = recipe.read.iter().map(|path| path.display().to_string());
    let flags = FlagSet {
        allow_read: read.chain(args.read.iter().cloned()).collect(),
        allow_write: vec![dir.display().to_string()],
        allow_net: args.net.clone(),
        confinement: args.unconfined.then_some(Confinement::Limits),
        spelling: portcullis_config::Spelling::Command,
        ..FlagSet::default()
    };
    Settings::load_own(&common, flags, env)
}

fn asked(args: &BuildArgs, recipe: &Recipe, settings: &Settings) -> Result<Asked> {
    let program = recipe.program.display().to_string();
    let ask = ExecAsk {
        program: program.clone(),
        args: recipe.args.clone(),
        env: recipe.env.clone(),
        inherit_env: args.unconfined,
        ..ExecAsk::default()
    };
    let mut asked = Asked::by_flags(ask, settings)?;
    if let Some(exec) = &mut asked.grants.exec {
        exec.allow = vec![ProgramRule::any_arguments(&program)];
        exec.search_path.clone_from(&recipe.search_path);
        exec.system.extend_from_slice(&recipe.system);
        exec.write_exec.extend_from_slice(&recipe.write_exec);
        exec.pass_env.extend_from_slice(&recipe.pass_env);
        exec.inherit_env = args.unconfined;
        exec.allow_dangerous_env
            .extend(asked.ask.env.iter().map(|(name, _)| name.clone()));
    }
    Ok(asked)
}
