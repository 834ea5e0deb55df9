//! Hundreds of spellings of URLs, driven through a real guest. The oracle is what the dialer was asked to connect to.

use super::spellings::{self, GRANTED, NAMES};
use super::{World, hosts};
use crate::fixture::{args, block_on};

portcullis_testkit::tests![
    every_spelling_leads_where_it_may_or_nowhere,
    without_a_grant_for_all_hosts_no_spelling_leads_inside_either,
    by_wasi_no_spelling_leads_elsewhere,
];

fn named(world: World) -> World {
    for (name, addresses) in NAMES {
        world.network.name(name, addresses);
    }
    world
}

/// What was dialled for each URL, and what the guest was told.
fn dialled(world: World, granted: &[&str], urls: &[&str]) -> Vec<(Vec<String>, String)> {
    let world = named(world);
    block_on(async {
        let mut instance = world.instance(hosts(granted)).await;
        let mut all = Vec::new();
        for url in urls {
            let said = instance.run(&args(&[url])).await.unwrap().unwrap();
            all.push((world.network.take_dialled(), said));
        }
        all
    })
}

fn every_spelling_leads_where_it_may_or_nowhere() {
    let cases = spellings::all();
    let legal = cases.iter().filter(|(_, place)| place.is_some()).count();
    let refused = cases.len() - legal;
    assert!(
        refused >= 150 && legal * 10 >= cases.len() * 4,
        "{refused} refused, {legal} legal"
    );
    let urls: Vec<_> = cases.iter().map(|(url, _)| url.as_str()).collect();
    let mut wrong = Vec::new();
    for ((url, place), (dialled, said)) in cases.iter().zip(dialled(World::new(), &GRANTED, &urls))
    {
        let right = match place {
            Some(place) => dialled == [place.clone()] && said.starts_with("200 "),
            None => dialled.is_empty() && said.starts_with("failed: "),
        };
        if !right {
            wrong.push(format!("{url:?}: {dialled:?} for {place:?}, {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn without_a_grant_for_all_hosts_no_spelling_leads_inside_either() {
    let cases = spellings::all();
    let urls: Vec<_> = cases.iter().map(|(url, _)| url.as_str()).collect();
    let granted: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
    let granted: Vec<_> = granted
        .into_iter()
        .filter(|name| !name.contains("localhost"))
        .collect();
    for ((url, place), (dialled, _)) in cases.iter().zip(dialled(World::new(), &granted, &urls)) {
        let may = place.iter().any(|place| dialled == [place.clone()]);
        assert!(dialled.is_empty() || may, "{url:?}: {dialled:?}");
    }
}

/// A guest says scheme, authority and path apart, and not every spelling has them.
fn by_wasi_no_spelling_leads_elsewhere() {
    let cases = spellings::all();
    let urls: Vec<_> = cases.iter().map(|(url, _)| url.as_str()).collect();
    let came = dialled(World::new().by_wasi(), &GRANTED, &urls);
    let mut reached = 0;
    for ((url, place), (dialled, said)) in cases.iter().zip(came) {
        let may = place.iter().any(|place| dialled == [place.clone()]);
        assert!(dialled.is_empty() || may, "{url:?}: {dialled:?}");
        assert_eq!(said.starts_with("200 "), may, "{url:?}: {said}");
        reached += usize::from(may);
    }
    let legal = cases.iter().filter(|(_, place)| place.is_some()).count();
    assert!(reached * 2 >= legal, "{reached} of {legal}");
}
