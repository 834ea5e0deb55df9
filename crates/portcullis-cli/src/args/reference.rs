//! `docs/reference/cli.md`: every command with its flags, as its help says them.

use clap::CommandFactory as _;
use portcullis_testkit::is_current;

use super::Cli;

const HEAD: &str = "# The command line\n\nWhat `--help` says of each command. This page is written from the command's own definition, by the test that holds it to that \
    (`UPDATE=1 cargo test -p portcullis-cli args::reference`).\n";

/// Columns of the screen that the page shows.
const WIDTH: usize = 100;

#[test]
fn the_page_has_every_command() {
    let mut page = HEAD.to_owned();
    let mut cli = Cli::command().term_width(WIDTH);
    cli.build();
    add(&cli, &mut page);
    is_current("docs/reference/cli.md", &page);
}

fn add(command: &clap::Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let help = command.clone().term_width(WIDTH).render_long_help();
    let help: String = help
        .to_string()
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    page.push_str(&format!(
        "\n## `{name}`\n\n```text\n{}\n```\n",
        help.trim_end()
    ));
    for command in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        add(command, page);
    }
}
