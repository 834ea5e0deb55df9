use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::authorized::Authorized;
use crate::bound::{Bound, Standing, nearest, stands_to};
use crate::request::sealed::Sealed;
use crate::text::shown;
use crate::{
    Capability, Code, Decision, Denial, FsAccess, FsGrant, FsKind, Grants, Protect, Remedy, Request,
};

/// What a guest does to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsAct {
    /// Opens it to write, to empty it, or to make it.
    Write,
    /// Makes a directory.
    MakeDirectory,
    /// Makes a link of either kind.
    MakeLink,
    /// Gives the file a second name.
    LinkTo,
    /// Takes it away by giving it another name.
    Rename,
    /// Puts something else there by a rename.
    RenameTo,
    /// Removes it.
    Remove,
    /// Sets its times.
    SetTimes,
}

impl FsAct {
    /// Whether something may be there afterwards that was not there before.
    pub const fn creates(self) -> bool {
        match self {
            Self::Write | Self::MakeDirectory | Self::MakeLink | Self::RenameTo => true,
            Self::LinkTo | Self::Rename | Self::Remove | Self::SetTimes => false,
        }
    }

    /// Whether it leaves all that lies below the name as it is, and the name where it is.
    const fn spares_what_is_below(self) -> bool {
        match self {
            Self::MakeDirectory | Self::SetTimes => true,
            Self::Write
            | Self::MakeLink
            | Self::LinkTo
            | Self::Rename
            | Self::RenameTo
            | Self::Remove => false,
        }
    }

    /// As a phrase after the plugin's name.
    pub fn of(self, path: &str) -> String {
        match self {
            Self::Write => format!("write `{path}`"),
            Self::MakeDirectory => format!("make the directory `{path}`"),
            Self::MakeLink => format!("make the link `{path}`"),
            Self::LinkTo => format!("give `{path}` a second name"),
            Self::Rename => format!("rename `{path}`"),
            Self::RenameTo => format!("rename anything to `{path}`"),
            Self::Remove => format!("remove `{path}`"),
            Self::SetTimes => format!("set the times of `{path}`"),
        }
    }
}

/// A change to a file or directory that a guest makes itself.
#[derive(Clone, Debug)]
pub struct ChangeRequest {
    /// What it does.
    pub act: FsAct,
    /// The real path of the directory it does it in, and the name there, which is not followed.
    pub path: PathBuf,
    /// Directories above `path` that git takes for its own, or will once this is done. Those called `.git` may be left
    /// out: they are known by their name.
    pub git_dirs: Vec<PathBuf>,
    /// Names beside `path`, if this is what makes the directory one of git's: what git would then find there.
    pub completes: Vec<String>,
    /// What is protected besides the names of the list, in any directory.
    pub kept: Vec<Kept>,
    /// Whether it lies in the directory that only this plugin has: nobody executes anything there.
    pub own: bool,
}

/// A path that is protected under whatever name, such as the hooks that a configuration of git's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// A real path.
    pub path: PathBuf,
    /// Why, as a clause.
    pub why: String,
}

impl Request for ChangeRequest {
    type Terms = ();
}

impl Sealed for ChangeRequest {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        match refusal(grants, &self) {
            None => Decision::Allow(Authorized::new(self, ())),
            Some(denial) => Decision::Deny(Box::new(denial)),
        }
    }
}

fn refusal(grants: &Grants, request: &ChangeRequest) -> Option<Denial> {
    if request.own && grants.data.is_some() {
        return None;
    }
    let is_real = request.path.is_absolute()
        && !request
            .path
            .components()
            .any(|part| part == Component::ParentDir);
    let covers = |grant: &&FsGrant| {
        let is_it = match grant.kind {
            FsKind::Directory | FsKind::Repository => request.path.starts_with(&grant.host),
            // Its content alone: the name belongs to the directory.
            FsKind::File => request.path == grant.host && request.act == FsAct::Write,
        };
        grant.access == FsAccess::ReadWrite && is_real && is_it
    };
    let covering: Vec<_> = grants.fs.iter().filter(covers).collect();
    let Some(grant) = covering.first() else {
        let note = "no `fs.write` rule matches; the default is deny".to_owned();
        return Some(denial(Code::FsNotGranted, grants, request, vec![note]));
    };
    let protect = &grants.protect;
    let mut bounds = placed(protect, &covering, request);
    let by_place = nearest(bounds.iter().copied()).map(by_place);
    let completed = completed(protect, request);
    let by_completion = completed.first().map(|name| by_completion(request, name));
    let because = by_place.or(by_completion).or_else(|| kept(request))?;
    bounds.extend(completed.into_iter().map(|name| Bound {
        name,
        standing: Standing::Within,
    }));
    let except = format!(
        "`{}` may be written ({}), except for what others execute",
        shown(&grant.host.display().to_string()),
        grant.origin
    );
    let mut denial = denial(Code::FsProtected, grants, request, vec![because, except]);
    if !bounds.is_empty() {
        denial.remedies.push(lifting(grants, &bounds));
    }
    Some(denial)
}

