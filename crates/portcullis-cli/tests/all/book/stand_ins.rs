//! Commands of the pages that are not run as they are written, and why.

use super::pages;

/// What is done in place of a command.
#[derive(Clone, Copy)]
pub(super) enum Instead {
    Run(&'static str),
    /// Portcullis with these arguments, at a terminal where every question is answered with no.
    Ask(&'static [&'static str]),
    Nothing,
}
use Instead::{Ask, Nothing, Run};

struct StandIn {
    page: &'static str,
    command: &'static str,
    instead: Instead,
    /// For whoever reads the table.
    #[expect(dead_code, reason = "it is read here, by people")]
    because: &'static str,
}

const fn stand_in(
    page: &'static str,
    command: &'static str,
    instead: Instead,
    because: &'static str,
) -> StandIn {
    StandIn {
        page,
        command,
        instead,
        because,
    }
}

const BUILT: &str = "it is built already";
const NETWORK: &str = "tests reach no network; what it would fetch lies there already";

const STAGED: &str =
    "root has nothing staged, and this may be root; `staged` runs such commands as a user";

const TERMINAL: &str = "it asks at a terminal; the plugin of this test is told its command";

/// As `npm install` does for a package in a directory.
const NPM_INSTALL: &str =
    "mkdir -p node_modules/@portcullis && ln -s ../../portcullis-sdk node_modules/@portcullis/sdk";

const TABLE: &[StandIn] = &[
    stand_in(
        "README.md",
        "cargo run --release -- run --config examples/portcullis.toml examples/repo-report",
        Run("portcullis run --config examples/portcullis.toml examples/repo-report"),
        BUILT,
    ),
    stand_in(
        "README.md",
        "cargo run --release -- run --config examples/portcullis.toml examples/repo-report /etc",
        Run("portcullis run --config examples/portcullis.toml examples/repo-report /etc"),
        BUILT,
    ),
    stand_in(
        "README.md",
        "cargo xtask test --yes",
        Nothing,
        "it runs this test",
    ),
    stand_in("docs/authors.md", "npm install", Run(NPM_INSTALL), NETWORK),
    stand_in(
        "docs/exec.md",
        "portcullis exec --write . --net github.com:443 -- git clone https://github.com/ann/notes",
        Run(
            "portcullis exec --dry-run --write . --net github.com:443 -- git clone https://github.com/ann/notes",
        ),
        NETWORK,
    ),
    stand_in(
        "docs/exec.md",
        "curl -s https://example.org/list | portcullis exec --timeout 10s -- sort",
        Run("printf 'b\\na\\n' | portcullis exec --timeout 10s -- sort"),
        NETWORK,
    ),
    stand_in(
        "docs/go.md",
        "portcullis run --allow-lookup=example.com --allow-connect=mail.example.com:25 plugin.wasm -- --config '{}'",
        Run(
            "portcullis run --dry-run --allow-lookup=example.com --allow-connect=mail.example.com:25 plugin.wasm -- --config '{}'",
        ),
        NETWORK,
    ),
    stand_in(
        "docs/javascript.md",
        "npm install",
        Run(NPM_INSTALL),
        NETWORK,
    ),
    stand_in(
        "docs/languages.md",
        "pip install componentize-py==0.25.1       # and sdk/python, for the SDK",
        Nothing,
        NETWORK,
    ),
    stand_in(
        "docs/languages.md",
        "npm install componentize-qjs@0.4.5",
        Nothing,
        NETWORK,
    ),
    stand_in(
        "docs/languages.md",
        "npx componentize-qjs --wit wit/cli-0.1.0 --world plugin --js app.js --sync --opt-size -o app.wasm",
        Run(
            "node_modules/.bin/componentize-qjs --wit wit/cli-0.1.0 --world plugin --js app.js --sync --opt-size -o app.wasm",
        ),
        NETWORK,
    ),
    stand_in(
        "docs/plugins.md",
        "portcullis install ./notes",
        Ask(&["install", "./notes"]),
        TERMINAL,
    ),
    stand_in(
        "docs/policy.md",
        "portcullis run backup",
        Ask(&[
            "run", "backup", "exec", "--", "git", "push", "origin", "main",
        ]),
        TERMINAL,
    ),
    stand_in(
        "docs/python.md",
        "python3 -m pip install --target .venv componentize-py==0.25.1",
        Run("cp -rl $TOOL .venv"),
        NETWORK,
    ),
    stand_in(
        "docs/recipes.md",
        "portcullis run assistant",
        Run("portcullis run assistant exec -- git -C /home/ann/other log"),
        "the plugin of this test is told its command",
    ),
    stand_in(
        "docs/rust.md",
        "rustup target add wasm32-wasip2",
        Nothing,
        NETWORK,
    ),
    stand_in(
        "docs/rust.md",
        "cargo add portcullis-sdk --git https://github.com/portcullis-rs/portcullis",
        Run("cargo add portcullis-sdk --path \"$REPOSITORY/sdk/rust\""),
        NETWORK,
    ),
    stand_in(
        "docs/rust.md",
        "cargo build --release --target wasm32-wasip2",
        Run("cargo build --quiet --release --target wasm32-wasip2"),
        "the page shows nothing of its progress",
    ),
    stand_in(
        "docs/learn.md",
        "portcullis run --learn examples/repo-report",
        Run("portcullis run --learn --quiet examples/repo-report"),
        "root is told that nothing is staged, and this may be root",
    ),
    stand_in(
        "docs/staged.md",
        "portcullis run --stage -D . notes.wasm tidy           # shows what changed, and asks",
        Nothing,
        STAGED,
    ),
    stand_in(
        "docs/staged.md",
        "portcullis exec --stage=always --write . -- make      # shows and commits",
        Nothing,
        STAGED,
    ),
    stand_in(
        "docs/staged.md",
        "portcullis exec --stage=never --write . -- make       # shows, and throws it away",
        Nothing,
        STAGED,
    ),
];

/// What is done in place of a command of a page, if it is not run itself.
pub(super) fn instead(page: &str, command: &str) -> Option<Instead> {
    let row = TABLE
        .iter()
        .find(|row| row.page == page && row.command == command);
    row.map(|row| row.instead)
}

/// Fails for a row whose command is on its page no more.
pub(super) fn every_row_is_used() {
    for row in TABLE {
        let line = format!("$ {}\n", row.command);
        let screens = pages::of(row.page, "console");
        assert!(
            screens.iter().any(|screen| screen.text.contains(&line)),
            "{} has no `{}`",
            row.page,
            row.command
        );
    }
}
