//! The text of policy files: a mistake has its place, an edit keeps what it is not about, and a file that nobody vouched
//! for only takes away.
//!
//! An input has up to three parts, with a line `%%` between them: a trusted file, one that was found in the tree, and
//! an edit, whose lines begin with `-` (revoke, otherwise it grants), `x` a program, `a` an argument, `r` and `w` a path to read or write,
//! `n` a host, `e` a variable.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use portcullis_config::edit::{self, Edit, Edited, Right};
use portcullis_config::{ConfigErrors, Context, Layer, Manifest, PolicySet, Trust};
use portcullis_policy::{
    Decision, ExecGrant, ExecRequest, FileId, Found, Grants, HostRule, Limits, Net, PluginId,
    Program, ProgramRef, Programs, decide,
};

use crate::{Run, lines};

pub(crate) fn target() -> Run {
    let world = World::new();
    Box::new(move |data| {
        if let Ok(text) = std::str::from_utf8(data) {
            world.check(text);
        }
    })
}

/// A directory with what the seeds grant.
struct World {
    file: PathBuf,
    found: PathBuf,
    context: Context,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for name in ["out", "notes", "plugins", "home/notes"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::write(root.join("plugins/p.wasm"), b"\0asm").unwrap();
        fs::write(root.join("notes/ca.pem"), b"").unwrap();
        Self {
            file: root.join("portcullis.toml"),
            found: root.join("found.toml"),
            context: Context {
                home: Some(root.join("home")),
                ..Context::new(root)
            },
            _dir: dir,
        }
    }

    fn check(&self, text: &str) {
        let mut parts = text.splitn(3, "\n%%\n");
        let trusted = parts.next().unwrap_or_default();
        if let Err(errors) = Manifest::parse(&self.file, text) {
            have_places(&errors, &[text]);
        }
        let layer = |path: &PathBuf, text: &str, trust| Layer::File {
            path: path.clone(),
            text: text.to_owned(),
            trust,
        };
        let first = layer(&self.file, trusted, Trust::Trusted);
        let policy = match PolicySet::load(std::slice::from_ref(&first), &self.context) {
            Ok(policy) => policy,
            Err(errors) => return have_places(&errors, &[trusted]),
        };
        if let Some(found) = parts.next() {
            let second = layer(&self.found, found, Trust::Narrowing);
            match PolicySet::load(&[first, second], &self.context) {
                Ok(narrowed) => only_narrows(&policy, &narrowed),
                Err(errors) => have_places(&errors, &[trusted, found]),
            }
        }
        if let Some((edit, revokes)) = parts.next().and_then(read_edit) {
            self.edited(trusted, &policy, &edit, revokes);
        }
    }

    fn edited(&self, text: &str, policy: &PolicySet, edit: &Edit, revokes: bool) {
        let file = &self.file;
        if revokes {
            if let Ok(edited) = edit::revoke(text, edit, file, &self.context) {
                unchanged_is_the_same(text, &edited);
                let after = self.load(&edited.text);
                for (id, grants) in each(&after) {
                    let before = grants_of(policy, &id).expect("no entry appears");
                    only_takes_away(&before, &grants);
                }
            }
        } else if let Ok(edited) = edit::grant(text, edit, file, &self.context) {
            unchanged_is_the_same(text, &edited);
            keeps_comments(text, &edited.text);
            let again = edit::grant(&edited.text, edit, file, &self.context);
            assert!(
                !again.expect("what was granted can be granted").changed,
                "granted twice"
            );
            let after = self.load(&edited.text);
            for (id, before) in each(policy) {
                let grants = grants_of(&after, &id).expect("no entry goes away");
                still_allowed(&before, &grants);
                assert!(
                    id == edit.plugin || same_rights(&before, &grants),
                    "`{id}` has changed too"
                );
            }
            if let Ok(back) = edit::revoke(&edited.text, edit, file, &self.context) {
                keeps_comments(text, &back.text);
            }
        }
    }

    fn load(&self, text: &str) -> PolicySet {
        let layer = Layer::File {
            path: self.file.clone(),
            text: text.to_owned(),
            trust: Trust::Trusted,
        };
        PolicySet::load(&[layer], &self.context).expect("what an edit gives back is valid")
    }
}

