//! What holds for every policy and every request.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_policy::{
    ArgPath, ArgToken, ArgumentRule, Code, Cwd, Decision, ExecRequest, ExecTerms, FlagPattern,
    Grants, HostEnvironment, ProgramRef, ProgramRule, decide,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::random::{asked, line, policy, to_grants, to_request, to_rule};
use crate::reference::{self, Asked, Line, Policy, Verdict};
use crate::support::{allowed, exec, grants, is_allowed, refused, rule, strings};

const CASES: u32 = 2048;

fn verdict(grants: &Grants, request: ExecRequest) -> Verdict {
    match decide(grants, request) {
        Decision::Allow(authorized) => {
            let terms = authorized.terms();
            let rules = terms.rules.iter().map(|id| id.0.clone()).collect();
            Verdict::Allowed {
                rules,
                timeout: terms.timeout.as_secs(),
            }
        }
        Decision::Ask { denial, .. } | Decision::Deny(denial) => {
            Verdict::Refused(denial.code.as_str())
        }
    }
}

#[test]
fn decide_agrees_with_the_reference() {
    let allowed = Cell::new(0_u32);
    let codes = RefCell::new(BTreeMap::new());
    let mut runner = TestRunner::new(Config {
        cases: 4 * CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let property = |(policy, asked): (Policy, Asked)| {
        let expected = reference::decide(&policy, &asked);
        prop_assert_eq!(
            &verdict(&to_grants(&policy), to_request(&policy, &asked)),
            &expected
        );
        match expected {
            Verdict::Allowed { .. } => allowed.set(allowed.get() + 1),
            Verdict::Refused(code) => *codes.borrow_mut().entry(code).or_insert(0_u32) += 1,
        }
        Ok(())
    };
    runner.run(&(policy(), asked()), property).unwrap();
    println!("{} allowed, refused {:?}", allowed.get(), codes.borrow());
    let share = f64::from(allowed.get()) / f64::from(4 * CASES);
    assert!(
        (0.3..0.8).contains(&share),
        "{share:.2} of the cases were allowed, {:?}",
        codes.borrow()
    );
    for code in ["P0201", "P0202", "P0203", "P0205", "P0212"] {
        assert!(
            codes.borrow().get(code).is_some_and(|&count| count > 50),
            "{code} is too rare: {:?}",
            codes.borrow()
        );
    }
}

fn terms(grants: &Grants, request: ExecRequest) -> Option<ExecTerms> {
    match decide(grants, request) {
        Decision::Allow(authorized) => Some(authorized.terms().clone()),
        Decision::Ask { .. } | Decision::Deny(_) => None,
    }
}

/// Whether what is allowed now was allowed before, for at least as long and as much.
fn no_more(before: Option<&ExecTerms>, after: Option<&ExecTerms>) -> bool {
    match (before, after) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(before), Some(after)) => {
            after.timeout <= before.timeout && after.output <= before.output
        }
    }
}

/// Takes something away from what a rule is about.
fn narrower(line: &Line, way: u8, which: Index, other: &Line) -> Line {
    let mut line = line.clone();
    let shorten = |list: &mut Option<Vec<&'static str>>| match list {
        Some(list) if !list.is_empty() => {
            list.remove(which.index(list.len()));
        }
        _ => *list = Some(vec![]),
    };
    match way {
        0 => shorten(&mut line.sub),
        1 => shorten(&mut line.flags),
        // Beside `args`, a `sub` would not narrow: it moves where the pattern begins.
        2 if line.sub.is_none() && line.args.is_none() => line.sub.clone_from(&other.sub),
        2 => line.global.clear(),
        _ if line.args.is_none() => line.args.clone_from(&other.args),
        _ => line.args = Some(vec!["nothing of the alphabet"]),
    }
    line
}

