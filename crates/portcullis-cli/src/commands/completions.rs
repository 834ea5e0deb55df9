//! `portcullis completions`

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Exit;
use crate::failure::Result;

pub(super) fn completions(shell: Shell) -> Result<Exit> {
    // Into memory first: the generator would panic when nobody reads.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Exit::OK)
}
