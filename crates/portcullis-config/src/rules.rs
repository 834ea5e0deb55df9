//! Reads the lines of `exec.allow` and `exec.deny`.

use std::path::PathBuf;

use portcullis_policy::{
    ArgToken, ArgumentRule, FlagPattern, Narrowing, PathAccess, ProgramRule, Programs, RuleId,
};

use crate::error::ConfigCode;
use crate::raw::{PathsWord, Rule, RuleTable, Text, Texts};
use crate::reader::{Names, Reader};
use crate::source::At;

/// Which list a rule stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Allow,
    Deny,
}

impl List {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl Reader<'_> {
    /// All rules of one list that can be read.
    pub(crate) fn rules(
        &mut self,
        rules: Option<&At<Vec<At<Rule>>>>,
        list: List,
    ) -> Vec<ProgramRule> {
        let rules = rules.map(|rules| rules.as_slice()).unwrap_or_default();
        rules
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| self.rule(rule, list, index))
            .collect()
    }

    fn rule(&mut self, rule: &At<Rule>, list: List, index: usize) -> Option<ProgramRule> {
        let place = RuleId(format!("{}[{index}]", list.name()));
        let origin = self.origin(rule);
        match &**rule {
            Rule::Program(text) => {
                let program = self.programs(rule, text)?;
                let arguments = ArgumentRule::default();
                Some(ProgramRule {
                    id: place,
                    origin,
                    program,
                    sha256: None,
                    arguments,
                    plugin_sha256: None,
                    narrowing: Narrowing::default(),
                })
            }
            Rule::Table(table) => {
                self.unused_keys(table, list);
                let id = table.id.as_ref().map_or(Some(place), |id| self.rule_id(id));
                let program = self.programs(&table.program, &table.program);
                let sha256 = table.sha256.as_ref().map(|text| self.sha256(text));
                if let (Some(Programs::In(_)), Some(text)) = (&program, &table.sha256) {
                    self.wrong(ConfigCode::Value, text, "`sha256` is that of one program, and the rule is about those of a directory");
                }
                let plugin_sha256 = table.plugin_sha256.as_ref().map(|text| self.sha256(text));
                let arguments = self.arguments(table);
                let narrowing = self.narrowing(table);
                Some(ProgramRule {
                    id: id?,
                    origin,
                    program: program?,
                    sha256: sha256.flatten(),
                    arguments,
                    plugin_sha256: plugin_sha256.flatten(),
                    narrowing,
                })
            }
        }
    }

    fn rule_id(&mut self, id: &Text) -> Option<RuleId> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if (1..=64).contains(&id.len()) && id.chars().all(plain) {
            return Some(RuleId((**id).clone()));
        }
        self.wrong(
            ConfigCode::Value,
            id,
            format!("`{id}` is not a rule id: 1 to 64 letters, digits, `.`, `_` or `-`"),
        );
        None
    }

    /// Keys that would be read and then not used are mistakes: their author meant something by them.
    fn unused_keys(&mut self, table: &RuleTable, list: List) {
        let parts = [
            ("sub", &table.sub),
            ("global_flags", &table.global_flags),
            ("flags", &table.flags),
            ("deny_flags", &table.deny_flags),
        ];
        if table.args.is_some() {
            let besides =
                "has no effect beside `args`, which is a pattern for the whole list of arguments";
            for (key, value) in parts {
                if let Some(value) = value {
                    self.wrong(ConfigCode::Value, value, format!("`{key}` {besides}"));
                }
            }
            if let Some(paths) = &table.paths {
                self.wrong(
                    ConfigCode::Value,
                    paths,
                    format!("`paths` {besides}: write `<read>` or `<write>` there"),
                );
            }
        }
        if list == List::Deny {
            self.unused_in_deny(table);
        } else if let Some(cache) = table.cache.as_ref().filter(|cache| ***cache) {
            let error = self.error(
                ConfigCode::Value,
                cache,
                "`cache = true` has no effect: a rule only takes away",
            );
            self.report
                .push(error.label("expected `false`, beside a size in `exec.cache`"));
        }
        if let Some(sub) = table.sub.as_ref().filter(|sub| sub.is_empty()) {
            self.wrong(
                ConfigCode::Value,
                sub,
                "`sub` is empty: the rule is about no command",
            );
        }
    }

    fn unused_in_deny(&mut self, table: &RuleTable) {
        let spans = [
            ("sha256", table.sha256.as_ref().map(At::span)),
            ("plugin_sha256", table.plugin_sha256.as_ref().map(At::span)),
            ("global_flags", table.global_flags.as_ref().map(At::span)),
            ("deny_flags", table.deny_flags.as_ref().map(At::span)),
            ("paths", table.paths.as_ref().map(At::span)),
            ("timeout", table.timeout.as_ref().map(At::span)),
            ("output", table.output.as_ref().map(At::span)),
            ("stdin", table.stdin.as_ref().map(At::span)),
            ("env", table.env.as_ref().map(At::span)),
            ("confinement", table.confinement.as_ref().map(At::span)),
            ("net", table.net.as_ref().map(At::span)),
            ("read", table.read.as_ref().map(At::span)),
            ("write", table.write.as_ref().map(At::span)),
            ("write_exec", table.write_exec.as_ref().map(At::span)),
            ("exec", table.exec.as_ref().map(At::span)),
            ("memory", table.memory.as_ref().map(At::span)),
            ("processes", table.processes.as_ref().map(At::span)),
            ("cache", table.cache.as_ref().map(At::span)),
        ];
        for (key, span) in spans {
            if let Some(span) = span {
                let message = format!("`{key}` has no effect in a `deny` rule");
                let error = self.source.error(ConfigCode::Value, span, message);
                self.report
                    .push(error.label("expected `program` with `sub`, `flags` or `args`"));
            }
        }
    }

    fn arguments(&mut self, table: &RuleTable) -> ArgumentRule {
        ArgumentRule {
            args: table.args.as_ref().map(|args| self.tokens(args)),
            sub: table
                .sub
                .as_ref()
                .map(|sub| sub.iter().map(|text| (**text).clone()).collect()),
            global_flags: self.flags(table.global_flags.as_ref()),
            flags: table.flags.as_ref().map(|flags| self.flags(Some(flags))),
            deny_flags: self.flags(table.deny_flags.as_ref()),
            paths: table.paths.as_ref().map(|word| match **word {
                PathsWord::Read => PathAccess::Read,
                PathsWord::Write => PathAccess::Write,
            }),
        }
    }

    fn tokens(&mut self, args: &Texts) -> Vec<ArgToken> {
        let mut tokens = Vec::new();
        for (index, text) in args.iter().enumerate() {
            let read = ArgToken::parse(text).map_err(|error| error.to_string());
            let read = read.and_then(|token| match token {
                ArgToken::Rest if index + 1 < args.len() => Err(
                    "`**` stands for all arguments that follow: only the last can be one"
                        .to_owned(),
                ),
                token => Ok(token),
            });
            tokens.extend(self.take(ConfigCode::Pattern, text, read));
        }
        tokens
    }

    fn flags(&mut self, flags: Option<&Texts>) -> Vec<FlagPattern> {
        let mut patterns = Vec::new();
        for text in flags.map(|flags| flags.as_slice()).unwrap_or_default() {
            let read = FlagPattern::parse(text).map_err(|error| error.to_string());
            patterns.extend(self.take(ConfigCode::Pattern, text, read));
        }
        patterns
    }

    fn narrowing(&mut self, table: &RuleTable) -> Narrowing {
        Narrowing {
            timeout: table.timeout.as_ref().and_then(|text| self.duration(text)),
            output: table.output.as_ref().and_then(|text| self.size(text)),
            stdin: table.stdin.as_ref().map(|stdin| **stdin),
            env: table
                .env
                .as_ref()
                .map(|names| self.names(Some(names), Names::Patterns)),
            confinement: table.confinement.as_ref().map(|word| (**word).into()),
            net: table.net.as_ref().map(|net| self.net(net)),
            read: table.read.as_ref().map(|paths| self.real_paths(paths)),
            write: table.write.as_ref().map(|paths| self.real_paths(paths)),
            write_exec: table
                .write_exec
                .as_ref()
                .map(|places| self.write_exec(places)),
            exec: table.exec.as_ref().map(|programs| {
                let programs = programs.iter();
                programs
                    .filter_map(|text| self.program(text, text))
                    .collect()
            }),
            processes: table.processes.as_ref().map(|number| **number),
            memory: table.memory.as_ref().and_then(|text| self.size(text)),
            cache: table.cache.as_ref().map(|kept| **kept),
        }
    }

    pub(crate) fn real_paths(&mut self, paths: &Texts) -> Vec<PathBuf> {
        let mut real = Vec::new();
        for text in paths.iter() {
            let place = self.base.place(text);
            let place = self.take(ConfigCode::Path, text, place);
            real.extend(place.map(|place| place.path));
        }
        real
    }
}