proptest! {
    #![proptest_config(Config { cases: CASES, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_deny_wins_over_everything(mut policy in policy(), asked in asked()) {
        let all = Line { sub: None, global: vec![], flags: None, args: None, program: asked.program, ..line_of("deny") };
        policy.deny.push(all);
        prop_assert_eq!(verdict(&to_grants(&policy), to_request(&policy, &asked)), Verdict::Refused("P0202"));
    }

    #[test]
    fn a_further_deny_never_allows_more(policy in policy(), asked in asked(), deny in line()) {
        let mut more = policy.clone();
        more.deny.push(deny);
        let before = terms(&to_grants(&policy), to_request(&policy, &asked));
        let after = terms(&to_grants(&more), to_request(&more, &asked));
        prop_assert!(after.is_none() || after == before);
    }

    #[test]
    fn a_further_key_never_allows_more(
        policy in policy(), asked in asked(), which in any::<Index>(), seconds in 0..60_u64, key in 0..4,
    ) {
        prop_assume!(!policy.allow.is_empty());
        let before = to_grants(&policy);
        let mut after = before.clone();
        let rules = &mut exec(&mut after).allow;
        let at = which.index(rules.len());
        let narrowing = &mut rules[at].narrowing;
        match key {
            0 => narrowing.timeout = Some(narrowing.timeout.unwrap_or(Duration::MAX).min(Duration::from_secs(seconds))),
            1 => narrowing.output = Some(seconds),
            2 => narrowing.stdin = Some(false),
            _ => narrowing.env = Some(vec![]),
        }
        let [before, after] = [before, after].map(|grants| {
            let env = vec![("A".to_owned(), "1".to_owned())];
            terms(&grants, ExecRequest { env, ..to_request(&policy, &asked) })
        });
        prop_assert!(no_more(before.as_ref(), after.as_ref()), "{before:?} {after:?}");
    }

    /// A rule that no longer is about a command no longer shortens it either, so this holds for a rule without keys
    /// among others, and for any rule alone; see `a_narrower_rule_takes_its_keys_along`.
    #[test]
    fn a_narrower_rule_never_allows_more(
        mut policy in policy(), asked in asked(), which in any::<Index>(), way in 0..4_u8, item in any::<Index>(),
        other in line(), alone in any::<bool>(),
    ) {
        prop_assume!(!policy.allow.is_empty());
        let mut at = which.index(policy.allow.len());
        if alone {
            policy.allow = vec![policy.allow[at].clone()];
            policy.any = false;
            at = 0;
        } else {
            policy.allow[at] = Line { timeout: None, stdin: None, ..policy.allow[at].clone() };
        }
        let mut less = policy.clone();
        less.allow[at] = narrower(&policy.allow[at], way, item, &other);
        let before = terms(&to_grants(&policy), to_request(&policy, &asked));
        let after = terms(&to_grants(&less), to_request(&less, &asked));
        prop_assert!(no_more(before.as_ref(), after.as_ref()), "{:?} {:?}", policy.allow[at], less.allow[at]);
    }

    #[test]
    fn order_never_shows(
        (policy, allow, deny) in policy().prop_flat_map(|policy| {
            (Just(policy.clone()), Just(policy.allow).prop_shuffle(), Just(policy.deny).prop_shuffle())
        }),
        more in vec(line(), 0..4),
        asked in asked(),
    ) {
        let mut policy = policy;
        policy.deny.extend(more.iter().cloned());
        let deny = more.into_iter().rev().chain(deny).collect();
        let shuffled = Policy { any: policy.any, allow, deny };
        let request = to_request(&policy, &asked);
        let [straight, shuffled] =
            [&policy, &shuffled].map(|policy| format!("{:?}", decide(&to_grants(policy), request.clone())));
        prop_assert_eq!(straight, shuffled);
    }

    #[test]
    fn every_request_gets_an_answer(
        (program, args, env, cwd) in (any::<String>(), vec(any::<String>(), 0..5), vec(any::<(String, String)>(), 0..5), any::<String>()),
        (host_env, inherit_env, paths) in (vec(any::<(String, String)>(), 0..5), any::<bool>(), vec((0..9_usize, any::<String>()), 0..3)),
        (tokens, patterns) in (vec(".{0,6}|[-<>*?|=a:/]{0,8}", 0..6), vec("--?[-a*=\\PC]{0,4}", 0..6)),
        way in 0..4,
    ) {
        let flags: Vec<_> = patterns.iter().filter_map(|text| FlagPattern::parse(text).ok()).collect();
        let rule = ArgumentRule {
            args: (way == 0).then(|| tokens.iter().filter_map(|text| ArgToken::parse(text).ok()).collect()),
            sub: (way == 1).then(|| tokens.clone()),
            global_flags: flags.clone(),
            flags: (way == 2).then(|| flags.clone()),
            deny_flags: if way == 3 { flags } else { vec![] },
            paths: None,
        };
        let rule = ProgramRule { arguments: rule, ..ProgramRule::any_arguments("git") };
        let args = args.into_iter().chain(tokens).chain(patterns).collect();
        let mut request = ExecRequest {
            args,
            env,
            inherit_env,
            host_env: HostEnvironment::new(host_env),
            cwd: Cwd::Requested { asked: cwd.clone(), real: cwd.into() },
            arg_paths: paths.into_iter().map(|(index, real)| ArgPath { index, real: real.into(), exists: true }).collect(),
            ..ExecRequest::example("git", &[])
        };
        for (allow, deny) in [(vec![rule.clone()], vec![]), (vec![], vec![rule])] {
            let mut grants = grants(allow, deny);
            exec(&mut grants).inherit_env = true;
            let _answered = decide(&grants, request.clone());
            request.program = ProgramRef::parse(&program).unwrap_or(ProgramRef::Name(program.clone()));
            let denial = refused(&grants, request.clone());
            for text in denial.notes.iter().chain([&denial.action]) {
                prop_assert!(!text.chars().any(char::is_control), "{text:?}");
                prop_assert!(text.len() < 1024, "{text}");
            }
        }
    }

    #[test]
    fn an_escaped_literal_means_itself(text in "[-<>*?|\\\\a]{0,6}|\\PC*") {
        prop_assert_eq!(ArgToken::parse(&ArgToken::escape(&text)).unwrap(), ArgToken::Literal(vec![text]));
    }

    #[test]
    fn what_the_remedy_would_write_allows_exactly_this(args in vec(".{0,5}|[-*?<>|a]{0,4}", 0..4), more in ".{0,5}") {
        let literal = |arg: &String| ArgToken::parse(&ArgToken::escape(arg)).unwrap();
        prop_assume!(!args.iter().any(|arg| arg.contains('\0')));
        let exact = ArgumentRule { args: Some(args.iter().map(literal).collect()), ..ArgumentRule::default() };
        let grants = grants(vec![rule("git", 1, exact)], vec![]);
        let request = |args: &[String]| ExecRequest { args: args.to_vec(), ..ExecRequest::example("git", &[]) };
        prop_assert!(is_allowed(&grants, request(&args)));
        let longer: Vec<_> = args.into_iter().chain([more]).collect();
        prop_assert!(!is_allowed(&grants, request(&longer)));
    }
}

