//! What the operator should know, though nothing was denied: of a plugin before it runs, and after a command.

use portcullis_audit::Masked;
use portcullis_exec::care::{Change, TreeNote};
use portcullis_policy::PluginId;

use crate::Diagnostic;
use crate::recognize::Kind;
use crate::shape::Shape;

/// What the operator should know of a plugin's file before it is run.
pub(crate) fn of_file(plugin: &PluginId, kind: Kind, bytes: &[u8]) -> Vec<Diagnostic> {
    if kind != Kind::WasiCommand {
        return Vec::new();
    }
    let imports = Shape::of(bytes).imports.into_iter();
    let sockets = imports
        .map(|import| import.name)
        .filter(|name| name.starts_with("sock_"));
    let sockets: Vec<_> = sockets.map(|name| format!("`{name}`")).collect();
    if sockets.is_empty() {
        return Vec::new();
    }
    let message = format!("plugin `{plugin}` cannot use sockets: WASI preview 1 opens none");
    let notice = Diagnostic::new("P0808", message)
        .note(format!(
            "it imports {}; each such call answers that it is not supported",
            sockets.join(", ")
        ))
        .help("for requests over HTTP build it as a component that imports `wasi:http`, or use another tool");
    vec![notice]
}

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
        TreeNote::CacheEmptied {
            held, most, why, ..
        } => {
            let message = format!("{by} left more in its cache than is kept");
            let told = Diagnostic::new("P0807", message).note(held_of(*held, *most));
            let told = match why {
                Some(why) => told.note(format!("it could not be emptied: {why}")),
                None => told.note("it was emptied: the next command begins with nothing"),
            };
            told.help("to keep more, raise `exec.cache`")
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
        TreeNote::CacheEmptied {
            path,
            held,
            most,
            why,
        } => {
            let done = match why {
                Some(why) => format!("could not empty `{}`: {why}", path.display()),
                None => format!("emptied `{}`", path.display()),
            };
            format!("{done}: {}", held_of(*held, *most))
        }
        TreeNote::NotLookedAt { path, why } => {
            format!("could not look at `{}`: {why}", path.display())
        }
        _ => String::new(),
    };
    Masked::new(&words)
}

/// Counting stops where it is too much.
fn held_of(held: u64, most: u64) -> String {
    match held {
        u64::MAX => format!("it could not be counted; {most} bytes are kept"),
        held if held <= most => "it held more files than are kept".to_owned(),
        held => format!("it held at least {held} bytes, of which {most} are kept"),
    }
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
        let emptied = |held, why: Option<&str>| TreeNote::CacheEmptied {
            path: "/c/files".into(),
            held,
            most: 10,
            why: why.map(str::to_owned),
        };
        let told = of_tree(&plugin, "npm", &emptied(20, None)).unwrap();
        assert_eq!(
            told.message,
            "plugin `p`: `npm` left more in its cache than is kept"
        );
        let notes = [
            "it held at least 20 bytes, of which 10 are kept",
            "it was emptied: the next command begins with nothing",
        ];
        assert_eq!(told.notes, notes);
        assert_eq!(
            record(&emptied(5, Some("no space"))).as_str(),
            "could not empty `/c/files`: no space: it held more files than are kept"
        );
        let told = of_tree(&plugin, "make", &note).unwrap();
        assert_eq!(
            told.message,
            "plugin `p`: `make` made `/r/.envrc`, which others execute"
        );
        assert_eq!(told.notes, ["it was renamed to `/r/.envrc.set-aside-1`"]);
    }
}
