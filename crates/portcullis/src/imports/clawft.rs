//! What a component of clawft may import: `host`, and WASI 0.2 with nothing granted.

use super::{MissingImport, is_wasi, source};
use crate::abi::clawft::HOST;

/// Imports that keep a plugin of clawft from being loaded. No grant supplies any of them: the world has nothing else.
pub(crate) fn missing(names: &[String]) -> Vec<MissingImport> {
    let foreign = names.iter().filter(|name| *name != HOST && !is_wasi(name));
    let missing = foreign.map(|name| MissingImport {
        name: name.clone(),
        why: match source(name) {
            super::Source::Unknown => "no such interface on this host".to_owned(),
            super::Source::Linked | super::Source::Needs(_) | super::Source::NotYet(_) => {
                "a plugin of clawft has `host` and WASI 0.2 only".to_owned()
            }
        },
    });
    missing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_host_and_wasi_is_there_whatever_is_granted() {
        let names =
            |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.to_owned()).collect() };
        let allowed = names(&[
            "host",
            "wasi:cli/environment@0.2.6",
            "wasi:filesystem/preopens@0.2.0",
            "wasi:random/random@0.2.3",
        ]);
        assert_eq!(missing(&allowed), []);
        let foreign = names(&[
            "portcullis:cli/process@0.1.0",
            "my:cli/process",
            "portcullis:cli/env@0.1.0",
            "wasi:http/outgoing-handler@0.2.3",
            "wasi:keyvalue/store@0.2.0-draft",
            "wasi:clocks/monotonic-clock@0.3.0",
            "hosts",
        ]);
        let found: Vec<_> = missing(&foreign)
            .into_iter()
            .map(|import| import.name)
            .collect();
        assert_eq!(found, foreign);
    }
}
