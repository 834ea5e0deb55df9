//! An application that runs a plugin: `embed PLUGIN.wasm [ARGS]...` lets it call `git`, read-only, in the working directory.

use portcullis::policy::{
    ArgumentRule, ExecGrant, FsAccess, FsGrant, FsKind, Grants, HostEnvironment, Origin, PluginId,
    ProgramRule,
};
use portcullis::{Host, Source};

fn main() -> anyhow::Result<()> {
    // First of all: the spawn server is this same executable, started a second time.
    portcullis::enter();
    tokio::runtime::Runtime::new()?.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let file = args
        .next()
        .ok_or_else(|| anyhow::anyhow!("usage: embed PLUGIN.wasm [ARGS]..."))?;

    let read_only = ["log", "shortlog", "status"].map(str::to_owned).to_vec();
    let mut git = ProgramRule::any_arguments("git");
    git.arguments = ArgumentRule {
        sub: Some(read_only),
        ..ArgumentRule::default()
    };
    let mut grants = Grants::none(PluginId::new("embedded")?);
    grants.exec = Some(ExecGrant {
        allow: vec![git],
        ..ExecGrant::default()
    });
    // What the plugin may read, and so may git: the kernel holds it to that.
    grants.fs.push(FsGrant {
        host: std::env::current_dir()?.canonicalize()?,
        kind: FsKind::Directory,
        guest: ".".to_owned(),
        access: FsAccess::Read,
        origin: Origin::Code,
    });

    let host = Host::builder()
        .host_env(HostEnvironment::new(std::env::vars().collect()))
        .build()?;
    let plugin = host
        .load(Source {
            bytes: std::fs::read(file)?,
            grants,
        })
        .await?;
    let mut instance = plugin.instantiate("embed").await?;
    let answer = instance.run(&args.collect::<Vec<_>>()).await?;
    for denial in &instance.activity().denials {
        eprintln!("denied: {denial}");
    }
    println!("{}", answer.map_err(anyhow::Error::msg)?);
    Ok(())
}
