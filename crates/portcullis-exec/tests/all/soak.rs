//! A thousand trees that time out or are killed: daemonised, deaf to SIGTERM, holding every pipe.

use std::time::Duration;

use portcullis_exec::Status;

use crate::fixture::{Plugin, shell, soak};
use crate::witness::{STUBBORN_LINES, Witness};

crate::tests![trees_that_time_out, trees_that_are_killed];

/// Enough for that many trees to come up at once on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(6);
const AT_ONCE: usize = 25;
/// How long the end of a tree may take.
const AT_MOST: Duration = Duration::from_secs(1);

fn plugin() -> Plugin {
    let mut plugin = Plugin::new(&["sh"]);
    plugin.limit(|limits| {
        limits.timeout = TIMEOUT;
        limits.children = 100;
        limits.spawns_per_minute = 100_000;
    });
    plugin
}

/// Runs `count` of something, some at once.
async fn all(count: usize, one: impl AsyncFn(&Plugin, usize)) {
    let plugin = plugin();
    let mut begun = 0;
    while begun < count {
        let batch = AT_ONCE.min(count - begun);
        let runs = (begun..begun + batch).map(|number| one(&plugin, number));
        let mut runs: Vec<_> = runs.map(Box::pin).collect();
        std::future::poll_fn(|context| {
            runs.retain_mut(|run| run.as_mut().poll(context).is_pending());
            if runs.is_empty() {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        begun += batch;
    }
}

async fn trees_that_time_out() {
    all(soak(500), async |plugin, number| {
        let mut witness = Witness::named(plugin.place.project(), &format!("witness-{number}"));
        let run = plugin.run(shell(&witness.stubborn_tree()));
        let (completed, ()) = tokio::join!(run, witness.lines(STUBBORN_LINES));
        assert!(
            witness.is_at_end(),
            "{number}: something of the tree is left"
        );
        assert_eq!(completed.status, Status::TimedOut);
    })
    .await;
}

async fn trees_that_are_killed() {
    all(soak(500), async |plugin, number| {
        let witness = Witness::named(plugin.place.project(), &format!("witness-{number}"));
        let tree = witness.stubborn_tree();
        tokio::select! {
            completed = plugin.run(shell(&tree)) => panic!("{completed:?}"),
            () = witness.lines(STUBBORN_LINES) => {}
        }
        // The others go on meanwhile.
        let gone = witness.has_ended_within(AT_MOST).await;
        assert!(gone, "{number}: something of the tree is left");
    })
    .await;
}
