//! A directory with a policy in it.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_config::{ConfigErrors, Context, FlagSet, Layer, PluginEntry, PolicySet, Trust};
use portcullis_policy::{
    Cwd, Decision, Denial, ExecRequest, FileId, Found, Grants, HostEnvironment, Program,
    ProgramRef, decide,
};

/// A project directory: `out/`, `notes/` and `plugins/p.wasm` are there.
pub(crate) struct Project {
    dir: tempfile::TempDir,
    pub(crate) context: Context,
}

impl Project {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for name in ["out", "notes", "plugins", "home/notes"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::write(root.join("plugins/p.wasm"), b"\0asm").unwrap();
        let context = Context {
            home: Some(root.join("home")),
            ..Context::new(root)
        };
        Self { dir, context }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    pub(crate) fn trusted(&self, text: &str) -> Layer {
        self.named("portcullis.toml", text, Trust::Trusted)
    }

    pub(crate) fn found(&self, text: &str) -> Layer {
        self.named("found.toml", text, Trust::Narrowing)
    }

    pub(crate) fn named(&self, name: &str, text: &str, trust: Trust) -> Layer {
        Layer::File {
            path: self.root().join(name),
            text: text.to_owned(),
            trust,
        }
    }

    pub(crate) fn load(&self, layers: &[Layer]) -> Result<PolicySet, ConfigErrors> {
        PolicySet::load(layers, &self.context)
    }

    /// The entry `p` of a trusted policy and flags.
    pub(crate) fn entry(&self, text: &str, flags: FlagSet) -> PluginEntry {
        let layers = [self.trusted(text), Layer::Flags(flags)];
        self.load(&layers)
            .unwrap_or_else(|errors| panic!("{errors}"))
            .plugin("p")
            .unwrap()
    }

    /// The mistakes, with the project's directory written as `/project`.
    pub(crate) fn mistakes(&self, layers: &[Layer]) -> String {
        let errors = self.load(layers).expect_err("the policy has a mistake");
        errors
            .to_string()
            .replace(self.root().to_str().unwrap(), "/project")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }
}

/// What is decided on a command, whatever this host could confine.
pub(crate) fn run(grants: &Grants, program: &str, args: &[&str]) -> Result<(), Box<Denial>> {
    let reference = ProgramRef::parse(program).unwrap();
    let path = match &reference {
        ProgramRef::Name(name) => Path::new("/usr/bin").join(name),
        ProgramRef::Path(path) => path.clone(),
    };
    let name = ProgramRef::Name(reference.base_name().to_owned());
    let found = Found {
        same_as: vec![name, ProgramRef::Path(path.clone())],
        lies_in: path.parent().map(PathBuf::from).into_iter().collect(),
        denied_in: path.parent().map(PathBuf::from).into_iter().collect(),
        path,
        file: FileId { dev: 1, ino: 1 },
        sha256: None,
        interpreter: None,
    };
    let request = ExecRequest {
        program: reference,
        found: Program::Found(found),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        arg_paths: Vec::new(),
        cwd: Cwd::Project("/".into()),
        env: Vec::new(),
        inherit_env: false,
        host_env: HostEnvironment::default(),
        stdin: false,
        inherit_output: false,
    };
    match decide(grants, request) {
        Decision::Allow(_) => Ok(()),
        Decision::Ask { denial, .. } | Decision::Deny(denial) => Err(denial),
    }
}
