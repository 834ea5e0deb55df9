//! The directory that a plugin of fledge has of its own: beneath the host's state, and never beside the plugin.

use std::path::{Path, PathBuf};

use portcullis_policy::{DataGrant, Grants};
use portcullis_private::PrivateDir;

use crate::gate::with_causes;
use crate::state::State;

/// Beneath the state of plugins.
const FILES: &str = "files";

/// Makes the directory, if the plugin is granted one and asks for it, and gives its real path.
///
/// # Errors
/// Why it cannot be had.
pub(crate) fn make(state: Option<&Path>, grants: &Grants) -> Result<Option<PathBuf>, String> {
    let Some(path) = place(state, grants)? else {
        return Ok(None);
    };
    let above = path.parent().and_then(Path::parent).into_iter();
    let levels = above.chain(path.parent()).chain([path.as_path()]);
    for level in levels {
        PrivateDir::open_or_create(level).map_err(|error| with_causes(&error))?;
    }
    let real = path.canonicalize().map_err(|error| error.to_string())?;
    Ok(Some(real))
}

fn place(state: Option<&Path>, grants: &Grants) -> Result<Option<PathBuf>, String> {
    let asked = grants.fledge.as_ref().map(|plugin| plugin.files);
    let data = grants.data.as_ref();
    let Some(DataGrant { owner, .. }) = data.filter(|_| asked.unwrap_or_default().wants_own())
    else {
        return Ok(None);
    };
    let state = state.ok_or("this host has no directory for the state of plugins")?;
    let name = blake3::hash(owner.state_of(&grants.plugin).as_bytes());
    Ok(Some(state.join(FILES).join(name.to_hex().as_str())))
}

/// Counts what lies there already: it never grows beyond what an instance may write.
pub(crate) async fn count(state: &mut State) {
    let (Some(path), limit) = (state.gate.own_data(), state.gate.limits().total_file_write) else {
        return;
    };
    let look = move || portcullis_config::directory_size(&path, limit);
    let size = tokio::task::spawn_blocking(look).await;
    // What cannot be counted leaves no room for more.
    let size = size.ok().and_then(Result::ok).unwrap_or(u64::MAX);
    state.gate.written.fill(size);
}
