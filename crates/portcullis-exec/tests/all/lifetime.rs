//! Nothing outlives its call: neither a dropped one nor one that succeeded.

use std::time::Duration;

use portcullis_exec::Status;

use crate::fixture::{Plugin, executor, shell, soak};
use crate::witness::{STUBBORN_LINES, Witness};

crate::tests![
    dropping_the_future_kills_the_tree,
    dropping_the_runtime_kills_the_tree,
    daemons_of_a_successful_call_are_dead_before_its_result,
    more_commands_at_once_than_parked_cells,
    no_process_is_left_unreaped,
];

const AT_MOST: Duration = Duration::from_secs(1);

async fn dropping_the_future_kills_the_tree() {
    let mut plugin = Plugin::new(&["sh"]);
    plugin.limit(|limits| limits.spawns_per_minute = 1000);
    for round in 0..soak(100) {
        let mut witness = Witness::named(plugin.place.project(), &format!("witness-{round}"));
        let tree = witness.stubborn_tree();
        tokio::select! {
            completed = plugin.run(shell(&tree)) => panic!("{completed:?}"),
            () = witness.lines(STUBBORN_LINES) => {}
        }
        assert!(
            witness.ends_within(AT_MOST),
            "round {round}: something of the tree is left"
        );
    }
}

async fn dropping_the_runtime_kills_the_tree() {
    let plugin = Plugin::new(&["sh"]);
    let mut witness = Witness::new(plugin.place.project());
    let (authorized, opened) = plugin.decide(&shell(&witness.stubborn_tree())).unwrap();
    let permit = plugin.permit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = runtime.unwrap();
    runtime.spawn(async move { executor().run(authorized, opened, None, None, permit).await });
    witness.lines(STUBBORN_LINES).await;
    assert!(!witness.is_at_end());
    runtime.shutdown_background();
    assert!(
        witness.ends_within(AT_MOST),
        "something of the tree is left"
    );
}

async fn daemons_of_a_successful_call_are_dead_before_its_result() {
    let plugin = Plugin::new(&["sh"]);
    let mut witness = Witness::new(plugin.place.project());
    // The pipe of `head` makes the shell wait until the daemon is up; the daemon then keeps both
    // outputs open, as one that does not detach itself properly.
    let script = format!(
        "{}(setsid sh -c 'trap \"\" TERM HUP; echo up >&9; echo up; exec sleep 1000 >&2' &) | head -n 1
         exit 3",
        witness.hold()
    );
    let completed = plugin.run(shell(&script)).await;
    assert!(witness.is_at_end(), "the daemon outlived its command");
    assert_eq!(
        (completed.status, &completed.stdout[..]),
        (Status::Exited(3), &b"up\n"[..])
    );
    assert_eq!(completed.stragglers, 1);
}

/// Cells that one command takes in while it refills the yard are there for all that wait.
async fn more_commands_at_once_than_parked_cells() {
    let mut plugin = Plugin::new(&["sh"]);
    plugin.limit(|limits| {
        limits.children = 100;
        limits.spawns_per_minute = 100_000;
    });
    let plugin = std::sync::Arc::new(plugin);
    for _ in 0..soak(100) {
        let mut running = tokio::task::JoinSet::new();
        for code in 0..30_u8 {
            let plugin = plugin.clone();
            running.spawn(async move {
                assert_eq!(
                    plugin.status(&format!("exit {code}")).await,
                    Status::Exited(code)
                );
            });
        }
        while let Some(result) = running.join_next().await {
            result.unwrap();
        }
    }
}

/// The host has no children but spawn servers: what it does not start it need not reap.
async fn no_process_is_left_unreaped() {
    let plugin = Plugin::new(&["sh"]);
    assert_eq!(plugin.status("sleep 0 & exit 0").await, Status::Exited(0));
    let own = std::process::id().to_string();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let Some((_, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let fields: Vec<&str> = rest.split(' ').collect();
        if fields[1] == own {
            assert_ne!(fields[0], "Z", "a zombie: {stat}");
        }
    }
}
