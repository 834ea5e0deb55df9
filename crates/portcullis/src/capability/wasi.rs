//! WASI as far as the policy grants it: preopened directories and named environment variables. Clocks and random
//! numbers are always there, real or [fixed](repeatable); arguments, standard input and the network are not.

use std::os::fd::AsRawFd;
use std::path::Path;

use portcullis_policy::{
    Authorized, Decision, FsAccess, Grants, HostEnvironment, PreopenRequest, decide,
};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use super::fs::real_directory;
use super::repeatable;
use crate::abi::clawft::Output;
use crate::error::LoadError;
use crate::last_words::LastWords;
use crate::stdio::GuestStdio;

/// Builds a component's WASI context. The end of what the guest writes to its standard error is kept in `words`.
///
/// # Errors
/// [`LoadError::Preopen`] when a granted directory cannot be opened.
pub(crate) fn context(
    grants: &Grants,
    host: &HostEnvironment,
    stdio: &GuestStdio,
    words: &LastWords,
) -> Result<WasiCtx, LoadError> {
    let mut wasi = surroundings(grants, stdio, words);
    variables(&mut wasi, grants, host);
    directories(&mut wasi, grants)?;
    Ok(wasi.build())
}

/// Builds the context of a component that is granted nothing by WASI, whatever its plugin is granted. What it writes goes to
/// `output`.
pub(crate) fn nothing(grants: &Grants, output: &Output, words: &LastWords) -> WasiCtx {
    let (stdout, stderr) = (output.clone(), output.clone());
    let stdio = GuestStdio::default()
        .stdout(move || stdout.stdout())
        .stderr(move || stderr.stderr());
    surroundings(grants, &stdio, words).build()
}

/// What a core module has, which has WASI preview 1: files apart, behind the [guard](super::fs::guard), and all the rest.
pub(crate) struct CoreModule {
    /// The granted directories and nothing else.
    pub(crate) files: WasiCtx,
    /// Everything else, and no directories.
    pub(crate) rest: WasiP1Ctx,
}

/// Builds what a core module has.
///
/// # Errors
/// As [`context`].
pub(crate) fn core_module(
    grants: &Grants,
    host: &HostEnvironment,
    stdio: &GuestStdio,
    words: &LastWords,
) -> Result<CoreModule, LoadError> {
    let mut files = WasiCtxBuilder::new();
    directories(&mut files, grants)?;
    let mut rest = surroundings(grants, stdio, words);
    variables(&mut rest, grants, host);
    Ok(CoreModule {
        files: files.build(),
        rest: rest.build_p1(),
    })
}

/// Builds what a plugin of fledge has: no variables, no arguments, an input at its end, the project to read where that is
/// granted, and the directory of its own.
///
/// # Errors
/// As [`context`].
pub(crate) fn fledge(
    grants: &Grants,
    project: &Path,
    own: Option<&Path>,
    stdio: &GuestStdio,
    words: &LastWords,
) -> Result<CoreModule, LoadError> {
    let mut files = WasiCtxBuilder::new();
    let asked = grants.fledge.as_ref().map(|plugin| plugin.files);
    let granted = grants.fs_grant(project, FsAccess::Read);
    if asked.unwrap_or_default().wants_project()
        && let Some(grant) = granted.filter(|grant| grant.kind.is_directory())
        && let Decision::Allow(_authorized) = decide(
            grants,
            PreopenRequest {
                grant: grant.clone(),
            },
        )
    {
        open(&mut files, grants, project, "/project", FsPerms::ReadOnly)?;
    }
    if let Some(own) = own {
        open(&mut files, grants, own, "/plugin", FsPerms::ReadWrite)?;
    }
    let rest = surroundings(grants, &stdio.without_input(), words).build_p1();
    Ok(CoreModule {
        files: files.build(),
        rest,
    })
}

/// No network, clocks and random numbers as they are wanted, and the standard streams.
fn surroundings(grants: &Grants, stdio: &GuestStdio, words: &LastWords) -> WasiCtxBuilder {
    let mut wasi = WasiCtxBuilder::new();
    wasi.allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    repeatable::fix(&mut wasi, grants);
    stdio.attach(&mut wasi, words);
    wasi
}

fn variables(wasi: &mut WasiCtxBuilder, grants: &Grants, host: &HostEnvironment) {
    for (name, value) in host.readable(&grants.env) {
        wasi.env(name, value);
    }
}

fn directories(wasi: &mut WasiCtxBuilder, grants: &Grants) -> Result<(), LoadError> {
    // A single file is for commands only: WASI opens directories before the guest starts, and nothing smaller.
    let directories = grants.fs.iter();
    for grant in directories.filter(|grant| grant.kind.is_directory()) {
        if let Decision::Allow(authorized) = decide(
            grants,
            PreopenRequest {
                grant: grant.clone(),
            },
        ) {
            preopen(wasi, grants, &authorized)?;
        }
    }
    Ok(())
}

fn preopen(
    wasi: &mut WasiCtxBuilder,
    grants: &Grants,
    authorized: &Authorized<PreopenRequest>,
) -> Result<(), LoadError> {
    let grant = &authorized.request().grant;
    let permissions = match grant.access {
        FsAccess::Read => FsPerms::ReadOnly,
        FsAccess::ReadWrite => FsPerms::ReadWrite,
    };
    open(wasi, grants, &grant.host, &grant.guest, permissions)
}

fn open(
    wasi: &mut WasiCtxBuilder,
    grants: &Grants,
    host: &Path,
    guest: &str,
    permissions: FsPerms,
) -> Result<(), LoadError> {
    let fails = |why: String| LoadError::Preopen {
        plugin: grants.plugin.clone(),
        path: host.to_owned(),
        why,
    };
    let opened = real_directory(host);
    let opened = opened.map_err(|errno| fails(std::io::Error::from(errno).to_string()))?;
    // By its path it could be another directory by now.
    let opened_itself = format!("/proc/self/fd/{}", opened.as_raw_fd());
    wasi.preopened_dir(opened_itself, guest, permissions)
        .map_err(|error| fails(format!("{error:#}")))?;
    Ok(())
}