/// Every mistake has a place in one of the texts, and says nothing that a terminal obeys.
fn have_places(errors: &ConfigErrors, texts: &[&str]) {
    assert!(!errors.0.is_empty(), "an error without a mistake");
    for error in &errors.0 {
        let (line, column) = error.position();
        let there = |text: &&str| {
            let in_line = text.split('\n').nth(line.wrapping_sub(1));
            let columns = in_line.map(|line| line.chars().count() + 1);
            columns.is_some_and(|columns| (1..=columns).contains(&column))
                && text.get(error.span.clone()).is_some()
        };
        assert!(texts.iter().any(there), "{error:?} has no place");
        for text in [&error.message, &error.label]
            .into_iter()
            .chain(&error.notes)
            .chain(&error.helps)
        {
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        assert!(!error.message.is_empty());
    }
}

fn read_edit(text: &str) -> Option<(Edit, bool)> {
    let (mut right, mut revokes) = (None, false);
    for (kind, text) in lines(text.as_bytes())?.take(16) {
        let own = || text.to_owned();
        right = match (kind, right) {
            ('-', right) => {
                revokes = true;
                right
            }
            ('x', _) => Some(Right::Exec {
                program: own(),
                args: None,
            }),
            ('a', Some(Right::Exec { program, args })) => {
                let args = [args.unwrap_or_default(), vec![own()]].concat();
                Some(Right::Exec {
                    program,
                    args: Some(args),
                })
            }
            ('r', _) => Some(Right::Read(own())),
            ('w', _) => Some(Right::Write(own())),
            ('n', _) => Some(Right::Net(own())),
            ('e', _) => Some(Right::Env(own())),
            ('l', _) => Some(Right::Log),
            ('h', _) => Some(Right::Http(own())),
            (_, right) => right,
        };
    }
    let plugin = PluginId::new("p").ok()?;
    let path = Some("plugins/p.wasm".to_owned());
    right.map(|right| {
        (
            Edit {
                plugin,
                path,
                right,
            },
            revokes,
        )
    })
}

fn unchanged_is_the_same(text: &str, edited: &Edited) {
    assert_eq!(
        edited.changed,
        edited.text != text,
        "it says that it changed something"
    );
}

/// Every comment of the text is in the other one as often as before.
fn keeps_comments(before: &str, after: &str) {
    let (before, after) = (comments(before), comments(after));
    for (comment, count) in before {
        let kept = after.get(comment).copied().unwrap_or_default();
        assert!(kept >= count, "the comment `{comment}` is gone");
    }
}

/// The comments of a text by a tokenizer, which knows strings.
fn comments(text: &str) -> BTreeMap<&str, usize> {
    let mut found = BTreeMap::new();
    for token in toml_parser::Source::new(text).lex() {
        if token.kind() == toml_parser::lexer::TokenKind::Comment {
            let span = token.span();
            *found
                .entry(text[span.start()..span.end()].trim_end())
                .or_default() += 1;
        }
    }
    found
}

fn each(policy: &PolicySet) -> Vec<(PluginId, Grants)> {
    let ids: Vec<PluginId> = policy.ids().cloned().collect();
    ids.into_iter()
        .filter_map(|id| Some((id.clone(), grants_of(policy, &id)?)))
        .collect()
}

fn grants_of(policy: &PolicySet, id: &PluginId) -> Option<Grants> {
    policy.plugin(id.as_str()).ok().map(|entry| entry.grants)
}

/// The same plugins, each with no more than before.
fn only_narrows(before: &PolicySet, after: &PolicySet) {
    assert!(before.ids().eq(after.ids()), "an entry came or went");
    for (id, grants) in each(after) {
        let was = grants_of(before, &id).expect("it was there before");
        only_takes_away(&was, &planted(grants));
    }
}

/// The bug: a time of less than a second is taken for none.
fn planted(mut grants: Grants) -> Grants {
    if cfg!(feature = "planted") && grants.limits.timeout.as_secs() == 0 {
        grants.limits.timeout = std::time::Duration::MAX;
    }
    grants
}

fn only_takes_away(before: &Grants, after: &Grants) {
    assert_eq!((before.mode, before.late), (after.mode, after.late));
    assert_eq!(before.protect, after.protect);
    for grant in &after.fs {
        let covered = before
            .fs
            .iter()
            .any(|was| was.host == grant.host && was.access >= grant.access);
        assert!(covered, "{grant:?} is new");
    }
    assert!(
        after.env.iter().all(|name| before.env.contains(name)),
        "a variable is new"
    );
    let (net, was) = (&after.own_net, &before.own_net);
    let mut connect = net.connect.iter();
    let mut lookup = net.lookup.iter();
    let no_more_net = connect.all(|rule| was.connect.iter().any(|was| was.places == rule.places))
        && lookup.all(|rule| was.lookup.iter().any(|was| was.names == rule.names));
    assert!(no_more_net, "{net:?} after {was:?}");
    let no_more_kv = match (&before.kv, &after.kv) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(before), Some(after)) => after.size.min(&before.size) == after.size,
    };
    assert!(no_more_kv, "{:?} after {:?}", after.kv, before.kv);
    assert!(
        no_wider(&before.net, &after.net),
        "{:?} after {:?}",
        after.net,
        before.net
    );
    assert!(
        no_higher(&before.limits, &after.limits),
        "{:?} after {:?}",
        after.limits,
        before.limits
    );
    match (&before.exec, &after.exec) {
        (_, None) => {}
        (None, Some(exec)) => panic!("{exec:?} is new"),
        (Some(was), Some(exec)) => only_takes_away_exec(was, exec),
    }
    for probe in probes(before).into_iter().chain(probes(after)) {
        let allowed = |grants: &Grants| matches!(decide(grants, probe.clone()), Decision::Allow(_));
        assert!(
            !allowed(after) || allowed(before),
            "{probe:?} is allowed now"
        );
    }
}

