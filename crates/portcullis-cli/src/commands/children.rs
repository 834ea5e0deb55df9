//! In words and as data: what the commands of a plugin can reach. The same for a plan, an inspection and a decision.

use std::path::{Path, PathBuf};

use portcullis::CACHE_VARIABLES;
use portcullis_policy::{ChildRights, Confinement, Grants, Net, ProgramRule};
use serde_json::{Value, json};

/// A plugin's commands, then those of each rule that leaves them less or confines them otherwise. `ca_file` is what they
/// trust, if it is not what the system does.
pub(super) fn plan_lines(grants: &Grants, ca_file: Option<&Path>) -> Vec<String> {
    let Some(exec) = &grants.exec else {
        return Vec::new();
    };
    let rights = ChildRights::of(grants);
    let mut lines = lines("children", &rights, exec.confinement, ca_file);
    for (rule, rights, confinement) in narrowed(grants) {
        let who = format!("children by rule `{}`", rule.id);
        lines.extend(self::lines(&who, &rights, confinement, ca_file));
    }
    lines
}

/// The same as data; null when the plugin runs no commands.
pub(super) fn plan_json(grants: &Grants, ca_file: Option<&Path>) -> Value {
    let Some(exec) = &grants.exec else {
        return Value::Null;
    };
    let rules: Vec<_> = narrowed(grants)
        .map(|(rule, rights, confinement)| json!({ "rule": rule.id, "children": json(&rights, confinement, ca_file) }))
        .collect();
    let mut plan = json(&ChildRights::of(grants), exec.confinement, ca_file);
    plan["rules"] = Value::Array(rules);
    plan
}

/// The rules that leave their commands something else than the plugin has, with what they leave.
fn narrowed(grants: &Grants) -> impl Iterator<Item = (&ProgramRule, ChildRights, Confinement)> {
    let all = ChildRights::of(grants);
    let exec = grants.exec.iter();
    let rules = exec.flat_map(|exec| exec.allow.iter().map(move |rule| (rule, exec.confinement)));
    rules.filter_map(move |(rule, tier)| {
        let rights = all.narrowed([&rule.narrowing]);
        let own = rule.narrowing.confinement.unwrap_or(tier);
        (rights != all || own != tier).then_some((rule, rights, own))
    })
}

/// What these commands can reach: a line that says how they are confined, then one for each kind of thing.
pub(super) fn lines(
    who: &str,
    rights: &ChildRights,
    confinement: Confinement,
    ca_file: Option<&Path>,
) -> Vec<String> {
    let mut lines = vec![in_force(who, confinement.name())];
    if confinement == Confinement::Limits {
        return lines;
    }
    let mut fact = |label: &str, facts: Vec<String>| {
        for (at, fact) in facts.iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            lines.push(format!("  {label:<8} {fact}"));
        }
    };
    fact("read", or_none(paths(&rights.read)));
    fact("write", or_none(paths(&rights.write)));
    let executed = rights.write_exec.iter();
    let executed = executed.map(|path| format!("what was written in {}", path.display()));
    fact("execute", executed.collect());
    fact("system", paths(&rights.system));
    fact("network", network(&rights.net));
    let reaches = matches!(rights.net, Net::Hosts(_) | Net::Open);
    let ca_file = ca_file.filter(|_| reaches);
    fact("trust", ca_file.into_iter().map(trusted).collect());
    fact("programs", vec![programs(rights)]);
    let numbers = [
        ("memory", rights.memory, "bytes"),
        ("tasks", rights.processes.map(u64::from), "at once"),
    ];
    for (label, number, unit) in numbers {
        fact(
            label,
            number
                .iter()
                .map(|number| format!("{number} {unit}"))
                .collect(),
        );
    }
    if !rights.write.is_empty() {
        fact("protect", vec![protected(rights)]);
    }
    if let Some(bytes) = rights.cache {
        fact("cache", vec![cache(bytes)]);
    }
    if rights.share {
        fact(
            "scratch",
            vec!["shared between commands with equal rights".to_owned()],
        );
    }
    lines
}

/// How they are confined by the tier of this name.
pub(super) fn in_force(who: &str, tier: &str) -> String {
    if tier == Confinement::Limits.name() {
        format!("{who}: not confined ({tier}): they can do what you can do")
    } else {
        format!("{who}: confined ({tier})")
    }
}

/// The same as data. Without confinement there are no rights that would say anything.
pub(super) fn json(
    rights: &ChildRights,
    confinement: Confinement,
    ca_file: Option<&Path>,
) -> Value {
    let confines = confinement != Confinement::Limits;
    let (rights, ca_file) = (confines.then_some(rights), ca_file.filter(|_| confines));
    json!({ "confinement": confinement, "rights": rights, "ca_file": ca_file })
}

/// The same in a few words each, for warnings and questions.
pub(crate) fn reach(rights: &ChildRights, confinement: Confinement) -> Vec<String> {
    if confinement == Confinement::Limits {
        return vec!["everything that you can reach".to_owned()];
    }
    vec![
        format!("read {}", or_none(paths(&rights.read)).join(", ")),
        format!("write {}", or_none(paths(&rights.write)).join(", ")),
        format!("network {}", network(&rights.net).join(", ")),
        format!("programs {}", programs(rights)),
    ]
}

