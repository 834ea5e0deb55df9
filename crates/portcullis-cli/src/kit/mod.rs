//! The author's kit: what a plugin is written in, and how a component is made of it.

mod component;
mod language;
mod new;
mod recipe;
mod tree;
mod world;

pub(crate) use component::componentize;
pub(crate) use language::Language;
pub(crate) use new::{NewFile, files as new_files, setup};
pub(crate) use recipe::{Missing, NoRecipe, Recipe, Tools};
pub(crate) use tree::Tree;
pub(crate) use world::with_streams;