fn only_takes_away_exec(before: &ExecGrant, after: &ExecGrant) {
    assert!(before.any_program || !after.any_program);
    assert!(before.inherit_env || !after.inherit_env);
    assert_eq!(before.confinement, after.confinement);
    assert_eq!(before.search_path, after.search_path);
    assert!(
        after
            .pass_env
            .iter()
            .all(|name| before.pass_env.contains(name))
    );
    assert!(
        after
            .allow_dangerous_env
            .iter()
            .all(|name| before.allow_dangerous_env.contains(name))
    );
    assert!(after.system.iter().all(|path| before.system.contains(path)));
    assert!(
        after
            .write_exec
            .iter()
            .all(|path| before.write_exec.contains(path))
    );
    assert!(before.share || !after.share);
    assert!(
        before
            .deny
            .iter()
            .all(|rule| after.deny.iter().any(|other| other.program == rule.program))
    );
}

fn no_wider(before: &Net, after: &Net) -> bool {
    let hosts = |net: &Net| match net {
        Net::Hosts(hosts) => Some(hosts.clone()),
        Net::None | Net::Loopback | Net::Open => None,
    };
    let rank = |net: &Net| match net {
        Net::None => 0,
        Net::Loopback => 1,
        Net::Hosts(hosts) if hosts.is_empty() => 1,
        Net::Hosts(_) => 2,
        Net::Open => 3,
    };
    let within = |rule: &HostRule, list: &[HostRule]| {
        list.iter().any(|was| was.meet(rule).as_ref() == Some(rule))
    };
    match (hosts(before), hosts(after)) {
        (Some(was), Some(now)) => now.iter().all(|rule| within(rule, &was)),
        _ => rank(after) <= rank(before),
    }
}