fn line_of(id: &str) -> Line {
    Line {
        id: id.into(),
        program: "git",
        sub: None,
        global: vec![],
        flags: None,
        args: None,
        timeout: None,
        stdin: None,
    }
}

#[test]
fn a_narrower_rule_takes_its_keys_along() {
    // Rights are the intersection of the rules that match: a rule that no longer matches no longer limits.
    let short = Line {
        timeout: Some(5),
        ..line_of("short")
    };
    let narrow = Line {
        sub: Some(vec!["log"]),
        ..short.clone()
    };
    for (second, seconds, rules) in [(short, 5, &["any", "short"][..]), (narrow, 30, &["any"])] {
        let policy = Policy {
            any: false,
            allow: vec![line_of("any"), second],
            deny: vec![],
        };
        let grants = grants(policy.allow.iter().map(to_rule).collect(), vec![]);
        let terms = allowed(&grants, ExecRequest::example("git", &["status"]))
            .terms()
            .clone();
        assert_eq!(terms.timeout, Duration::from_secs(seconds));
        assert_eq!(
            terms
                .rules
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            strings(rules)
        );
    }
}

#[test]
fn no_grace_is_longer_than_the_time() {
    let short = Line {
        timeout: Some(5),
        ..line_of("short")
    };
    let mut grants = grants(vec![to_rule(&short)], vec![]);
    grants.limits.term_grace = Duration::from_secs(10);
    let terms = allowed(&grants, ExecRequest::example("git", &[]))
        .terms()
        .clone();
    assert_eq!(
        (terms.timeout, terms.term_grace),
        (Duration::from_secs(5), Duration::from_secs(5))
    );
    grants.exec = None;
    assert_eq!(
        refused(&grants, ExecRequest::example("git", &[])).code,
        Code::ExecNotGranted
    );
}
