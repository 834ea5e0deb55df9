//! What the cases need: a machine with users, a world for each run, the probe in it, and the judgement.

pub(crate) mod case;
pub(crate) mod machine;
pub(crate) mod policy;
pub(crate) mod results;
pub(crate) mod run;
pub(crate) mod scene;
pub(crate) mod table;
pub(crate) mod verdict;
