//! Plugins in Python and JavaScript that hold commands by `portcullis:cli/command`, and let go of them as a language with a
//! garbage collector does: in any order, late, or never.

use crate::context::Context;

/// What the plugin answers, in both languages, with this for its policy.
fn answers(policy: &str, args: &[&str]) -> Vec<(&'static str, String)> {
    let guests = ["python", "javascript-command"];
    let answer = |name: &'static str| {
        let context = Context::interpreted(name)?;
        let head = "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n";
        context.write("policy.toml", format!("{head}{policy}"));
        let output = context.output(&[&["run", "--config", "policy.toml", "p"], args].concat());
        let (stdout, stderr) = (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{name}: {stderr}");
        Some((name, stdout))
    };
    guests.into_iter().filter_map(answer).collect()
}

#[test]
fn standard_output_is_read_to_its_end_before_standard_error() {
    // More than a pipe holds, and of the stream that is read last first: by a pipe alone each would wait for the other.
    let script = "head -c 1000000 /dev/zero >&2; head -c 500000 /dev/zero; exit 3";
    for (guest, answer) in answers("exec.allow = [\"sh\"]\n", &["one-after-the-other", script]) {
        let digits = |c: char| !c.is_ascii_digit();
        let numbers: Vec<_> = answer
            .split(digits)
            .filter(|part| !part.is_empty())
            .collect();
        assert_eq!(numbers, ["500000", "1000000", "3"], "{guest}: {answer}");
    }
}

#[test]
fn a_child_and_its_streams_are_dropped_in_every_order() {
    let policy = "exec = { confinement = \"limits\", allow = [\"cat\"] }\n\
                  limits = { children = 3, spawns_per_minute = 1000 }\n";
    for (guest, answer) in answers(policy, &["every-order"]) {
        assert_eq!(answer, "120\n", "{guest}");
    }
}

#[test]
fn children_that_only_the_collector_finds_do_not_stay() {
    let policy = "exec = { confinement = \"limits\", allow = [\"sleep\"] }\nlimits.children = 1\n";
    for (guest, answer) in answers(policy, &["garbage", "20"]) {
        assert_eq!(answer, "20\n", "{guest}");
    }
}

#[test]
fn output_is_there_when_the_child_is_dropped() {
    for (guest, answer) in answers("exec.allow = [\"echo\"]\n", &["output-outlives-child"]) {
        assert_eq!(answer, "still here\n", "{guest}");
    }
}
