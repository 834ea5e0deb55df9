//! What the operator should know after a command, though nothing was denied.

use portcullis_audit::Masked;
use portcullis_exec::care::{Change, TreeNote};
use portcullis_policy::PluginId;

use crate::Diagnostic;

/// What a note about a working tree says to a person; nothing for what was asked for and is harmless.
pub(crate) fn of_tree(plugin: &PluginId, program: &str, note: &TreeNote) -> Option<Diagnostic> {
    let by = format!("plugin `{plugin}`: `{program}`");
    Some(match note {
        TreeNote::ConfigChanged { config, changes } => {
            let redirected: Vec<_> = changes.iter().filter(|change| change.redirects).collect();
            if redirected.is_empty() {
                return None;
            }
            let message = format!("{by} changed where `{}` leads to", config.display());
            let noted = redirected.into_iter().map(told);
            noted.fold(Diagnostic::new("P0801", message), Diagnostic::note)
        }
        TreeNote::ConfigRefused { config, refused } => {
            let message = format!("{by} may not change `{}` like this", config.display());
            let keys = refused
                .keys
                .iter()
                .map(|key| format!("`{}`: {}", key.key, key.why));
            let more = (refused.more > 0).then(|| format!("and {} more", refused.more));
            keys.chain(more)
                .fold(Diagnostic::new("P0802", message), Diagnostic::note)
                .note("nothing was changed there: the command had a copy")
                .help("if it is meant, set it yourself with `git config`")
        }
        TreeNote::ConfigFailed { config, why } => {
            let message = format!("{by} could not change `{}`", config.display());
            Diagnostic::new("P0802", message).note(why)
        }
        TreeNote::SetAside { path, to } => {
            let message = format!("{by} made `{}`, which others execute", path.display());
            Diagnostic::new("P0803", message)
                .note(format!("it was renamed to `{}`", to.display()))
                .help("if it is meant, look at it and rename it back; to let commands write it, name it in `unprotect`")
        }
        TreeNote::Appeared { path, why } => {
            let message = format!("{by} made `{}`, which others execute", path.display());
            Diagnostic::new("P0803", message)
                .note(format!("it is still there: it could not be renamed: {why}"))
        }
        TreeNote::Replaced(path) => {
            let message = format!("`{}` was replaced while {by} ran", path.display());
            Diagnostic::new("P0804", message)
                .note("from then on until the command ended it was not protected")
                .help("look at what it says before it is used")
        }
        TreeNote::NotLookedAt { path, why } => {
            let message = format!("cannot look at what {by} left in `{}`", path.display());
            Diagnostic::new("P0803", message).note(why)
        }
        _ => return None,
    })
}

/// The same for the audit trail, which has also what needs no look.
pub(crate) fn record(note: &TreeNote) -> Masked {
    let words = match note {
        TreeNote::ConfigChanged { config, changes } => {
            let changes: Vec<_> = changes.iter().map(told).collect();
            format!("changed `{}`: {}", config.display(), changes.join("; "))
        }
        TreeNote::ConfigRefused { config, refused } => {
            let keys: Vec<_> = refused.keys.iter().map(|key| key.key.as_str()).collect();
            format!("did not change `{}`: {}", config.display(), keys.join("; "))
        }
        TreeNote::ConfigFailed { config, why } => {
            format!("did not change `{}`: {why}", config.display())
        }
        TreeNote::SetAside { path, to } => {
            format!("set `{}` aside as `{}`", path.display(), to.display())
        }
        TreeNote::Appeared { path, why } => {
            format!("could not set `{}` aside: {why}", path.display())
        }
        TreeNote::Replaced(path) => format!("`{}` was replaced meanwhile", path.display()),
        TreeNote::NotLookedAt { path, why } => {
            format!("could not look at `{}`: {why}", path.display())
        }
        _ => String::new(),
    };
    Masked::new(&words)
}

fn told(change: &Change) -> String {
    let Change {
        key, value, added, ..
    } = change;
    if *added {
        format!("`{key}` is now `{value}`")
    } else {
        format!("`{key}` was `{value}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_a_look_is_told() {
        let plugin = PluginId::new("p").unwrap();
        let changed = |redirects| TreeNote::ConfigChanged {
            config: "/r/.git/config".into(),
            changes: vec![Change {
                key: "remote.origin.url".into(),
                value: "https://example.org/".into(),
                added: true,
                redirects,
            }],
        };
        assert_eq!(of_tree(&plugin, "git", &changed(false)), None);
        let told = of_tree(&plugin, "git", &changed(true)).unwrap();
        assert_eq!(
            told.message,
            "plugin `p`: `git` changed where `/r/.git/config` leads to"
        );
        assert_eq!(
            told.notes,
            ["`remote.origin.url` is now `https://example.org/`"]
        );
        let note = TreeNote::SetAside {
            path: "/r/.envrc".into(),
            to: "/r/.envrc.set-aside-1".into(),
        };
        let recorded = record(&note);
        assert_eq!(
            recorded.as_str(),
            "set `/r/.envrc` aside as `/r/.envrc.set-aside-1`"
        );
        let told = of_tree(&plugin, "make", &note).unwrap();
        assert_eq!(
            told.message,
            "plugin `p`: `make` made `/r/.envrc`, which others execute"
        );
        assert_eq!(told.notes, ["it was renamed to `/r/.envrc.set-aside-1`"]);
    }
}
