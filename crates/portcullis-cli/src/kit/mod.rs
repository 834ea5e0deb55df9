//! The author's kit: what a plugin is written in, and how a component is made of it.

mod component;
mod language;
mod recipe;
mod world;

pub(crate) use component::componentize;
pub(crate) use language::Language;
pub(crate) use recipe::{Missing, NoRecipe, Recipe, Tools};
