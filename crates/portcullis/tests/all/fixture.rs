use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use portcullis::audit::Memory;
use portcullis::policy::{
    Confinement, ExecGrant, Grants, HostEnvironment, Mode, PluginId, ProgramRule,
};
use portcullis::{Host, HostBuilder, Instance, LoadError, Plugin, Prompter, Source};

/// Runs a test's future to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// No rights, in the mode and tier in which this release starts children.
pub(crate) fn none() -> Grants {
    Grants {
        mode: Mode::Dev,
        ..Grants::none(PluginId::new("guest").unwrap())
    }
}

/// The right to run these programs with any arguments.
pub(crate) fn programs(names: &[&str]) -> Grants {
    Grants {
        exec: Some(exec_grant(names)),
        ..none()
    }
}

pub(crate) fn exec_grant(names: &[&str]) -> ExecGrant {
    ExecGrant {
        allow: names
            .iter()
            .map(|name| ProgramRule::any_arguments(name))
            .collect(),
        confinement: Confinement::Limits,
        ..ExecGrant::default()
    }
}

/// A host with a project directory and a trail of its own.
pub(crate) struct Fixture {
    pub(crate) host: Host,
    pub(crate) trail: Arc<Memory>,
    pub(crate) project: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with_env(&[
            ("HOME", "/nonexistent"),
            ("VISIBLE", "yes"),
            ("MY_TOKEN", "hidden"),
        ])
    }

    pub(crate) fn with_env(env: &[(&str, &str)]) -> Self {
        let env = env
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self::of(Host::builder().host_env(HostEnvironment::new(env)))
    }

    /// With somebody who answers plugins.
    pub(crate) fn asking(person: impl Prompter + 'static) -> Self {
        Self::of(Host::builder().prompter(Arc::new(person)))
    }

    fn of(host: HostBuilder) -> Self {
        let project = tempfile::tempdir().unwrap();
        let trail = Arc::new(Memory::new());
        let sink: Arc<dyn portcullis::audit::Sink> = trail.clone();
        let host = host.project(project.path()).audit(sink);
        Self {
            host: host.build().unwrap(),
            trail,
            project,
        }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.project.path().canonicalize().unwrap()
    }

    pub(crate) async fn load(&self, guest: &str, grants: Grants) -> Result<Plugin, LoadError> {
        self.host
            .load(Source {
                bytes: portcullis_testkit::guest_bytes(guest),
                grants,
            })
            .await
    }

    pub(crate) async fn instance(&self, guest: &str, grants: Grants) -> Instance {
        self.load(guest, grants)
            .await
            .unwrap()
            .instantiate("test")
            .await
            .unwrap()
    }
}

/// Arguments as a guest gets them.
pub(crate) fn args(args: &[&str]) -> Vec<String> {
    args.iter().map(|&arg| arg.to_owned()).collect()
}

/// A read grant for a directory under a guest name.
pub(crate) fn directory(
    host: &Path,
    guest: &str,
    access: portcullis::policy::FsAccess,
) -> portcullis::policy::FsGrant {
    portcullis::policy::FsGrant {
        host: host.canonicalize().unwrap(),
        kind: portcullis::policy::FsKind::Directory,
        guest: guest.to_owned(),
        access,
        origin: portcullis::policy::Origin::Code,
    }
}

/// Names tests that are run with each of the guests that try WASI: `wasi-probe` by 0.2, and `preview1-probe`, a core module,
/// which is asked the same by preview 1 and answers in the same words. Each test is given the guest's name.
macro_rules! tests_by_wasi {
    ($($name:ident),* $(,)?) => {
        pub(crate) const BY_WASI: &[(&str, fn())] = &[$(
            (concat!(module_path!(), "::", stringify!($name)), || $name("wasi-probe")),
            (concat!(module_path!(), "::", stringify!($name), "::preview1"), || {
                if $crate::fixture::has_preview1() {
                    $name($crate::fixture::PREVIEW1);
                }
            }),
        )*];
    };
}
pub(crate) use tests_by_wasi;

/// The guest that tries WASI preview 1.
pub(crate) const PREVIEW1: &str = "preview1-probe";

/// Whether it was built: not every machine has a compiler for that.
pub(crate) fn has_preview1() -> bool {
    let built = portcullis_testkit::interpreted(PREVIEW1).is_some();
    if !built {
        println!("SKIP {PREVIEW1}: the guest is not built");
    }
    built
}