fn paths(paths: &[PathBuf]) -> Vec<String> {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect()
}

fn or_none(facts: Vec<String>) -> Vec<String> {
    if facts.is_empty() {
        vec!["none".to_owned()]
    } else {
        facts
    }
}

fn network(net: &Net) -> Vec<String> {
    match net {
        Net::None => vec!["none".to_owned()],
        Net::Loopback => vec!["its own loopback".to_owned()],
        Net::Hosts(hosts) => {
            let host = |host: &portcullis_policy::HostRule| {
                let ranges: Vec<_> = host.addresses.iter().map(ToString::to_string).collect();
                match ranges.as_slice() {
                    [] => host.to_string(),
                    _ => format!("{host} (also at {})", ranges.join(", ")),
                }
            };
            or_none(hosts.iter().map(host).collect())
        }
        Net::Open => vec!["open: all that you can reach".to_owned()],
    }
}

fn programs(rights: &ChildRights) -> String {
    match rights.exec.as_deref() {
        None => "any of the system".to_owned(),
        Some([]) => "none but itself".to_owned(),
        Some(programs) => {
            let names: Vec<_> = programs.iter().map(ToString::to_string).collect();
            format!("itself, {}", names.join(", "))
        }
    }
}

fn trusted(ca_file: &Path) -> String {
    format!(
        "the certificates of {}, in place of the system's",
        ca_file.display()
    )
}

fn cache(bytes: u64) -> String {
    format!(
        "up to {bytes} bytes, kept for commands of the same rule, rights and variables: {}",
        CACHE_VARIABLES.join(", ")
    )
}

fn protected(rights: &ChildRights) -> String {
    let count = rights.protect.names().len();
    match rights.protect.lifted().as_slice() {
        [] => format!("{count} names that others execute, such as .git/hooks"),
        lifted => format!(
            "{count} names that others execute, but not {}",
            lifted.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{HostRule, ProgramRef};

    use super::*;

    #[test]
    fn the_least_and_the_most_are_told() {
        let none = lines(
            "children",
            &ChildRights::default(),
            Confinement::Full,
            Some(Path::new("/etc/ca.pem")),
        );
        assert_eq!(
            none,
            [
                "children: confined (full)",
                "  read     none",
                "  write    none",
                "  network  none",
                "  programs any of the system",
            ]
        );
        let mut host = HostRule::parse("db.corp:5432").unwrap();
        host.unlock("10.2.0.0/16").unwrap();
        let mut all = ChildRights {
            read: vec!["/p".into(), "/w".into()],
            write: vec!["/w".into()],
            write_exec: vec!["/w/target".into()],
            system: vec!["/opt/node".into()],
            net: Net::Hosts(vec![HostRule::parse("a.example.org:443").unwrap(), host]),
            exec: Some(vec![
                ProgramRef::parse("ssh").unwrap(),
                ProgramRef::parse("/bin/sh").unwrap(),
            ]),
            memory: Some(1024),
            processes: Some(9),
            share: true,
            cache: Some(4096),
            ..ChildRights::default()
        };
        assert!(all.protect.lift(".envrc"));
        let count = all.protect.names().len();
        assert_eq!(
            lines(
                "children by rule `r`",
                &all,
                Confinement::Namespaces,
                Some(Path::new("/etc/ca.pem"))
            )
            .join("\n"),
            format!(
                "children by rule `r`: confined (namespaces)\n  read     /p\n           /w\n  write    /w\n  \
                 execute  what was written in /w/target\n  system   /opt/node\n  network  a.example.org:443\n           \
                 db.corp:5432 (also at 10.2.0.0/16)\n  \
                 trust    the certificates of /etc/ca.pem, in place of the system's\n  programs itself, ssh, /bin/sh\n  memory   1024 bytes\n  \
                 tasks    9 at once\n  protect  {count} names that others execute, but not .envrc\n  \
                 cache    up to 4096 bytes, kept for commands of the same rule, rights and variables: \
                 XDG_CACHE_HOME, NPM_CONFIG_CACHE, CARGO_HOME, GOMODCACHE\n  \
                 scratch  shared between commands with equal rights"
            )
        );
        assert_eq!(
            lines("children", &all, Confinement::Limits, None),
            ["children: not confined (limits): they can do what you can do"]
        );
        assert_eq!(
            json(&all, Confinement::Limits, Some(Path::new("/etc/ca.pem"))),
            json!({ "confinement": "limits", "rights": null, "ca_file": null })
        );
        let data = json(&all, Confinement::Full, Some(Path::new("/etc/ca.pem")));
        assert_eq!(data["ca_file"], "/etc/ca.pem");
        assert_eq!(data["rights"]["cache"], 4096);
        assert_eq!(data["rights"]["net"]["hosts"][0], "a.example.org:443");
        assert_eq!(data["rights"]["write"], json!(["/w"]));
    }
}
