//! The most that may be granted, whoever grants it: what is above it is cut off.

use std::path::PathBuf;

use crate::paths::covers;
use crate::{
    Confinement, ExecGrant, FsAccess, FsGrant, Grants, HttpPlace, HttpRule, KvSize, Limits,
    MetadataKey, Mode, Net, NetCeiling, Origin, ProgramRule, Protect,
};

/// The most that may be granted to any plugin.
///
/// # Defaults
/// Nothing is cut off: `None` is no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
    /// `production`: nobody is asked. `dev` is no bound.
    pub mode: Option<Mode>,
    /// The weakest confinement.
    pub confinement: Option<Bounded<Confinement>>,
    /// The only commands.
    pub exec: Option<ExecCeiling>,
    /// What is denied besides.
    pub deny: Vec<ProgramRule>,
    /// Where bare names of programs are looked up, instead of where the policy says.
    pub search_path: Option<Vec<PathBuf>>,
    /// Where it is written that the host's environment is not inherited.
    pub no_inherit_env: Option<Origin>,
    /// The only host variables that are passed by name.
    pub pass_env: Option<Bounded<Vec<String>>>,
    /// The only vetoed names that may be set.
    pub allow_dangerous_env: Option<Bounded<Vec<String>>>,
    /// The only names whose protection may be lifted.
    pub unprotect: Option<Bounded<Vec<String>>>,
    /// The only host variables that plugins read; a trailing `*` matches any rest.
    pub env: Option<Bounded<Vec<String>>>,
    /// Where it is written that no plugin writes into the log.
    pub no_log: Option<Origin>,
    /// Directories and files.
    pub fs: FsCeiling,
    /// The widest network.
    pub net: Option<Bounded<Net>>,
    /// The highest limits.
    pub limits: Option<Limits>,
    /// The only HTTP requests of plugins themselves.
    pub http: Option<Bounded<Vec<HttpRule>>>,
    /// The only lookups and connections of plugins themselves.
    pub own_net: NetCeiling,
    /// The most state; with `None` inside, no plugin keeps any.
    pub kv: Option<Bounded<Option<KvSize>>>,
    /// Where it is written that no plugin has a directory of its own.
    pub no_data: Option<Origin>,
    /// The only facts about projects that plugins are told.
    pub metadata: Option<Bounded<Vec<MetadataKey>>>,
    /// The only places that secrets are sent to.
    pub http_secrets: Option<Bounded<Vec<HttpPlace>>>,
}

/// A bound, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded<T> {
    /// The bound.
    pub most: T,
    /// The line of it.
    pub origin: Origin,
}

/// The only commands that may be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecCeiling {
    /// When several rules are about a command, it gets only what all of them leave.
    pub allow: Vec<ProgramRule>,
    /// The line of the list.
    pub origin: Origin,
}

/// The only directories and files that may be granted: real paths. What may be written may be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FsCeiling {
    /// To read.
    pub read: Option<Bounded<Vec<PathBuf>>>,
    /// To write.
    pub write: Option<Bounded<Vec<PathBuf>>>,
}

/// Something that was granted and is above the ceiling.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Cut {
    /// What is not granted after all, as a phrase: ``write `/srv` ``.
    pub what: String,
    /// Where it was granted, if at one place.
    pub granted: Option<Origin>,
    /// The line of the ceiling.
    pub ceiling: Origin,
}

impl Ceiling {
    /// Cuts off what is above the ceiling, and says what that was. Limits and confinement are changed without a word.
    ///
    /// Never grants more than before; meeting it twice is meeting it once.
    pub fn meet(&self, grants: &mut Grants) -> Vec<Cut> {
        let mut cuts = Vec::new();
        if self.mode == Some(Mode::Production) {
            grants.mode = Mode::Production;
        }
        if let Some(exec) = &mut grants.exec {
            self.meet_exec(exec, &mut cuts);
        }
        self.meet_protect(&mut grants.protect, &mut cuts);
        grants.fs_ceiling = self.fs.clone();
        cuts.extend(grants.meet_fs_ceiling());
        if let Some(bound) = &self.net {
            let met = Net::narrowest([&grants.net, &bound.most]);
            if met != Net::narrowest([&grants.net]) {
                cuts.push(bound.cut("reach all of its `net`".to_owned(), None));
            }
            grants.net = met;
        }
        if let Some(bound) = &self.env {
            let met = patterns(&grants.env, &bound.most);
            let gone = grants.env.iter().filter(|name| !met.contains(name));
            cuts.extend(gone.map(|name| bound.cut(format!("read the variable `{name}`"), None)));
            grants.env = met;
        }
        if let Some(origin) = self.no_log.as_ref().filter(|_| grants.log) {
            grants.log = false;
            cuts.push(Cut {
                what: "write lines into your log".to_owned(),
                granted: None,
                ceiling: origin.clone(),
            });
        }
        if self.http.is_some() {
            grants.http.ceiling.clone_from(&self.http);
        }
        grants.own_net.ceiling.meet(&self.own_net);
        if let Some(bound) = &self.http_secrets {
            grants.http.secrets.retain(|secret| {
                let kept = bound.most.iter().any(|place| place.covers(&secret.to));
                if !kept {
                    let what = format!(
                        "have `{}` added to its requests to `{}`",
                        secret.header, secret.to
                    );
                    cuts.push(bound.cut(what, Some(secret.origin.clone())));
                }
                kept
            });
        }
        if let Some(limits) = &self.limits {
            grants.limits = grants.limits.min(limits);
        }
        if let Some(bound) = &self.kv {
            match (&mut grants.kv, bound.most) {
                (Some(kv), Some(most)) => kv.size = kv.size.min(&most),
                (Some(kv), None) => {
                    let origin = kv.origin.clone();
                    cuts.push(bound.cut("keep state of its own".to_owned(), Some(origin)));
                    grants.kv = None;
                }
                (None, _) => {}
            }
        }
        self.meet_fledge(grants, &mut cuts);
        cuts
    }