fn no_higher(before: &Limits, after: &Limits) -> bool {
    after.timeout <= before.timeout
        && after.output <= before.output
        && after.total_output <= before.total_output
        && after.children <= before.children
        && after.spawns_per_minute <= before.spawns_per_minute
        && after.http_per_minute <= before.http_per_minute
        && after.log_per_minute <= before.log_per_minute
        && after.calls_per_minute <= before.calls_per_minute
        && after.file_read <= before.file_read
        && after.file_write <= before.file_write
        && after.clawft_module <= before.clawft_module
        && after.clawft_gzip <= before.clawft_gzip
        && after.clawft_directory <= before.clawft_directory
        && after.total_file_write <= before.total_file_write
        && after.data_files <= before.data_files
        && after.data_file <= before.data_file
        && after.http_request <= before.http_request
        && after.http_response <= before.http_response
        && after.http_timeout <= before.http_timeout
        && after.net_per_minute <= before.net_per_minute
        && after.net_timeout <= before.net_timeout
        && after.call <= before.call
        && after.memory <= before.memory
        && after.table_elements <= before.table_elements
        && (before.fuel.is_none() || (after.fuel.is_some() && after.fuel <= before.fuel))
}

/// A few commands of each program that the rules name.
fn probes(grants: &Grants) -> Vec<ExecRequest> {
    let exec = grants.exec.iter();
    let rules = exec
        .flat_map(|exec| exec.allow.iter().chain(&exec.deny))
        .take(6);
    let mut probes = Vec::new();
    for rule in rules {
        for args in [
            &[][..],
            &["status"],
            &["push", "-f"],
            &["log", "--stat", "--", "x"],
        ] {
            probes.push(probe(&one_of(&rule.program), args));
        }
    }
    probes
}

/// A program that a rule is about.
fn one_of(programs: &Programs) -> ProgramRef {
    match programs {
        Programs::Named(program) => program.clone(),
        Programs::In(directory) => ProgramRef::Path(directory.path().join("git")),
    }
}

fn probe(program: &ProgramRef, args: &[&str]) -> ExecRequest {
    let path = PathBuf::from("/usr/bin").join(program.base_name());
    let name = ProgramRef::Name(program.base_name().to_owned());
    ExecRequest {
        program: program.clone(),
        found: Program::Found(Found {
            same_as: vec![name, program.clone(), ProgramRef::Path(path.clone())],
            lies_in: program_dir(program),
            denied_in: program_dir(program),
            path,
            file: FileId { dev: 1, ino: 1 },
            sha256: None,
            interpreter: None,
        }),
        ..ExecRequest::example("any", args)
    }
}

/// The directory that a program is asked for in.
fn program_dir(program: &ProgramRef) -> Vec<PathBuf> {
    match program {
        ProgramRef::Name(_) => Vec::new(),
        ProgramRef::Path(path) => path.parent().map(PathBuf::from).into_iter().collect(),
    }
}

/// A right more takes none away.
fn still_allowed(before: &Grants, after: &Grants) {
    for probe in probes(before) {
        let allowed = |grants: &Grants| matches!(decide(grants, probe.clone()), Decision::Allow(_));
        assert!(
            !allowed(before) || allowed(after),
            "{probe:?} is refused now"
        );
    }
    assert!(
        before.env.iter().all(|name| after.env.contains(name)),
        "a variable is gone"
    );
    assert!(
        no_wider(&after.net, &before.net),
        "{:?} was {:?}",
        after.net,
        before.net
    );
    for grant in &before.fs {
        let covered = after
            .fs
            .iter()
            .any(|now| now.host == grant.host && now.access >= grant.access);
        assert!(covered, "{grant:?} is gone");
    }
}

/// Whether two grants are the same but for where they are written.
fn same_rights(one: &Grants, other: &Grants) -> bool {
    let programs = |grants: &Grants| {
        let rules = grants
            .exec
            .iter()
            .flat_map(|exec| exec.allow.iter().chain(&exec.deny));
        rules
            .map(|rule| (rule.program.clone(), rule.arguments.clone()))
            .collect::<Vec<_>>()
    };
    let places = |grants: &Grants| {
        let net = &grants.own_net;
        let connect: Vec<_> = net.connect.iter().map(|rule| rule.places.clone()).collect();
        let lookup: Vec<_> = net.lookup.iter().map(|rule| rule.names.clone()).collect();
        (connect, lookup)
    };
    programs(one) == programs(other)
        && one.env == other.env
        && one.kv.as_ref().map(|kv| kv.size) == other.kv.as_ref().map(|kv| kv.size)
        && one.net == other.net
        && places(one) == places(other)
        && one.limits == other.limits
}
