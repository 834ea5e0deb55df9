//! More than one's share.

use crate::kit::case::{
    Case,
    Expect::Refused,
    Layer::{Landlock, Mounts, Rlimits},
};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "57",
        title: "makes three thousand processes",
        act: &["processes", "3000"],
        full: Refused("EAGAIN"),
        leans: &[Rlimits],
        ..Case::BASE
    },
    Case {
        number: "57b",
        title: "opens five thousand descriptors",
        act: &["descriptors", "5000"],
        full: Refused("EMFILE"),
        leans: &[Rlimits],
        ..Case::BASE
    },
    Case {
        number: "57c",
        title: "fills two gigabytes of `/tmp`",
        act: &["big-file", "/tmp/portcullis-probe-big", "2048"],
        full: Refused("ENOSPC"),
        landlock: Refused("EACCES"),
        leans: &[Mounts, Landlock, Rlimits],
        ..Case::BASE
    },
];
