//! The edges of roots: what replaces them, what is protected inside them, what was open before.

use crate::kit::case::{
    Case,
    Expect::{Absent, Own, Refused},
    Grant,
    Layer::{Env, Fds, Landlock, Mounts},
    Prepare, Truth,
};

const PROTECTED: Case = Case {
    full: Refused("EROFS"),
    // Without mounts nothing inside a writable root can be taken out of it; loading such a policy warns.
    landlock: Absent,
    grant: Grant::Never,
    leans: &[Mounts],
    ..Case::BASE
};
const INHERITED: Case = Case {
    full: Refused("EBADF"),
    prepare: Prepare::InheritedFile,
    truth: Truth::Learned("{nonce}"),
    leans: &[Fds],
    ..Case::BASE
};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "14",
        title: "reads from a descriptor that its starter had open",
        act: &["read-descriptor", "9"],
        ..INHERITED
    },
    Case {
        number: "14b",
        title: "finds any descriptor but the standard three",
        act: &["inherited"],
        truth: Truth::Learned("/secret"),
        ..INHERITED
    },
    Case {
        number: "15",
        title: "opens such a descriptor again through `/proc/self/fd`",
        act: &["reopen-descriptor", "9"],
        full: Refused("ENOENT"),
        leans: &[Fds, Landlock],
        ..INHERITED
    },
    Case {
        number: "17",
        title: "reads a directory that took the place of one of its roots",
        act: &["read-after", "{rw}/ready", "{rw}/go", "{ro}/file"],
        prepare: Prepare::ReplacedRoot,
        full: Own,
        landlock: Refused("EACCES"),
        truth: Truth::Learned("{nonce}"),
        leans: &[Mounts, Landlock],
        ..Case::BASE
    },
    Case {
        number: "18",
        title: "writes a hook of a repository in a writable root",
        act: &["write", "{hooks}/pre-commit", "evil"],
        truth: Truth::Changed("{hooks}/pre-commit"),
        ..PROTECTED
    },
    Case {
        number: "18b",
        title: "puts another `.git` in the place of the protected one",
        act: &["replace-parent", "{git}", "{repository}/.g2"],
        full: Refused("EBUSY"),
        truth: Truth::Changed("{git}"),
        ..PROTECTED
    },
    Case {
        number: "18c",
        title: "moves a repository in a writable root aside",
        act: &["rename", "{repository}", "{rw}/aside"],
        full: Refused("EBUSY"),
        truth: Truth::Changed("{repository}"),
        ..PROTECTED
    },
    Case {
        number: "18d",
        title: "adds a hook that was not there",
        act: &["create", "{hooks}/post-checkout", "evil"],
        truth: Truth::Changed("{hooks}/post-checkout"),
        ..PROTECTED
    },
    Case {
        number: "18e",
        title: "gives a protected file another name and writes it there",
        act: &["link-and-write", "{git}/config", "{rw}/linked", "evil"],
        full: Refused("EXDEV"),
        truth: Truth::Changed("{git}/config"),
        ..PROTECTED
    },
    Case {
        number: "18f",
        title: "has a directory change places with the protected one",
        act: &["exchange", "{git}", "{repository}/.g2"],
        full: Refused("EBUSY"),
        truth: Truth::Changed("{git}"),
        ..PROTECTED
    },
    Case {
        number: "47",
        title: "finds a socket that its starter had open",
        act: &["inherited"],
        prepare: Prepare::InheritedSocket,
        truth: Truth::Learned("socket:["),
        ..INHERITED
    },
    Case {
        number: "60",
        title: "finds a variable of its starter's environment",
        act: &["environment"],
        prepare: Prepare::HostSecret,
        full: Own,
        truth: Truth::Learned("{nonce}"),
        leans: &[Env],
        ..Case::BASE
    },
];
