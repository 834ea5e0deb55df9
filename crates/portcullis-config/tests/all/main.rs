//! Behaviour of the file formats.

#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

mod audit;
mod broken;
mod ceiling;
mod children;
mod clawft;
mod edits;
mod every_key;
mod fledge;
mod http;
mod imports;
mod installed;
mod layers;
mod lookups;
mod manifest;
mod model;
mod provenance;
mod reglet;
mod secrets;
mod state;
mod support;
mod trials;
mod verb;
