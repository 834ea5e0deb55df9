//! What reaches a terminal, and what a file. `script` gives the command a terminal of its own.

use crate::context::Context;

fn on_a_terminal(context: &Context, args: &str) -> String {
    let line = format!("{} {args}", env!("CARGO_BIN_EXE_portcullis"));
    let output = context
        .command("script")
        .args(["-qec", &line, "/dev/null"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn orders_to_the_terminal_are_dropped_and_colours_kept() {
    let context = Context::with_guest("output");
    for verb in ["control", "control-err"] {
        let shown = on_a_terminal(&context, &format!("run p.wasm {verb}"));
        assert!(
            shown.contains("\x1b[31mred\x1b[0m") && shown.contains("\x1b[2A"),
            "{shown:?}"
        );
        for order in ["\x1b]", "\x1bP", "\u{9b}", "52;c", "title"] {
            assert!(!shown.contains(order), "{order:?} in {shown:?}");
        }
    }
}

#[test]
fn bytes_for_a_file_are_untouched() {
    let context = Context::with_guest("output");
    let output = context.output(&["run", "p.wasm", "control"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "\x1b]52;c;aGVsbG8=\x07",
        "\x1bP1$r\x1b\\",
        "\u{9b}31m",
        "\u{202e}",
    ] {
        assert!(text.contains(part), "{part:?}");
    }
}

#[test]
fn reports_escape_what_a_guest_wrote() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    let output = context.output(&[
        "run",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "--",
        "cat",
        "\x1b]52;c;x\x07\u{202e}",
    ]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("P0201"), "{stderr:?}");
    assert!(
        !stderr.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'),
        "{stderr:?}"
    );
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let context = Context::new().env("TERM", "xterm");
    assert!(on_a_terminal(&context, "explain P9").contains("\x1b["));
    let plain = Context::new().env("TERM", "xterm").env("NO_COLOR", "1");
    assert!(!on_a_terminal(&plain, "explain P9").contains("\x1b["));
    assert!(!context.output(&["explain", "P9"]).stderr.contains(&0x1b));
}

#[test]
fn what_a_guest_writes_itself_goes_the_same_way() {
    const WRITTEN: &[u8] = b"out \x1b]52;c;x\x07\x1b[31mred\x1b[0m\n";
    let context = Context::new();
    let plugin = portcullis_testkit::assemble(include_bytes!("stdout.wat")).unwrap();
    context.write("p.wasm", plugin);
    let output = context.output(&["run", "p.wasm"]);
    assert_eq!(
        output.stdout,
        WRITTEN,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        on_a_terminal(&context, "run p.wasm"),
        "out \x1b[31mred\x1b[0m\r\n"
    );
    let output = context.output(&["run", "--json", "p.wasm"]);
    assert_eq!(
        output.stderr, WRITTEN,
        "standard output is for the document"
    );
    assert!(output.stdout.starts_with(b"{"));
}
