//! Care for working trees: what keeps a confined command useful there, and what it leaves harmless.
//!
//! A cell ends at its mounts. Two things about a working tree do not fit that line. Some names in it
//! are executed later, by the user's own git, shell or editor, so a command that may write the tree
//! must not write them. And some things that git needs lie outside: the user's name, and for a linked
//! working tree or a submodule the git directory. This module computes both, on the host, without
//! running git and without following a link that the tree's writer could have set. It mounts nothing.
//!
//! # Protected names
//!
//! [`protect`] gives mounts nested in the writable one: read only for what is protected, and one for
//! every directory above it, because a mount point cannot be renamed or removed (`EBUSY`). Without
//! these `mv .git x; mkdir .git` would be the way round. A protected **link** is mounted on itself, by
//! its own inode, and what it leads to is protected as well; so a `.git` that is a link is neither
//! refused nor open.
//!
//! A mount is a wall with three known gaps, all of them reported:
//! - What does not exist cannot be mounted on. [`Protected::not_covered`] lists it beforehand,
//!   [`Protected::changed`] finds afterwards what appeared.
//! - A rename over a name takes away the mounts on that name in all other namespaces. So while a
//!   command runs, a program **outside**, the user's own `git config` or editor, can open what was
//!   protected. `changed` finds the name replaced. This is why [`apply`] writes in place.
//! - A second name of the same file is not the mount's business.
//!
//! # Staged configuration
//!
//! git changes `.git/config` by `config.lock` and a rename, which a mount on the name refuses: with
//! it read only, `git checkout --track`, `git remote add` and `git push -u` fail. So rules for git
//! get a copy, `config` in a writable directory of the cell's own, and on the name `.git/config` a
//! link to it:
//!
//! ```text
//! symlinkat("/…/config", tmpfs, "link")
//! open_tree(tmpfs, "link", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW)
//! mount_setattr(fd, "", AT_EMPTY_PATH, read only, nosuid, nodev, noexec)
//! move_mount(fd, "", git_dir, "config", MOVE_MOUNT_F_EMPTY_PATH)      without T_SYMLINKS
//! unlinkat(tmpfs, "link")
//! ```
//!
//! Name resolution follows a link that is a mount's root, and git resolves links before it locks, so
//! it locks and renames in the copy's directory, while `.git/config` itself stays a mount point. All
//! of it works for an ordinary user in a user namespace.
//!
//! When every process of the cell is dead, [`read_staged`] reads the copy, [`commit`] decides, and
//! [`apply`] writes. Of the copy only upstreams and remotes with harmless values are taken, and not
//! as bytes: they are rendered anew into the old text, so that nothing depends on git and us reading
//! a hostile file alike.

mod beneath;
mod git_config;
mod git_file;
mod git_identity;
mod git_values;
mod harmless;
mod identity;
mod nested;
mod overlaid;
mod protect;
mod repository;
mod staged;
mod survey;
#[cfg(test)]
mod tests;
mod tree;

pub use beneath::ReadError;
pub use git_config::{Change, Commit, Edited, Refused, RefusedKey, commit};
pub use git_file::{Entry, ParseError, entries};
pub use git_identity::{git_environment, read_user_config};
pub use git_values::Unfit;
pub use identity::GitIdentity;
pub use overlaid::{Becomes, Named, overlaid};
pub use protect::{
    Changed, Gap, Keep, KeptMount, ProtectError, Protected, Uncovered, named_by_git, protect,
};
pub use repository::{Repository, RepositoryError, RepositoryRoot, repository};
pub use staged::{ApplyError, STAGED_NAME, apply, read_config, read_staged};
pub use tree::TreeNote;
pub(crate) use tree::{Copied, Tree};
