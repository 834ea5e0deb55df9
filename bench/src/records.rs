//! What it costs to record a run, beside the same run without.

use std::sync::Arc;
use std::time::Instant;

use portcullis::policy::{Confinement, ProgramRule};
use portcullis::{Host, Recorder, Source};
use portcullis_spawn_bench::rounds::{Figure, Goal, Row, print};

use crate::{Bench, Wish};

const ROUNDS: usize = 20;
const HEAD: &str = "/usr/bin/head";

pub(crate) async fn all(bench: &Bench) -> anyhow::Result<()> {
    let tiny = bench.tiny.display().to_string();
    pair(bench, "a command", &[&tiny], ROUNDS).await?;
    let pour = [HEAD, "-c", "1048576", "/dev/zero"];
    pair(bench, "a command that writes 1 MiB", &pour, ROUNDS).await
}

async fn pair(bench: &Bench, what: &str, argv: &[&str], rounds: usize) -> anyhow::Result<()> {
    let group = format!("recording, a run of {what}");
    let mut rows = [
        Row::new("not recorded", Goal::None),
        Row::new("recorded", Goal::None),
    ];
    let mut bytes = 0;
    for _ in 0..rounds {
        for (is_recorded, row) in rows.iter_mut().enumerate() {
            let place = tempfile::tempdir()?;
            let recorder = match is_recorded {
                0 => None,
                _ => Some(Arc::new(Recorder::create(
                    &place.path().join("record"),
                    place.path(),
                    &[],
                )?)),
            };
            let host = Host::builder().project(bench.host.project());
            let host = match &recorder {
                Some(recorder) => host.record(Arc::clone(recorder)),
                None => host,
            };
            let mut grants = bench.grants(Wish {
                confinement: Confinement::Limits,
                ..Wish::LIMITS
            })?;
            if let Some(exec) = &mut grants.exec {
                exec.allow.push(ProgramRule::any_arguments(HEAD));
            }
            let source = Source {
                bytes: portcullis_testkit::guest_bytes("exec-args"),
                grants,
            };
            let session = host.build()?.load(source).await?.session("bench");
            let args = ["exec", "--"].iter().chain(argv);
            let args: Vec<_> = args.map(|&arg| arg.to_owned()).collect();
            session.start().await?;
            let start = Instant::now();
            let answer = session.run(&args).await?;
            if let Some(recorder) = &recorder {
                bytes = recorder.finish()?.bytes;
            }
            row.add(start.elapsed(), 1);
            anyhow::ensure!(answer.is_ok(), "{answer:?}");
        }
    }
    print(&group, &rows);
    Figure::plain(&group, "bytes of the record", bytes as f64, "B").put();
    Ok(())
}
