//! What a command needs in its environment to find its way in its cell, besides what the policy says.

use std::ffi::CString;
use std::path::Path;

use portcullis_confine::{Access, Net, PROXY_PORT, Plan, Root, Tier};
use portcullis_policy::{Authorized, ExecRequest};

use crate::ExecFailure;
use crate::executor::Inner;
use crate::plan::Planned;
use crate::run::c_string;

/// Variables by which programs are told which certificates to trust. Those of one program alone come before what its
/// installation has configured.
const CA_NAMES: [&str; 9] = [
    "SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
];

/// Where programs keep what they can make again, for a command that cannot write in its home directory.
const CACHES: [(&str, &str); 2] = [
    ("XDG_CACHE_HOME", "/tmp/.cache"),
    ("NPM_CONFIG_CACHE", "/tmp/.cache/npm"),
];

const NODE_OPTIONS: &str = "NODE_OPTIONS";

/// What the policy says, and what a command needs besides.
pub(crate) fn environment(
    executor: &Inner,
    authorized: &Authorized<ExecRequest>,
    planned: &Planned,
) -> Result<Vec<CString>, ExecFailure> {
    let plan = &planned.plan;
    let mut vars = authorized.terms().environment.vars.clone();
    let cache = cache_variables(planned);
    // What is there was let through by name, and so may say otherwise.
    for (name, value) in cache.into_iter().chain(defaults(plan)) {
        if !vars.iter().any(|(other, _)| other == name) {
            vars.push((name.into(), value.into()));
        }
    }
    let mut set = |name: &str, value: String| {
        // Whatever was set would lead nowhere in a cell.
        vars.retain(|(other, _)| other != name);
        vars.push((name.to_owned().into(), value.into()));
    };
    if plan.net() == Net::Proxy {
        for (name, value) in portcullis_proxy::environment(PROXY_PORT) {
            set(name, value);
        }
    }
    if plan.tier() != Tier::Limits {
        let roots = plan
            .roots()
            .iter()
            .map(Root::path)
            .filter(|path| path.is_dir());
        for (name, value) in executor.git.environment(roots) {
            set(&name, value);
        }
        if let Some(file) = executor.planner.ca_file(plan).and_then(Path::to_str) {
            for name in CA_NAMES {
                set(name, file.to_owned());
            }
        }
    }
    #[cfg(feature = "ablation")]
    if portcullis_confine::is_left_out(portcullis_confine::Layer::Env) {
        vars.extend(std::env::vars().map(|(name, value)| (name.into(), value.into())));
    }
    vars.iter()
        .map(|(name, value)| c_string(format!("{name}={value}")))
        .collect()
}

/// What leads into the cache.
fn cache_variables(planned: &Planned) -> Vec<(&'static str, String)> {
    let Some(cache) = planned.cache() else {
        return Vec::new();
    };
    let (plan, files) = (&planned.plan, cache.files());
    let roots = plan.roots().iter().map(Root::path);
    let granted: Vec<_> = roots.filter(|path| *path != files).collect();
    cache.variables(plan.home_directory(), &granted)
}

/// What is set only where nothing else is.
fn defaults(plan: &Plan) -> Vec<(&'static str, String)> {
    let mut defaults = Vec::new();
    if plan.net() == Net::Proxy {
        defaults.push((NODE_OPTIONS, portcullis_proxy::node_options()));
    }
    if matches!(plan.tier(), Tier::Full | Tier::Namespaces) && !has_own_home(plan) {
        let caches = CACHES.map(|(name, place)| (name, place.to_owned()));
        defaults.extend(caches);
    }
    defaults
}

/// Whether the home directory can be written: an empty one of the cell's own can.
fn has_own_home(plan: &Plan) -> bool {
    let Some(home) = plan.home_directory() else {
        return false;
    };
    // They are sorted, so that the last one is the innermost.
    let around = plan
        .roots()
        .iter()
        .rfind(|root| home.starts_with(root.path()));
    around.is_none_or(|root| matches!(root.access(), Access::Write | Access::WriteExec))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plan: &Plan) -> Vec<&'static str> {
        defaults(plan).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn caches_lie_elsewhere_only_where_the_home_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap();
        let root = |access| Root::open(&home, access).unwrap();
        let own = Plan::new(Tier::Full).home(&home);
        assert_eq!(names(&own), [""; 0]);
        assert_eq!(names(&own.clone().root(root(Access::Write))), [""; 0]);
        let read = own.clone().root(root(Access::Read));
        assert_eq!(names(&read), ["XDG_CACHE_HOME", "NPM_CONFIG_CACHE"]);
        assert_eq!(
            names(&Plan::new(Tier::Full)),
            ["XDG_CACHE_HOME", "NPM_CONFIG_CACHE"]
        );
        let without = Plan::new(Tier::Landlock)
            .home(&home)
            .root(root(Access::Read));
        assert_eq!(names(&without), [""; 0]);
        assert_eq!(names(&own.network(Net::Proxy)), [NODE_OPTIONS]);
    }
}
