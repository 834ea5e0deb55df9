//! What the plugin itself may send over HTTP: the key `http`.

use portcullis_policy::{HTTP_METHODS, HttpHosts, HttpRule, RuleId};

use crate::error::ConfigCode;
use crate::raw::{HttpEntry, HttpTable, Text, Texts};
use crate::reader::Reader;
use crate::source::At;

const SCHEMES: [&str; 2] = ["http", "https"];

impl Reader<'_> {
    /// The rules of a list, in this table.
    pub(crate) fn http_rules<T>(
        &mut self,
        raw: &At<T>,
        list: Option<&At<Vec<At<HttpEntry>>>>,
    ) -> Vec<HttpRule> {
        let entries = list.iter().flat_map(|list| list.iter().enumerate());
        let rules: Vec<_> = entries
            .filter_map(|(index, entry)| self.http_rule(index, entry))
            .collect();
        for (index, rule) in rules.iter().enumerate() {
            if rules[..index].iter().any(|other| other.id == rule.id) {
                let message = format!("rule `{}` stands here a second time", rule.id);
                let mut error = self.error(ConfigCode::Duplicate, raw, message);
                error.origin = rule.origin.clone();
                self.report.push(error);
            }
        }
        rules
    }

    fn http_rule(&mut self, index: usize, entry: &At<HttpEntry>) -> Option<HttpRule> {
        let id = RuleId(format!("http[{index}]"));
        let origin = self.origin(entry);
        let table = match &**entry {
            HttpEntry::Text(text) => {
                let hosts = self.http_hosts(entry, text)?;
                return Some(HttpRule {
                    id,
                    origin,
                    hosts,
                    schemes: Vec::new(),
                    methods: Vec::new(),
                    paths: Vec::new(),
                });
            }
            HttpEntry::Table(table) => table,
        };
        let mut hosts = self.http_hosts(&table.host, &table.host)?;
        for range in table.addresses.iter().flat_map(|ranges| ranges.iter()) {
            let unlocked = hosts.unlock(range).map_err(|error| error.to_string());
            self.take(ConfigCode::Pattern, range, unlocked)?;
        }
        Some(
            self.narrowed(
                table,
                HttpRule {
                    id: table
                        .id
                        .as_ref()
                        .map_or(id, |text| RuleId((**text).clone())),
                    origin,
                    hosts,
                    schemes: Vec::new(),
                    methods: Vec::new(),
                    paths: Vec::new(),
                },
            ),
        )
    }

    fn narrowed(&mut self, table: &HttpTable, rule: HttpRule) -> HttpRule {
        HttpRule {
            schemes: self.words(table.schemes.as_ref(), "schemes", |text| {
                let known = SCHEMES.contains(&text);
                known.then_some(()).ok_or("a scheme is `http` or `https`")
            }),
            methods: self.words(table.methods.as_ref(), "methods", |text| {
                let known = HTTP_METHODS.contains(&text);
                known.then_some(()).ok_or(
                    "a method is `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE` or `OPTIONS`",
                )
            }),
            paths: self.words(table.paths.as_ref(), "paths", |text| {
                HttpRule::is_path(text).then_some(()).ok_or(
                    "a path begins with `/`; `*` stands for a whole segment and `**` only last",
                )
            }),
            ..rule
        }
    }

    /// The words of a list. An empty one would leave out nothing, which nobody means who writes it.
    fn words(
        &mut self,
        list: Option<&Texts>,
        key: &str,
        check: impl Fn(&str) -> Result<(), &'static str>,
    ) -> Vec<String> {
        let Some(list) = list else {
            return Vec::new();
        };
        if list.is_empty() {
            let message = format!("`{key}` is empty, and so is about nothing");
            self.wrong(ConfigCode::Value, list, message);
        }
        let mut word = |text: &Text| {
            let checked = check(text).map_err(|why| format!("`{}`: {why}", text.as_str()));
            self.take(ConfigCode::Pattern, text, checked)?;
            Some((**text).clone())
        };
        list.iter().filter_map(&mut word).collect()
    }

    pub(crate) fn http_hosts<T>(&mut self, at: &At<T>, text: &str) -> Option<HttpHosts> {
        let read = HttpHosts::parse(text).map_err(|error| error.to_string());
        self.take(ConfigCode::Pattern, at, read)
    }
}
