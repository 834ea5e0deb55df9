//! Plugins that are made to keep the compiler busy, or to fill the memory, are refused; others are compiled away from
//! the host.

use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use portcullis::policy::{Confinement, Grants, Limits};
use portcullis::{CodeCache, Compilation, Host, LoadError, Source};
use portcullis_testkit::{Hostile, guest_bytes, tests};

use crate::fixture::{block_on, none};

tests![
    a_plugin_is_compiled_confined_and_then_cached,
    each_confinement_compiles_and_is_stated,
    an_ordinary_plugin_is_compiled_within_little,
    what_takes_too_long_to_compile_is_refused,
    what_takes_too_much_memory_to_compile_is_refused_and_the_host_keeps_its_own,
    a_host_whose_helper_does_not_serve_says_so,
];

fn host(compilation: Compilation) -> (Host, tempfile::TempDir) {
    let project = tempfile::tempdir().unwrap();
    let host = Host::builder().project(project.path());
    (host.compilation(compilation).build().unwrap(), project)
}

async fn load(
    host: &Host,
    bytes: Vec<u8>,
    limits: Limits,
) -> Result<Option<Compilation>, LoadError> {
    let grants = Grants { limits, ..none() };
    let plugin = host.load(Source { bytes, grants }).await?;
    plugin.instantiate("test").await.unwrap();
    Ok(plugin.compilation())
}

fn a_plugin_is_compiled_confined_and_then_cached() {
    let dir = tempfile::tempdir().unwrap();
    let (cache, keys) = (dir.path().join("cache"), dir.path().join("keys"));
    let host = Host::builder()
        .project(dir.path())
        .code_cache(CodeCache::open(&cache, &keys, Default::default()).unwrap())
        .build()
        .unwrap();
    let load = || block_on(load(&host, guest_bytes("noop"), Limits::default())).unwrap();
    assert_eq!(load(), Some(Compilation::Confined(Confinement::Full)));
    assert_eq!(load(), None, "from the cache");
}

fn each_confinement_compiles_and_is_stated() {
    let cases = [
        (Compilation::Confined(Confinement::Full), "full"),
        (Compilation::Confined(Confinement::Namespaces), "namespaces"),
        (Compilation::Confined(Confinement::Limits), "limits"),
        (Compilation::InProcess, "in-process"),
    ];
    for (compilation, name) in cases {
        let (host, _project) = host(compilation);
        let stated = block_on(load(&host, guest_bytes("noop"), Limits::default())).unwrap();
        assert_eq!((stated, compilation.name()), (Some(compilation), name));
    }
}

/// Bytes of memory that are enough to compile a test guest, and far from enough for [`Hostile::Memory`].
const LITTLE: u64 = 128 << 20;

fn an_ordinary_plugin_is_compiled_within_little() {
    let (host, _project) = host(Compilation::default());
    let limits = Limits {
        compile_memory: LITTLE,
        ..Limits::default()
    };
    block_on(load(&host, guest_bytes("noop"), limits)).unwrap();
}

fn what_takes_too_long_to_compile_is_refused() {
    let (host, _project) = host(Compilation::default());
    let limit = Duration::from_millis(300);
    let limits = Limits {
        compile_time: limit,
        ..Limits::default()
    };
    let refused = block_on(load(&host, Hostile::Time.component(), limits)).unwrap_err();
    assert!(
        matches!(&refused, LoadError::CompileTime { limit: told, .. } if *told == limit),
        "{refused:?}"
    );
    let text = format!("{:?}", refused.diagnostic());
    assert!(
        text.contains("raise `limits.compile_time` for `guest`"),
        "{text}"
    );
}

/// In a process of its own, whose memory is nobody else's.
fn what_takes_too_much_memory_to_compile_is_refused_and_the_host_keeps_its_own() {
    let host = Command::new("/proc/self/exe")
        .arg("compile-role")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let told = String::from_utf8(host.stdout).unwrap();
    let (code, grown) = told.trim().split_once(' ').unwrap();
    assert_eq!(code, "P0611");
    let grown: u64 = grown.parse().unwrap();
    assert!(grown < LITTLE / 2, "the host has grown by {grown} bytes");
}

/// What the test above starts: says which error it got, and by how much its memory had grown at most.
pub(crate) fn play() -> ExitCode {
    let (host, _project) = host(Compilation::default());
    let bytes = Hostile::Memory.component();
    let limits = Limits {
        compile_memory: LITTLE,
        ..Limits::default()
    };
    let before = most_memory();
    let refused = block_on(load(&host, bytes, limits)).unwrap_err();
    println!("{} {}", refused.code(), most_memory() - before);
    ExitCode::SUCCESS
}

/// The most bytes of memory that this process has had.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kibibytes * 1024
}

fn a_host_whose_helper_does_not_serve_says_so() {
    let project = tempfile::tempdir().unwrap();
    let host = Host::builder()
        .project(project.path())
        .spawn_helper("/bin/true")
        .build()
        .unwrap();
    let refused = block_on(load(&host, guest_bytes("noop"), Limits::default())).unwrap_err();
    assert_eq!(refused.code(), "P0612", "{refused:?}");
    let text = format!("{:?}", refused.diagnostic());
    assert!(text.contains("/bin/true"), "{text}");
}
