//! What is different in another content of a plugin, and whether it is more than somebody agreed to.

use std::collections::BTreeSet;

use portcullis_registry::Record;

/// All differences, a line each.
#[derive(Debug, Default)]
pub(in crate::commands) struct Difference {
    /// What is more than before; somebody has to agree to it.
    pub(in crate::commands) grew: Vec<String>,
    /// Everything else.
    pub(in crate::commands) other: Vec<String>,
}

impl Difference {
    pub(in crate::commands) fn of(before: &Record, after: &Record) -> Self {
        let mut found = Self::default();
        let facts = [
            ("version", &before.version, &after.version),
            ("content", &before.sha256, &after.sha256),
            ("source", &before.source, &after.source),
        ];
        for (what, was, is) in facts {
            if was != is {
                found.other.push(format!("{what} `{was}` becomes `{is}`"));
            }
        }
        if before.resolved != after.resolved {
            let word = |resolved: &Option<String>| {
                resolved
                    .clone()
                    .unwrap_or_else(|| "nothing else".to_owned())
            };
            found.other.push(format!(
                "what its source stands for moved: from {} to {}",
                word(&before.resolved),
                word(&after.resolved)
            ));
        }
        // Other rules hold for another kind of program, and less is known of one that fewer vouch for.
        for (what, was, is) in [
            ("kind", &before.kind, &after.kind),
            ("world", &before.world, &after.world),
            ("tier", &before.tier, &after.tier),
        ] {
            if was != is {
                found
                    .grew
                    .push(format!("its {what} becomes `{is}`; it was `{was}`"));
            }
        }
        found.sets("asks for", &before.asks, &after.asks);
        found.sets("names the program", &before.programs, &after.programs);
        found.sets("imports", &before.imports, &after.imports);
        found.sets("as your policy is, it", &before.gives, &after.gives);
        found
    }

    fn sets(&mut self, what: &str, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        let denial = |word: &&String| {
            word.starts_with("may run no")
                || word.starts_with("may open no")
                || word.starts_with("may read no")
        };
        let more = after.difference(before).filter(|word| !denial(word));
        self.grew
            .extend(more.map(|word| format!("new: {what} {word}")));
        let less = before.difference(after).filter(|word| !denial(word));
        self.other
            .extend(less.map(|word| format!("no longer: {what} {word}")));
    }

    pub(in crate::commands) fn lines(&self) -> impl Iterator<Item = String> {
        let grew = self.grew.iter().map(|line| format!("  + {line}"));
        grew.chain(self.other.iter().map(|line| format!("    {line}")))
    }
}
