//! A root is what was opened, not what its path leads to by the time a cell is made.

use std::{fs, path::PathBuf};

use portcullis_confine::{Access, Plan, Root, Step, Tier};

use super::{OWN_ROOT, cells_of, confining, directory, is_root, open, output, refusal};
use crate::{
    fixture::Cells,
    probe::{Tried, probe, with_probe},
};

crate::tests![
    another_directory_under_its_name_is_not_granted,
    a_link_under_its_name_is_not_followed,
    what_was_renamed_after_the_template_stays_granted,
    a_link_inside_leads_nowhere,
    a_link_that_is_kept_cannot_be_replaced,
    swapped_back_is_itself_again,
];

/// A granted directory, and another beside it that is not.
fn pair(name: &str) -> (PathBuf, PathBuf) {
    let (granted, other) = (
        directory(&format!("{name}/granted")),
        directory(&format!("{name}/other")),
    );
    fs::write(granted.join("file"), "granted").unwrap();
    fs::write(other.join("file"), "secret").unwrap();
    (granted, other)
}

/// A template of `plan`, on a server that has proved itself with another plan.
fn template_of(plan: &Plan) -> Cells {
    let Cells { server, .. } = Cells::of(&Plan::new(plan.tier()));
    let template = server.template(&with_probe(plan.clone())).unwrap();
    Cells { template, server }
}

/// As root what was opened is mounted; as a user it is opened again, and found to be another.
fn expect_the_opened_or_nothing(plan: &Plan, file: &str) {
    let cells = template_of(plan);
    if plan.tier() == Tier::Landlock {
        // The rule is about what was opened, which is elsewhere by now.
        assert_eq!(probe(&cells, &["read", file]), Tried::Refused(libc::EACCES));
    } else if is_root() {
        assert_eq!(output(&cells, &format!("cat {file}")), "granted");
    } else {
        assert_eq!(refusal(&cells), (Step::Roots, libc::ESTALE));
    }
}

fn another_directory_under_its_name_is_not_granted() {
    for (number, tier) in confining().into_iter().enumerate() {
        let (granted, other) = pair(&format!("swapped-{number}"));
        let plan = Plan::new(tier).root(open(&granted, Access::Read));
        let file = granted.join("file");
        assert_eq!(
            output(&template_of(&plan), &format!("cat {}", file.display())),
            "granted",
            "the control"
        );
        fs::rename(&granted, granted.with_file_name("moved")).unwrap();
        fs::rename(&other, &granted).unwrap();
        expect_the_opened_or_nothing(&plan, file.to_str().unwrap());
    }
}

fn a_link_under_its_name_is_not_followed() {
    for (number, tier) in confining().into_iter().enumerate() {
        let (granted, other) = pair(&format!("linked-{number}"));
        let plan = Plan::new(tier).root(open(&granted, Access::Read));
        fs::rename(&granted, granted.with_file_name("moved")).unwrap();
        std::os::unix::fs::symlink(&other, &granted).unwrap();
        let file = granted.join("file");
        expect_the_opened_or_nothing(&plan, file.to_str().unwrap());
        assert!(!plan.roots()[0].is_current());
    }
}

fn what_was_renamed_after_the_template_stays_granted() {
    for (number, tier) in OWN_ROOT.into_iter().enumerate() {
        let (granted, other) = pair(&format!("later-{number}"));
        let cells = cells_of(Plan::new(tier).root(open(&granted, Access::Read)));
        let script = format!("cat {}", granted.join("file").display());
        assert_eq!(output(&cells, &script), "granted");
        fs::rename(&granted, granted.with_file_name("moved")).unwrap();
        fs::rename(&other, &granted).unwrap();
        assert_eq!(output(&cells, &script), "granted", "{tier:?}");
    }
}

fn a_link_inside_leads_nowhere() {
    let (granted, other) = pair("inside");
    let link = granted.join("link");
    std::os::unix::fs::symlink(other.join("file"), &link).unwrap();
    for tier in confining() {
        for access in [Access::Read, Access::Write] {
            let cells = cells_of(Plan::new(tier).root(open(&granted, access)));
            let read = ["read", link.to_str().unwrap()];
            assert_ne!(probe(&cells, &read), Tried::Done, "{tier:?} {access:?}");
        }
        let both = Plan::new(tier)
            .root(open(&granted, Access::Read))
            .root(open(&other, Access::Read));
        let read = ["read", link.to_str().unwrap()];
        assert_eq!(probe(&cells_of(both), &read), Tried::Done, "the control");
    }
}

fn a_link_that_is_kept_cannot_be_replaced() {
    let (granted, _) = pair("kept");
    let link = granted.join("link");
    std::os::unix::fs::symlink("file", &link).unwrap();
    let plan = |tier| Plan::new(tier).root(open(&granted, Access::Write));
    let act = ["remove", link.to_str().unwrap()];
    for tier in OWN_ROOT {
        let cells = cells_of(plan(tier).root(Root::open_link(&link).unwrap()));
        assert_eq!(probe(&cells, &act), Tried::Refused(libc::EBUSY), "{tier:?}");
        let read = ["read", link.to_str().unwrap()];
        assert_eq!(probe(&cells, &read), Tried::Done, "it still leads there");
    }
    assert_eq!(probe(&cells_of(plan(Tier::Full)), &act), Tried::Done);
    assert!(!fs::exists(&link).unwrap(), "the control");
}

fn swapped_back_is_itself_again() {
    let (granted, _) = pair("back");
    let plan = Plan::new(Tier::Full).root(open(&granted, Access::Read));
    let moved = granted.with_file_name("moved");
    fs::rename(&granted, &moved).unwrap();
    assert!(!plan.roots()[0].is_current());
    fs::rename(&moved, &granted).unwrap();
    assert!(plan.roots()[0].is_current());
    let file = granted.join("file");
    let read = ["read", file.to_str().unwrap()];
    assert_eq!(probe(&template_of(&plan), &read), Tried::Done);
}
