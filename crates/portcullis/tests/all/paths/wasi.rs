//! By WASI, whose paths begin at a preopened directory.

use portcullis::policy::FsAccess;

use super::{GUEST_NAME, Outside, World, table, text_of};
use crate::fixture::{args, block_on, tests_by_wasi};

tests_by_wasi![
    no_path_leads_out_of_a_preopened_directory,
    no_path_tells_a_wasi_guest_what_is_there_outside,
    the_legal_twins_reach_what_they_name,
];

impl World {
    /// What a guest of WASI gets: what it reads, or WASI's own name for what is wrong.
    fn probe(
        &self,
        guest: &str,
        access: FsAccess,
        acts: &[Vec<&str>],
    ) -> Vec<Result<String, String>> {
        block_on(async {
            let mut instance = self.fixture.instance(guest, self.grants(access)).await;
            let mut answers = Vec::new();
            for act in acts {
                let answer = instance.run(&args(act)).await.unwrap();
                answers.push(answer.map_err(|said| {
                    let (_, code) = said.rsplit_once(": ").unwrap();
                    code.to_owned()
                }));
            }
            answers
        })
    }

    fn wasi_attacks(&self) -> Vec<String> {
        // From the descriptor itself, so that an absolute path is one.
        let mut paths: Vec<_> = self
            .attacks()
            .into_iter()
            .filter(|path| path.starts_with('/') || path.starts_with(".."))
            .map(|path| match path.strip_prefix(GUEST_NAME) {
                Some(rest) if rest.starts_with('/') => rest.trim_start_matches('/').to_owned(),
                _ => path,
            })
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }
}

fn no_path_leads_out_of_a_preopened_directory(guest: &'static str) {
    let world = World::new();
    let outside = Outside::of(&world);
    let attacks = world.wasi_attacks();
    assert!(attacks.len() > 120, "{}", attacks.len());
    let reads: Vec<_> = attacks.iter().map(|path| vec!["read-at", path]).collect();
    for (path, answer) in attacks
        .iter()
        .zip(world.probe(guest, FsAccess::ReadWrite, &reads))
    {
        assert!(answer.is_err(), "{path:?}: {answer:?}");
    }
    let writes: Vec<_> = attacks
        .iter()
        .map(|path| vec!["write-at", path, "planted"])
        .collect();
    for (path, answer) in attacks
        .iter()
        .zip(world.probe(guest, FsAccess::ReadWrite, &writes))
    {
        assert!(answer.is_err(), "{path:?}: {answer:?}");
    }
    for path in table::LOOKALIKES
        .iter()
        .filter_map(|path| path.strip_prefix("@/"))
    {
        world.probe(
            guest,
            FsAccess::ReadWrite,
            &[vec!["read-at", path], vec!["write-at", path, "planted"]],
        );
    }
    outside.is_untouched();
}

fn no_path_tells_a_wasi_guest_what_is_there_outside(guest: &'static str) {
    let world = World::new();
    world.link_to_nothing();
    let attacks = world.wasi_attacks();
    let pairs: Vec<_> = attacks
        .iter()
        .filter_map(|path| Some((path.as_str(), super::to_nothing(path)?)))
        .collect();
    assert!(pairs.len() > 40, "{}", pairs.len());
    for verb in ["read-at", "stat-at", "write-at"] {
        let asked = |path| match verb {
            "write-at" => vec![verb, path, "x"],
            _ => vec![verb, path],
        };
        let there: Vec<_> = pairs.iter().map(|(path, _)| asked(path)).collect();
        let absent: Vec<_> = pairs.iter().map(|(_, path)| asked(path)).collect();
        let there = world.probe(guest, FsAccess::ReadWrite, &there);
        let absent = world.probe(guest, FsAccess::ReadWrite, &absent);
        for ((pair, there), absent) in pairs.iter().zip(there).zip(absent) {
            assert_eq!(there, absent, "{verb} {pair:?}");
        }
    }
}

fn the_legal_twins_reach_what_they_name(guest: &'static str) {
    let world = World::new();
    let outside = Outside::of(&world);
    let at = |path: &&'static str| Some(path.strip_prefix('@')?.trim_start_matches('/'));
    let legal: Vec<_> = table::LEGAL.iter().filter_map(at).collect();
    let reads: Vec<_> = legal.iter().map(|path| vec!["read-at", path]).collect();
    let real = |path: &str| world.real(&format!("{GUEST_NAME}/{path}"));
    for (path, answer) in legal.iter().zip(world.probe(guest, FsAccess::Read, &reads)) {
        assert_eq!(answer, Ok(text_of(&real(path))), "{path:?}");
    }
    let writable = table::LEGAL.iter().chain(table::NEW).filter_map(at);
    for path in writable {
        let real = real(path);
        let answers = world.probe(
            guest,
            FsAccess::ReadWrite,
            &[vec!["write-at", path, "written"], vec!["read-at", path]],
        );
        assert_eq!(
            answers[1],
            Ok("written".to_owned()),
            "{path:?}: {answers:?}"
        );
        assert_eq!(
            std::fs::read_to_string(&real).unwrap(),
            "written",
            "{path:?}"
        );
        std::fs::write(real, "").unwrap();
    }
    outside.is_untouched();
}
