//! WASI as far as the policy grants it: preopened directories and named environment variables. Clocks and random
//! numbers are always there, real or [fixed](repeatable); arguments, standard input and the network are not.

use std::os::fd::AsRawFd;

use std::path::Path;

use portcullis_policy::{
    Authorized, Decision, FsAccess, FsGrant, Grants, HostEnvironment, PreopenRequest, decide,
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
    let all = |grant: &FsGrant| grant.access;
    builder(grants, host, stdio, words, all).map(|mut wasi| wasi.build())
}

/// Builds the context of a component that is granted nothing by WASI, whatever its plugin is granted. What it writes goes to
/// `output`.
pub(crate) fn nothing(grants: &Grants, output: &Output, words: &LastWords) -> WasiCtx {
    let (stdout, stderr) = (output.clone(), output.clone());
    let stdio = GuestStdio::default()
        .stdout(move || stdout.stdout())
        .stderr(move || stderr.stderr());
    let mut wasi = WasiCtxBuilder::new();
    wasi.allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    repeatable::fix(&mut wasi, grants);
    stdio.attach(&mut wasi, words);
    wasi.build()
}

/// Builds the context of a core module, which has WASI preview 1.
///
/// Granted directories are there to be read only, those that commands may write too: nothing stands in front of preview
/// 1 as [`guard`](super::fs::guard) does of 0.2.
///
/// # Errors
/// As [`context`].
pub(crate) fn preview1(
    grants: &Grants,
    host: &HostEnvironment,
    stdio: &GuestStdio,
    words: &LastWords,
) -> Result<WasiP1Ctx, LoadError> {
    let reading = |_: &FsGrant| FsAccess::Read;
    builder(grants, host, stdio, words, reading).map(|mut wasi| wasi.build_p1())
}

/// Directories that a plugin of fledge has at most.
pub(crate) const FLEDGE_DIRECTORIES: usize = 2;

/// Builds the context of a plugin of fledge: no variables, no arguments, an input at its end, the project to read where
/// that is granted, and the directory of its own.
///
/// # Errors
/// As [`context`].
pub(crate) fn fledge(
    grants: &Grants,
    project: &Path,
    own: Option<&Path>,
    stdio: &GuestStdio,
    words: &LastWords,
) -> Result<WasiP1Ctx, LoadError> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
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
        open(&mut wasi, grants, project, "/project", FsPerms::ReadOnly)?;
    }
    if let Some(own) = own {
        open(&mut wasi, grants, own, "/plugin", FsPerms::ReadWrite)?;
    }
    repeatable::fix(&mut wasi, grants);
    stdio.without_input().attach(&mut wasi, words);
    Ok(wasi.build_p1())
}

fn builder(
    grants: &Grants,
    host: &HostEnvironment,
    stdio: &GuestStdio,
    words: &LastWords,
    access: impl Fn(&FsGrant) -> FsAccess,
) -> Result<WasiCtxBuilder, LoadError> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    for (name, value) in host.readable(&grants.env) {
        wasi.env(name, value);
    }
    // A single file is for commands only: WASI opens directories before the guest starts, and nothing smaller.
    let directories = grants.fs.iter();
    for grant in directories.filter(|grant| grant.kind.is_directory()) {
        if let Decision::Allow(authorized) = decide(
            grants,
            PreopenRequest {
                grant: grant.clone(),
            },
        ) {
            let access = access(&authorized.request().grant);
            preopen(&mut wasi, grants, &authorized, access)?;
        }
    }
    repeatable::fix(&mut wasi, grants);
    stdio.attach(&mut wasi, words);
    Ok(wasi)
}

fn preopen(
    wasi: &mut WasiCtxBuilder,
    grants: &Grants,
    authorized: &Authorized<PreopenRequest>,
    access: FsAccess,
) -> Result<(), LoadError> {
    let grant = &authorized.request().grant;
    let permissions = match access {
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
