//! Plans are equal only if nothing in them differs: cells are kept by their plan, and one that was made for another
//! would give a command another's rights.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use proptest::prelude::*;

use super::*;
use crate::wire;

const TIERS: [Tier; 4] = Tier::ALL;
const NETS: [Net; 4] = Net::ALL;

/// Directories that there are.
fn directories() -> &'static [PathBuf] {
    static MADE: OnceLock<(tempfile::TempDir, Vec<PathBuf>)> = OnceLock::new();
    let (_, paths) = MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let paths: Vec<_> = (0..4).map(|number| real.join(number.to_string())).collect();
        paths
            .iter()
            .for_each(|path| std::fs::create_dir(path).unwrap());
        (dir, paths)
    });
    paths
}

/// What a plan is made of, as numbers.
#[derive(Clone, Debug)]
struct Parts {
    tier: usize,
    net: usize,
    listed: bool,
    shared: bool,
    home: Option<usize>,
    /// The access to each of the directories, if it is a root.
    roots: [Option<usize>; 4],
    empty: [bool; 2],
    certificates: Option<usize>,
    /// Memory and processes.
    limits: [Option<usize>; 2],
}

fn parts() -> impl Strategy<Value = Parts> {
    let root = || prop::option::of(0..Access::ALL.len());
    let roots = [root(), root(), root(), root()];
    let flags = (any::<bool>(), any::<bool>(), any::<[bool; 2]>());
    let home = prop::option::of(0..3_usize);
    let certificates = prop::option::of(0..2_usize);
    let limit = || prop::option::of(0..3_usize);
    let own = (certificates, [limit(), limit()]);
    (0..4_usize, 0..4_usize, flags, home, roots, own).prop_map(
        |(tier, net, (listed, shared, empty), home, roots, (certificates, limits))| Parts {
            tier,
            net,
            listed,
            shared,
            home,
            roots,
            empty,
            certificates,
            limits,
        },
    )
}

/// Those that two files of certificates come to.
fn certificates() -> &'static [Certificates; 2] {
    static MADE: OnceLock<[Certificates; 2]> = OnceLock::new();
    MADE.get_or_init(|| [1, 2].map(|n| Certificates::new(b"pem", b"jks", vec![n]).unwrap()))
}

fn plan(parts: &Parts, reversed: bool) -> Plan {
    let mut plan = Plan::new(TIERS[parts.tier]).network(NETS[parts.net]);
    let roots = directories().iter().zip(parts.roots);
    let mut roots: Vec<_> = roots.collect();
    if reversed {
        roots.reverse();
    }
    for (path, access) in roots {
        if let Some(access) = access {
            plan = plan.root(Root::open(path, Access::ALL[access]).unwrap());
        }
    }
    if let Some(home) = parts.home {
        plan = plan.home(format!("/home/{home}"));
    }
    for (number, _) in parts.empty.iter().enumerate().filter(|(_, there)| **there) {
        plan = plan.empty_directory(Path::new("/empty").join(number.to_string()));
    }
    if parts.listed {
        plan = plan.only_listed_programs();
    }
    if parts.shared {
        plan = plan.share_scratch();
    }
    if let Some(number) = parts.certificates {
        plan = plan.certificates(certificates()[number].clone());
    }
    let [memory, processes] = parts.limits;
    if let Some(memory) = memory {
        plan = plan.limit_memory(memory as u64);
    }
    if let Some(processes) = processes {
        plan = plan.limit_processes(processes as u64);
    }
    plan
}

/// The same with one thing changed; every field of [`Plan`] has a number.
fn changed(parts: &Parts, field: usize, by: usize) -> Parts {
    let mut other = parts.clone();
    let next = |value: usize, count: usize| (value + 1 + by % (count - 1)) % count;
    let next_option = |value: Option<usize>, count: usize| {
        // Nothing is one of the values.
        let value = next(value.map_or(0, |value| value + 1), count + 1);
        value.checked_sub(1)
    };
    match field {
        0 => other.tier = next(parts.tier, TIERS.len()),
        1 => other.net = next(parts.net, NETS.len()),
        2 => other.listed = !parts.listed,
        3 => other.shared = !parts.shared,
        4 => other.home = next_option(parts.home, 3),
        5 => other.empty[by % 2] = !parts.empty[by % 2],
        6 => other.certificates = next_option(parts.certificates, 2),
        7 | 8 => other.limits[field - 7] = next_option(parts.limits[field - 7], 3),
        _ => {
            let root = &mut other.roots[by % 4];
            *root = next_option(*root, Access::ALL.len());
        }
    }
    other
}

const FIELDS: usize = 10;
/// Those that the server has nothing to do with.
const HOSTS_OWN: [usize; 2] = [7, 8];

/// Another field of a plan does not compile here before it has a number above.
#[test]
fn every_field_is_changed() {
    let Plan {
        tier: _,
        net: _,
        listed: _,
        shared: _,
        home: _,
        roots: _,
        empty: _,
        certificates: _,
        memory: _,
        processes: _,
        #[cfg(feature = "test-points")]
            stop: _,
    } = Plan::limits();
    assert_eq!(FIELDS, 10);
}

fn hash(plan: &Plan) -> u64 {
    let mut state = DefaultHasher::new();
    plan.hash(&mut state);
    state.finish()
}

proptest! {
    #[test]
    fn one_change_makes_another(parts in parts(), field in 0..FIELDS, by in 0..20_usize) {
        let (one, other) = (plan(&parts, false), plan(&changed(&parts, field, by), false));
        prop_assert_ne!(&one, &other);
        // What goes to the server differs too, but for the descriptors.
        let differ = wire::plan::encode(&one).unwrap().0 != wire::plan::encode(&other).unwrap().0;
        prop_assert_eq!(differ, !HOSTS_OWN.contains(&field));
    }

    #[test]
    fn the_order_in_which_it_is_made_changes_nothing(parts in parts()) {
        let (one, other) = (plan(&parts, false), plan(&parts, true));
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(hash(&one), hash(&other));
    }
}