    /// What only plugins of fledge have.
    fn meet_fledge(&self, grants: &mut Grants, cuts: &mut Vec<Cut>) {
        if let Some(ceiling) = &self.no_data
            && let Some(data) = grants.data.take()
        {
            cuts.push(Cut {
                what: "have a directory of its own".to_owned(),
                granted: Some(data.origin),
                ceiling: ceiling.clone(),
            });
        }
        if let Some(bound) = &self.metadata {
            grants.metadata.retain(|key| {
                let kept = bound.most.contains(key);
                if !kept {
                    cuts.push(bound.cut(format!("be told `{key}` of the project"), None));
                }
                kept
            });
        }
    }

    fn meet_exec(&self, exec: &mut ExecGrant, cuts: &mut Vec<Cut>) {
        if self.exec.is_some() {
            exec.ceiling.clone_from(&self.exec);
        }
        for rule in &self.deny {
            if !exec.deny.contains(rule) {
                exec.deny.push(rule.clone());
            }
        }
        if let Some(path) = &self.search_path {
            exec.search_path.clone_from(path);
        }
        if let Some(bound) = &self.confinement {
            // The tiers are in order, the strongest first.
            exec.confinement = exec.confinement.min(bound.most);
            for rule in &mut exec.allow {
                let tier = &mut rule.narrowing.confinement;
                *tier = tier.map(|tier| tier.min(bound.most));
            }
        }
        if self.no_inherit_env.is_some() {
            exec.inherit_env = false;
        }
        let lists = [
            ("given", &self.pass_env, &mut exec.pass_env),
            (
                "run with, set by itself,",
                &self.allow_dangerous_env,
                &mut exec.allow_dangerous_env,
            ),
        ];
        for (verb, bound, names) in lists {
            let Some(bound) = bound else { continue };
            names.retain(|name| {
                let kept = bound.most.contains(name);
                if !kept {
                    cuts.push(bound.cut(
                        format!("have its commands {verb} the variable `{name}`"),
                        None,
                    ));
                }
                kept
            });
        }
    }

    fn meet_protect(&self, protect: &mut Protect, cuts: &mut Vec<Cut>) {
        let Some(bound) = &self.unprotect else {
            return;
        };
        let mut met = Protect::default();
        for name in protect.lifted() {
            if bound.most.iter().any(|most| most == name) {
                met.lift(name);
            } else {
                cuts.push(bound.cut(format!("change the protected name `{name}`"), None));
            }
        }
        *protect = met;
    }
}

impl<T> Bounded<T> {
    fn cut(&self, what: String, granted: Option<Origin>) -> Cut {
        Cut {
            what,
            granted,
            ceiling: self.origin.clone(),
        }
    }
}

impl Grants {
    /// Cuts off directories and files that are above the ceiling: what may not be written may still be read.
    pub fn meet_fs_ceiling(&mut self) -> Vec<Cut> {
        let FsCeiling { read, write } = self.fs_ceiling.clone();
        // Where only reading is bounded, nothing else is opened to be written either.
        let write = write.or_else(|| read.clone());
        let mut cuts = Vec::new();
        let inside = |bound: &Option<Bounded<Vec<PathBuf>>>, path: &PathBuf| {
            bound.as_ref().is_none_or(|bound| covers(&bound.most, path))
        };
        let reads = |path: &PathBuf| {
            inside(&read, path)
                || write
                    .as_ref()
                    .is_some_and(|write| covers(&write.most, path))
        };
        let mut cut = |bound: &Option<Bounded<Vec<PathBuf>>>,
                       verb,
                       path: &PathBuf,
                       origin: Option<Origin>| {
            let what = format!("{verb} `{}`", path.display());
            cuts.extend(
                bound
                    .iter()
                    .map(|bound| bound.cut(what.clone(), Option::clone(&origin))),
            );
        };
        let kept = |mut grant: FsGrant| {
            let origin = || Some(grant.origin.clone());
            if grant.access == FsAccess::ReadWrite && !inside(&write, &grant.host) {
                cut(&write, "write", &grant.host, origin());
                grant.access = FsAccess::Read;
            }
            if grant.access == FsAccess::Read && !reads(&grant.host) {
                cut(&read, "read", &grant.host, origin());
                return None;
            }
            Some(grant)
        };
        self.fs = std::mem::take(&mut self.fs)
            .into_iter()
            .filter_map(kept)
            .collect();
        if let Some(exec) = &mut self.exec {
            exec.system.retain(|path| {
                let kept = reads(path);
                if !kept {
                    cut(&read, "read", path, None);
                }
                kept
            });
        }
        cuts
    }
}

