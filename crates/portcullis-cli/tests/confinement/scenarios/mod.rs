//! What one act cannot show: two commands beside and after each other, what is left of a tree, what a run is told.

mod between;
mod environment;
mod fifo;
mod host_state;
mod told;
mod trees;

use libtest_mimic::Trial;

use crate::kit::{case::Tier, machine::User};

/// A scenario in a tier, played by a user; it panics when it fails.
type Play = fn(Tier, User);

/// All of them, for each tier and user.
pub(crate) fn trials() -> Vec<Trial> {
    let plays: Vec<(&str, Play)> = [
        between::PLAYS,
        environment::PLAYS,
        host_state::PLAYS,
        told::PLAYS,
        trees::PLAYS,
    ]
    .concat();
    let mut trials = Vec::new();
    for &(name, play) in &plays {
        for tier in Tier::ALL {
            for &user in User::available() {
                if tier == Tier::Landlock && user == User::Root {
                    // The cases show that no command of root's is started there.
                    continue;
                }
                let name = format!("{}::{}::{name}", tier.key(), user.name());
                let run = move || {
                    play(tier, user);
                    Ok(())
                };
                trials.push(Trial::test(name, run));
            }
        }
    }
    trials
}

/// Names the scenarios of a module.
macro_rules! plays {
    ($($name:ident),* $(,)?) => {
        pub(super) const PLAYS: &[(&str, crate::scenarios::Play)] = &[
            $((concat!("scenario ", stringify!($name)), $name as crate::scenarios::Play),)*
        ];
    };
}
pub(crate) use plays;
