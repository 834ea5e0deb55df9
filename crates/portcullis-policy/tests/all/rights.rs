//! What a command's processes may reach: the plugin's grants, less what each matching rule takes away.

use std::path::{Path, PathBuf};

use portcullis_policy::{
    ArgumentRule, ChildRights, Confinement, ExecRequest, FsAccess, FsGrant, FsKind, Grants,
    HostRule, Narrowing, Net, Origin, ProgramRef, ProgramRule, Protect,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::support::{allowed, exec, grants, rule};

type Texts<'a> = &'a [&'a str];

fn fs(host: &str, access: FsAccess) -> FsGrant {
    FsGrant {
        host: host.into(),
        kind: FsKind::Directory,
        guest: host.to_owned(),
        access,
        origin: Origin::Code,
    }
}

fn paths(texts: &[&str]) -> Vec<PathBuf> {
    texts.iter().map(PathBuf::from).collect()
}

fn programs(texts: &[&str]) -> Vec<ProgramRef> {
    let read = texts.iter().map(|text| ProgramRef::parse(text).unwrap());
    read.collect()
}

/// `/p` to read, `/p/out` and `/w` to write, `/w/build` to execute from.
fn granted() -> Grants {
    let mut grants = grants(vec![], vec![]);
    grants.fs = vec![
        fs("/w", FsAccess::ReadWrite),
        fs("/p", FsAccess::Read),
        fs("/p/out", FsAccess::ReadWrite),
    ];
    exec(&mut grants).write_exec = paths(&["build"]);
    grants
}

/// The terms of `git` when each of these is a rule that allows it.
fn rights(mut grants: Grants, rules: &[Narrowing]) -> ChildRights {
    let rules = rules.iter().enumerate();
    exec(&mut grants).allow = rules
        .map(|(line, narrowing)| ProgramRule {
            narrowing: narrowing.clone(),
            ..rule("git", line, ArgumentRule::default())
        })
        .collect();
    exec(&mut grants).any_program = true;
    let authorized = allowed(&grants, ExecRequest::example("git", &[]));
    authorized.terms().rights.clone()
}

fn hosts(texts: &[&str]) -> Net {
    Net::Hosts(
        texts
            .iter()
            .map(|text| HostRule::parse(text).unwrap())
            .collect(),
    )
}

fn reads(read: &[&str]) -> Narrowing {
    Narrowing {
        read: Some(paths(read)),
        ..Narrowing::default()
    }
}

fn writes(write: &[&str]) -> Narrowing {
    Narrowing {
        write: Some(paths(write)),
        ..Narrowing::default()
    }
}

#[test]
fn nothing_granted_is_nothing_reached() {
    let none = rights(grants(vec![], vec![]), &[]);
    assert_eq!(none, ChildRights::default());
    assert_eq!(
        (none.read, none.write, none.system, none.net),
        (vec![], vec![], vec![], Net::None)
    );
    assert_eq!(none.protect.names().len(), Protect::BUILT_IN.len());
    assert_eq!(none.exec, None);
}

#[test]
fn without_rules_the_grants_are_the_rights() {
    let all = rights(granted(), &[]);
    assert_eq!(
        all.read,
        paths(&["/p", "/w"]),
        "what is written is read, and inner paths are not repeated"
    );
    assert_eq!(all.write, paths(&["/p/out", "/w"]));
    assert_eq!(all.write_exec, paths(&["/p/out/build", "/w/build"]));
    assert_eq!(all.read_only().collect::<Vec<_>>(), [Path::new("/p")]);
    assert!(all.reads(Path::new("/w/x")) && all.writes(Path::new("/p/out/x")));
    assert!(!all.writes(Path::new("/p/x")) && !all.reads(Path::new("/px")));
    assert!(!all.reads(Path::new("/p/../etc/shadow")));
}

#[test]
fn rules_take_paths_away() {
    type Case<'a> = (&'a str, &'a [Narrowing], Texts<'a>, Texts<'a>);
    let cases: &[Case<'_>] = &[
        (
            "a directory below",
            &[reads(&["/p/src"])],
            &["/p/out", "/p/src", "/w"],
            &["/p/out", "/w"],
        ),
        (
            "a directory above gives no more",
            &[reads(&["/"])],
            &["/p", "/w"],
            &["/p/out", "/w"],
        ),
        (
            "a directory elsewhere gives nothing",
            &[reads(&["/etc"]), writes(&["/etc"])],
            &[],
            &[],
        ),
        (
            "what is only read is not written",
            &[writes(&["/p/src"])],
            &["/p", "/w"],
            &[],
        ),
        (
            "both keys",
            &[Narrowing {
                write: Some(paths(&["/p/out/a"])),
                ..reads(&["/p/src"])
            }],
            &["/p/out/a", "/p/src"],
            &["/p/out/a"],
        ),
        (
            "two rules",
            &[
                reads(&["/p/src", "/p/doc"]),
                reads(&["/p/src/a", "/w"]),
                writes(&[]),
            ],
            &["/p/src/a"],
            &[],
        ),
        (
            "a name that begins alike",
            &[reads(&["/pp"]), writes(&["/ww"])],
            &[],
            &[],
        ),
        (
            "a path that is not real",
            &[reads(&["/p/../p", "p"]), writes(&["/w/.."])],
            &[],
            &[],
        ),
    ];
    for (title, rules, read, write) in cases {
        let rights = rights(granted(), rules);
        assert_eq!(rights.read, paths(read), "{title}");
        assert_eq!(rights.write, paths(write), "{title}");
    }
}

#[test]
fn a_file_is_granted_to_commands() {
    let mut grants = granted();
    let file = |host: &str, access| FsGrant {
        kind: FsKind::File,
        ..fs(host, access)
    };
    grants.fs = vec![
        file("/h/.gitconfig", FsAccess::Read),
        file("/h/db", FsAccess::ReadWrite),
    ];
    let rights = rights(grants, &[]);
    assert_eq!(rights.read, paths(&["/h/.gitconfig", "/h/db"]));
    assert_eq!(rights.write, paths(&["/h/db"]));
    assert_eq!(rights.write_exec, paths(&[]), "there is nothing in a file");
}

#[test]
fn what_was_written_runs_only_where_it_is_granted() {
    let only = |patterns: &[&str]| Narrowing {
        write_exec: Some(paths(patterns)),
        ..Narrowing::default()
    };
    type Case<'a> = (&'a str, Texts<'a>, &'a [Narrowing], Texts<'a>);
    let cases: &[Case<'_>] = &[
        ("no grant", &[], &[only(&["build", "/w"])], &[]),
        ("a rule that takes all away", &["build"], &[only(&[])], &[]),
        (
            "a path",
            &["build"],
            &[only(&["/w/build/a"])],
            &["/w/build/a"],
        ),
        (
            "a path of the grant that is not written",
            &["/p/src", "/w/a", "../x"],
            &[],
            &["/w/a"],
        ),
        (
            "a name that is not granted",
            &["build"],
            &[only(&["dist"])],
            &[],
        ),
        (
            // Relative to what is granted: a rule's `write` does not move the name to another directory.
            "less to write",
            &["build"],
            &[writes(&["/w/sub", "/p/out"])],
            &["/p/out/build"],
        ),
        (
            "less to write inside",
            &["build"],
            &[writes(&["/w/build/deep"])],
            &["/w/build/deep"],
        ),
    ];
    for (title, granted_patterns, rules, expected) in cases {
        let mut grants = granted();
        exec(&mut grants).write_exec = paths(granted_patterns);
        assert_eq!(rights(grants, rules).write_exec, paths(expected), "{title}");
    }
}

#[test]
fn the_narrowest_network_holds() {
    let (a, b) = ("a.example:443", "b.example:443");
    let cases = [
        (Net::None, vec![Net::Open], Net::None),
        (Net::None, vec![hosts(&[a])], Net::None),
        (Net::Open, vec![], Net::Open),
        (Net::Open, vec![hosts(&[b, a, b])], hosts(&[a, b])),
        (Net::Open, vec![Net::Loopback], Net::Loopback),
        (Net::Open, vec![hosts(&[a, b]), hosts(&[b])], hosts(&[b])),
        (Net::Open, vec![hosts(&[a]), hosts(&[b])], Net::None),
        (Net::Open, vec![hosts(&[])], Net::None),
        (hosts(&[a]), vec![Net::Open], hosts(&[a])),
        (hosts(&[a]), vec![Net::Loopback], Net::Loopback),
        (hosts(&[a]), vec![hosts(&[a, b])], hosts(&[a])),
        (
            hosts(&["*.b.example:443"]),
            vec![hosts(&["a.b.example:443", "a.b.example:22"])],
            hosts(&["a.b.example:443"]),
        ),
        (
            hosts(&["a.b.example:443", "*.b.example:443"]),
            vec![],
            hosts(&["*.b.example:443"]),
        ),
        (hosts(&[]), vec![], Net::None),
        (Net::Loopback, vec![Net::Open], Net::Loopback),
    ];
    for (grant, rules, expected) in cases {
        let mut grants = granted();
        let has_hosts = matches!(&grant, Net::Hosts(hosts) if !hosts.is_empty());
        grants.net = grant.clone();
        exec(&mut grants).share = true;
        let narrowings: Vec<_> = rules
            .iter()
            .map(|net| Narrowing {
                net: Some(net.clone()),
                ..Narrowing::default()
            })
            .collect();
        let rights = rights(grants, &narrowings);
        assert_eq!(rights.net, expected, "{grant:?} {rules:?}");
        // A proxy belongs to one command: whoever shares its scratch space would share its hosts.
        assert_eq!(
            rights.share,
            !matches!(rights.net, Net::Hosts(_)) && !has_hosts,
            "{grant:?} {rules:?}"
        );
    }
}

#[test]
fn a_cache_is_kept_where_it_is_granted_and_no_rule_takes_it_away() {
    let rule = |cache| Narrowing {
        cache,
        ..Narrowing::default()
    };
    for (grant, rules, expected) in [
        (None, vec![], None),
        (Some(0), vec![], None),
        (Some(7), vec![], Some(7)),
        (Some(7), vec![rule(None)], Some(7)),
        (Some(7), vec![rule(Some(true))], Some(7)),
        (Some(7), vec![rule(Some(true)), rule(Some(false))], None),
        (None, vec![rule(Some(true))], None),
    ] {
        let mut grants = granted();
        exec(&mut grants).cache = grant;
        assert_eq!(
            rights(grants, &rules).cache,
            expected,
            "{grant:?} {rules:?}"
        );
    }
}

#[test]
fn the_smallest_numbers_and_the_fewest_programs_hold() {
    let one = Narrowing {
        memory: Some(64),
        processes: Some(9),
        exec: Some(programs(&["ssh", "/bin/sh", "git", "git"])),
        ..Narrowing::default()
    };
    let other = Narrowing {
        memory: Some(128),
        processes: Some(3),
        exec: Some(programs(&["git", "ssh", "make"])),
        ..Narrowing::default()
    };
    let numbers = |rights: &ChildRights| (rights.memory, rights.processes);
    let alone = rights(granted(), std::slice::from_ref(&one));
    assert_eq!(numbers(&alone), (Some(64), Some(9)));
    assert_eq!(alone.exec, Some(programs(&["git", "ssh", "/bin/sh"])));
    let both = rights(granted(), &[one.clone(), other]);
    assert_eq!(numbers(&both), (Some(64), Some(3)));
    assert_eq!(both.exec, Some(programs(&["git", "ssh"])));
    let none = Narrowing {
        exec: Some(vec![]),
        ..Narrowing::default()
    };
    assert_eq!(rights(granted(), &[one, none]).exec, Some(vec![]));
    assert_eq!(numbers(&rights(granted(), &[])), (None, None));
}

#[test]
fn of_several_rules_the_strongest_confinement_holds() {
    use Confinement::{Full, Landlock, Limits, Namespaces};
    let cases: &[(Confinement, &[Option<Confinement>], Confinement)] = &[
        (Full, &[], Full),
        (Full, &[None], Full),
        (Full, &[Some(Limits)], Limits),
        (Full, &[Some(Limits), None], Full),
        (
            Full,
            &[Some(Limits), Some(Landlock), Some(Namespaces)],
            Namespaces,
        ),
        (Limits, &[], Limits),
        (Limits, &[Some(Full)], Full),
        (Limits, &[Some(Full), None], Full),
        (Landlock, &[Some(Limits), None], Landlock),
    ];
    for (grant, rules, expected) in cases {
        let mut grants = granted();
        exec(&mut grants).confinement = *grant;
        exec(&mut grants).any_program = rules.is_empty();
        let rules = rules.iter().enumerate();
        exec(&mut grants).allow = rules
            .clone()
            .map(|(line, confinement)| ProgramRule {
                narrowing: Narrowing {
                    confinement: *confinement,
                    ..Narrowing::default()
                },
                ..rule("git", line, ArgumentRule::default())
            })
            .collect();
        let authorized = allowed(&grants, ExecRequest::example("git", &[]));
        assert_eq!(
            authorized.terms().confinement,
            *expected,
            "{grant:?} {rules:?}"
        );
    }
}

#[test]
fn what_a_confinement_does_not_enforce_is_named() {
    let all = Narrowing {
        net: Some(hosts(&["a.example:443"])),
        read: Some(vec![]),
        write: Some(vec![]),
        write_exec: Some(vec![]),
        exec: Some(vec![]),
        memory: Some(1),
        processes: Some(1),
        timeout: Some(std::time::Duration::ZERO),
        ..Narrowing::default()
    };
    let mut grants = granted();
    exec(&mut grants).allow = vec![ProgramRule {
        narrowing: all.clone(),
        ..rule("git", 1, ArgumentRule::default())
    }];
    for (confinement, missing) in [
        (Confinement::Full, &[][..]),
        (Confinement::Namespaces, &["exec"]),
        (Confinement::Landlock, &["net", "processes"]),
        (
            Confinement::Limits,
            &[
                "exec",
                "memory",
                "net",
                "processes",
                "read",
                "write",
                "write_exec",
            ],
        ),
    ] {
        exec(&mut grants).confinement = confinement;
        let authorized = allowed(&grants, ExecRequest::example("git", &[]));
        assert_eq!(authorized.terms().not_in_force, missing, "{confinement:?}");
    }
    let none = Narrowing {
        net: Some(Net::None),
        ..Narrowing::default()
    };
    assert!(none.not_in_force(Confinement::Landlock).is_empty());
}

#[test]
fn paths_of_a_rule_outside_every_grant_are_found() {
    let all = ChildRights::of(&granted());
    let rule = Narrowing {
        read: Some(paths(&["/p/src", "/etc", "/"])),
        write: Some(paths(&["/p/src", "/p/out/x"])),
        write_exec: Some(paths(&["build", "dist", "/w/build/x"])),
        ..Narrowing::default()
    };
    assert_eq!(
        all.outside(&rule),
        [
            ("read", Path::new("/etc")),
            ("write", Path::new("/p/src")),
            ("write_exec", Path::new("dist")),
        ]
    );
}

const PLACES: &[&str] = &[
    "/", "/p", "/p/a", "/p/a/b", "/p/ab", "/q", "/q/x", "/q/x/y", "/pq", "/p/..", "rel",
];
const NAMES: &[&str] = &["a", "x", "a/b", "/p/a", "/q/x", "/", "..", "../q"];
const HOSTS: &[&str] = &[
    "a.example.org:443",
    "b.example.org:443",
    "*.example.org:443",
    "c.example.org:22",
];
const PROGRAMS: &[&str] = &["git", "ssh", "/usr/bin/git", "sh"];

fn some_paths(of: &'static [&'static str]) -> impl Strategy<Value = Vec<PathBuf>> {
    vec(select(of).prop_map(PathBuf::from), 0..4)
}

fn net() -> impl Strategy<Value = Net> {
    prop_oneof![
        Just(Net::None),
        Just(Net::Loopback),
        Just(Net::Open),
        vec(select(HOSTS), 0..3).prop_map(|texts| hosts(&texts)),
    ]
}

prop_compose! {
    fn narrowing()(
        net in of(net()),
        read in of(some_paths(PLACES)),
        write in of(some_paths(PLACES)),
        write_exec in of(some_paths(NAMES)),
        exec in of(vec(select(PROGRAMS).prop_map(|text| ProgramRef::parse(text).unwrap()), 0..4)),
        memory in of(0..4_u64),
        processes in of(0..4_u32),
        cache in of(any::<bool>()),
    ) -> Narrowing {
        Narrowing { net, read, write, write_exec, exec, memory, processes, cache, ..Narrowing::default() }
    }
}

prop_compose! {
    fn any_grants()(
        places in vec((select(PLACES), any::<bool>()), 0..4),
        write_exec in some_paths(NAMES),
        net in net(),
        share in any::<bool>(),
        cache in of(0..3_u64),
    ) -> Grants {
        let mut grants = grants(vec![], vec![]);
        let access = |write| if write { FsAccess::ReadWrite } else { FsAccess::Read };
        grants.fs = places.into_iter().map(|(place, write)| fs(place, access(write))).collect();
        grants.net = net;
        exec(&mut grants).write_exec = write_exec;
        exec(&mut grants).share = share;
        exec(&mut grants).cache = cache;
        grants
    }
}

/// Places in and around those of the rules: what is true of each of them is true of the lists.
fn probes() -> impl Iterator<Item = PathBuf> {
    let below = PLACES
        .iter()
        .flat_map(|place| ["", "a", "b", "z/z"].map(|name| Path::new(place).join(name)));
    below.filter(|path| path.is_absolute() && !path.ends_with("..") && !path.starts_with("/p/.."))
}

fn within(list: &[PathBuf], path: &Path) -> bool {
    let real = |outer: &&PathBuf| outer.is_absolute() && !outer.to_string_lossy().contains("..");
    list.iter()
        .filter(real)
        .any(|outer| path.starts_with(outer))
}

fn net_within(inner: &Net, outer: &Net) -> bool {
    match (inner, outer) {
        (Net::None, _) | (_, Net::Open) | (Net::Loopback, Net::Loopback) => true,
        (Net::Loopback, Net::Hosts(hosts)) => !hosts.is_empty(),
        (Net::Hosts(inner), Net::Hosts(outer)) => {
            let covered = |rule: &HostRule| {
                outer
                    .iter()
                    .any(|other| rule.meet(other).as_ref() == Some(rule))
            };
            inner.iter().all(covered)
        }
        (Net::Open | Net::Loopback | Net::Hosts(_), Net::None) | (Net::Open | Net::Hosts(_), _) => {
            false
        }
    }
}

/// Nothing that `inner` allows is outside `outer`.
fn no_more(inner: &ChildRights, outer: &ChildRights) -> bool {
    let lists = [
        (&inner.read, &outer.read),
        (&inner.write, &outer.write),
        (&inner.write_exec, &outer.write_exec),
        (&inner.system, &outer.system),
    ];
    let number = |inner: Option<u64>, outer: Option<u64>| {
        outer.is_none_or(|outer| inner.is_some_and(|inner| inner <= outer))
    };
    let programs = outer.exec.as_ref().is_none_or(|outer| {
        let inner = inner.exec.as_ref();
        inner.is_some_and(|inner| inner.iter().all(|program| outer.contains(program)))
    });
    lists
        .iter()
        .all(|(inner, outer)| inner.iter().all(|path| within(outer, path)))
        && net_within(&inner.net, &outer.net)
        && number(inner.memory, outer.memory)
        && number(
            inner.processes.map(u64::from),
            outer.processes.map(u64::from),
        )
        && (inner.cache.is_none() || inner.cache == outer.cache)
        && programs
}

fn is_outermost(list: &[PathBuf]) -> bool {
    let apart = |at: usize| {
        !list
            .iter()
            .enumerate()
            .any(|(other, path)| other != at && list[at].starts_with(path))
    };
    list.is_sorted() && (0..list.len()).all(apart)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_path_is_reached_when_the_grant_and_every_rule_say_so(grants in any_grants(), rules in vec(narrowing(), 0..4)) {
        let rights = rights(grants.clone(), &rules);
        for path in probes() {
            let by_grant = |write: bool| grants.fs.iter().any(|grant| {
                (!write || grant.access == FsAccess::ReadWrite) && within(std::slice::from_ref(&grant.host), &path)
            });
            let by_rules = |list: fn(&Narrowing) -> &Option<Vec<PathBuf>>| {
                rules.iter().filter_map(|rule| list(rule).as_ref()).all(|list| within(list, &path))
            };
            let writes = by_grant(true) && by_rules(|rule| &rule.write);
            let reads = by_grant(false) && by_rules(|rule| &rule.read);
            prop_assert_eq!(rights.writes(&path), writes, "write {:?}", path);
            prop_assert_eq!(rights.reads(&path), reads || writes, "read {:?}", path);
            if within(&rights.write_exec, &path) {
                prop_assert!(writes, "executed, not written: {:?}", path);
            }
        }
        for list in [&rights.read, &rights.write, &rights.write_exec] {
            prop_assert!(is_outermost(list), "{list:?}");
        }
    }

    #[test]
    fn rules_never_give_more_than_the_grants(grants in any_grants(), rules in vec(narrowing(), 0..4)) {
        let all = ChildRights::of(&grants);
        let rights = rights(grants, &rules);
        prop_assert!(no_more(&rights, &all), "{rights:?} {all:?}");
        prop_assert!(!rights.share || all.share);
    }

    #[test]
    fn a_further_key_or_rule_never_gives_more(
        grants in any_grants(), rules in vec(narrowing(), 1..4), which in any::<Index>(), more in narrowing(), key in 0..9,
    ) {
        let mut narrower = rules.clone();
        let rule = &mut narrower[which.index(rules.len())];
        match key {
            0 => rule.net = rule.net.clone().or(more.net),
            1 => rule.read = rule.read.clone().or(more.read),
            2 => rule.write = rule.write.clone().or(more.write),
            3 => rule.write_exec = rule.write_exec.clone().or(more.write_exec),
            4 => rule.exec = rule.exec.clone().or(more.exec),
            5 => rule.memory = rule.memory.or(more.memory),
            6 => rule.processes = rule.processes.or(more.processes),
            7 => rule.cache = rule.cache.or(more.cache),
            _ => narrower.push(more),
        }
        let before = rights(grants.clone(), &rules);
        let after = rights(grants, &narrower);
        prop_assert!(no_more(&after, &before), "{after:?} {before:?}");
    }

    #[test]
    fn the_order_of_rules_and_grants_never_shows(
        (grants, straight, shuffled, fs) in (any_grants(), vec(narrowing(), 0..4)).prop_flat_map(|(grants, rules)| {
            (Just(grants.clone()), Just(rules.clone()), Just(rules).prop_shuffle(), Just(grants.fs).prop_shuffle())
        }),
    ) {
        let other = Grants { fs, ..grants.clone() };
        prop_assert_eq!(rights(grants, &straight), rights(other, &shuffled));
    }
}