/// The names that both lists match; a trailing `*` matches any rest.
fn patterns(granted: &[String], most: &[String]) -> Vec<String> {
    let covers = |outer: &str, inner: &str| match outer.strip_suffix('*') {
        Some(start) => inner.strip_suffix('*').unwrap_or(inner).starts_with(start),
        None => outer == inner,
    };
    let mut met = Vec::new();
    for name in granted {
        for bound in most {
            let narrower = if covers(bound, name) {
                Some(name)
            } else {
                Some(bound).filter(|bound| covers(name, bound))
            };
            if let Some(name) = narrower.filter(|name| !met.contains(*name)) {
                met.push(name.clone());
            }
        }
    }
    met
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FsKind, PluginId};

    fn at<T>(most: T) -> Option<Bounded<T>> {
        Some(Bounded {
            most,
            origin: Origin::Code,
        })
    }

    fn fs(host: &str, access: FsAccess) -> FsGrant {
        FsGrant {
            host: host.into(),
            kind: FsKind::Directory,
            guest: host.to_owned(),
            access,
            origin: Origin::Code,
        }
    }

    #[test]
    fn what_is_above_is_cut_off_and_said() {
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        grants.fs = vec![
            fs("/srv/a", FsAccess::ReadWrite),
            fs("/srv", FsAccess::ReadWrite),
            fs("/home", FsAccess::Read),
        ];
        grants.env = vec!["*".to_owned()];
        grants.net = Net::Open;
        grants.log = true;
        grants.mode = Mode::Dev;
        let ceiling = Ceiling {
            mode: Some(Mode::Production),
            fs: FsCeiling {
                read: at(vec!["/srv".into()]),
                write: at(vec!["/srv/a".into()]),
            },
            env: at(vec!["LANG".to_owned(), "LC_*".to_owned()]),
            net: at(Net::None),
            no_log: Some(Origin::Code),
            ..Ceiling::default()
        };
        let cuts = ceiling.meet(&mut grants);
        let what: Vec<_> = cuts.iter().map(|cut| cut.what.as_str()).collect();
        assert_eq!(
            what,
            [
                "write `/srv`",
                "read `/home`",
                "reach all of its `net`",
                "read the variable `*`",
                "write lines into your log"
            ]
        );
        assert_eq!(
            grants.fs,
            [
                fs("/srv/a", FsAccess::ReadWrite),
                fs("/srv", FsAccess::Read)
            ]
        );
        assert_eq!(grants.env, ["LANG", "LC_*"]);
        assert!(!grants.log);
        assert_eq!((grants.mode, &grants.net), (Mode::Production, &Net::None));
        let once = grants.clone();
        assert_eq!(ceiling.meet(&mut grants), []);
        assert_eq!(grants, once);
    }

    #[test]
    fn a_ceiling_cuts_what_plugins_of_fledge_have() {
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        grants.metadata = vec![MetadataKey::GitLog, MetadataKey::Env];
        grants.data = Some(crate::DataGrant {
            owner: crate::KvOwner::Application {
                name: String::new(),
            },
            origin: Origin::Code,
        });
        let ceiling = Ceiling {
            no_data: Some(Origin::Code),
            metadata: at(vec![MetadataKey::GitLog]),
            ..Ceiling::default()
        };
        assert_eq!(ceiling.meet(&mut grants).len(), 2);
        assert_eq!(grants.metadata, [MetadataKey::GitLog]);
        assert_eq!(grants.data, None);
        assert_eq!(ceiling.meet(&mut grants), []);
    }

    #[test]
    fn no_bound_cuts_nothing() {
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        grants.fs = vec![fs("/srv", FsAccess::ReadWrite)];
        grants.exec = Some(ExecGrant::default());
        grants.env = vec!["*".to_owned()];
        let before = grants.clone();
        assert_eq!(Ceiling::default().meet(&mut grants), []);
        assert_eq!(grants, before);
    }

    #[test]
    fn patterns_meet_in_the_narrower() {
        let list = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let met = |one: &[&str], other: &[&str]| patterns(&list(one), &list(other));
        assert_eq!(
            met(&["AWS_*", "HOME"], &["AWS_REGION", "H*"]),
            ["AWS_REGION", "HOME"]
        );
        assert_eq!(met(&["AWS_*"], &["AWS_*", "*"]), ["AWS_*"]);
        assert_eq!(met(&["A"], &["B"]), [""; 0]);
    }
}