/// Why the request is refused for a path that is kept, if it is.
fn kept(request: &ChangeRequest) -> Option<String> {
    request.kept.iter().find_map(|kept| {
        let standing = stands_to(&request.path, &kept.path)?;
        (standing == Standing::Within || !request.act.spares_what_is_below()).then(|| {
            let path = shown(&kept.path.display().to_string());
            format!("`{path}` is protected: {}", kept.why)
        })
    })
}

/// Every protected name that the request's path is, lies in or leads to.
fn placed<'a>(
    protect: &'a Protect,
    covering: &[&FsGrant],
    request: &ChangeRequest,
) -> Vec<Bound<'a>> {
    let inside = |top: &Path| request.path.strip_prefix(top).ok().map(Path::to_owned);
    let tops = covering.iter().filter_map(|grant| inside(&grant.host));
    // What lies in a git directory that was not granted as a whole was granted by its own name.
    let granted = |dir: &&PathBuf| covering.iter().any(|grant| dir.starts_with(&grant.host));
    let git_dirs = request.git_dirs.iter().filter(granted);
    let git_dirs = git_dirs.filter_map(|dir| inside(dir));
    let mut bounds = Vec::new();
    tops.for_each(|path| bounds.extend(protect.bounds(&path)));
    git_dirs.for_each(|path| bounds.extend(protect.bounds_in_git_dir(&path)));
    bounds
        .retain(|bound| bound.standing == Standing::Within || !request.act.spares_what_is_below());
    bounds
}

/// The protected names that git would find beside the path once it is there.
fn completed<'a>(protect: &'a Protect, request: &ChangeRequest) -> Vec<&'a str> {
    let beside = |first: &str| {
        let mut beside = request.completes.iter();
        beside.any(|name| name.eq_ignore_ascii_case(first))
    };
    let names = protect.first_in_git_dir();
    names
        .filter_map(|(name, first)| beside(first).then_some(name))
        .collect()
}

/// Who executes what has the name, as the end of a clause.
fn why(name: &str) -> String {
    let mut built_in = Protect::BUILT_IN.iter();
    built_in
        .find(|protected| protected.name == name)
        .map(|protected| format!(": {}", protected.why))
        .unwrap_or_default()
}

fn by_place(bound: Bound<'_>) -> String {
    let Bound { name, standing } = bound;
    let why = why(name);
    match standing {
        Standing::Within => format!("`{name}` is protected{why}"),
        Standing::Above => format!("`{name}`, which is protected, is found through it{why}"),
    }
}

fn by_completion(request: &ChangeRequest, name: &str) -> String {
    let beside = request.completes.join("`, `");
    format!(
        "git would take its directory for a repository, and find `{beside}` there{}",
        why(name)
    )
}

/// What to write so that exactly these names bind neither the plugin nor its commands.
fn lifting(grants: &Grants, bounds: &[Bound<'_>]) -> Remedy {
    let names: BTreeSet<_> = bounds.iter().map(|bound| bound.name).collect();
    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let names = names.join(", ");
    let key = if grants.exec.is_some() {
        format!("exec.unprotect = [{names}]")
    } else {
        format!("exec = {{ allow = [], unprotect = [{names}] }}")
    };
    Remedy {
        text: format!(
            "if plugin `{}` and its commands are meant to change it: `{key}`",
            grants.plugin
        ),
        command: None,
    }
}

fn denial(code: Code, grants: &Grants, request: &ChangeRequest, notes: Vec<String>) -> Denial {
    let object = request.path.display().to_string();
    let action = request.act.of(&shown(&object));
    Denial {
        notes,
        ..Denial::new(code, grants, Capability::Fs, action, object)
    }
}
