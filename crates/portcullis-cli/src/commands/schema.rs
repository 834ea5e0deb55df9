//! `portcullis schema`

use crate::args::Format;
use crate::exit::Exit;
use crate::failure::Result;
use crate::render::Printer;

pub(super) fn schema(format: Format, out: Printer) -> Result<Exit> {
    let schema = match format {
        Format::Policy => portcullis_config::schema::policy(),
        Format::Ceiling => portcullis_config::schema::ceiling(),
        Format::Manifest => portcullis_config::schema::manifest(),
        Format::Clawft => portcullis_config::schema::clawft(),
    };
    out.line(&format!("{schema:#}"))?;
    Ok(Exit::OK)
}
