use portcullis::process::Command;

/// Says how many files are not committed.
#[portcullis::plugin]
fn main(_args: Vec<String>) -> Result<String, portcullis::Error> {
    let status = Command::new("git").args(["status", "--porcelain"]).read()?;
    Ok(format!("{} not committed", status.lines().count()))
}
