//! What is tried with each recipe: what it is for works, and what lies beside it does not.

mod builds;
mod files;
mod git;
mod interpreters;
mod network;

use crate::Recipe;

/// Every recipe that is tried.
pub(crate) fn all() -> Vec<Recipe> {
    [
        git::RECIPES,
        interpreters::RECIPES,
        builds::RECIPES,
        files::RECIPES,
        network::RECIPES,
    ]
    .concat()
}
