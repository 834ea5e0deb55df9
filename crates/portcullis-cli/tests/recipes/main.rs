//! Programs that people use, each started by a plugin through the shipped binary with the policy that `docs/recipes.md`
//! tells them to write: the tests read it from there.
//!
//! As an ordinary user and as root, where the tests run as root.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "what is skipped is said")]

mod book;
mod hints;
mod kit;
mod programs;
mod site;
mod trust;
mod user;
mod world;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use user::User;
use world::World;

/// What is tried with one recipe of the book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    /// Its heading in the book.
    pub(crate) title: &'static str,
    /// Programs without which it cannot be tried.
    pub(crate) needs: &'static [&'static str],
    pub(crate) test: fn(&World),
}

/// The recipe that uses what lies in the home of whoever runs the tests.
const OF_OWN_HOME: &str = "cargo";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Two at once: most programs here start others.
    arguments.test_threads.get_or_insert(2);
    let mut trials = book::trials();
    for &user in User::available() {
        let recipes = programs::all().into_iter();
        let recipes = recipes.filter(|recipe| recipe.title != OF_OWN_HOME || user.is_self());
        trials.extend(recipes.map(|recipe| trial(recipe, user)));
        trials.extend(hints::trials(user));
        trials.extend(trust::trials(user));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    kit::end();
    conclusion.exit_code()
}

/// The test of one recipe; without its programs it is skipped by name, which is counted.
fn trial(recipe: Recipe, user: User) -> Trial {
    let name = format!("{}::{}", user.name(), recipe.title.replace(' ', "_"));
    let missing = recipe
        .needs
        .iter()
        .find(|program| user::find(program).is_none());
    Trial::test(name.clone(), move || {
        match missing {
            Some(program) => println!("SKIP recipes::{name}: `{program}` is not installed"),
            None => (recipe.test)(&World::new(recipe.title, user)),
        }
        Ok(())
    })
}
