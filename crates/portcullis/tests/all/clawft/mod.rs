//! Plugins of clawft, real ones, each row of its catalogue a test. `t01_…` to `t45_…` are rows of the catalogue, `weak_01_…`
//! to `weak_37_…` places where earlier hosts of such plugins kept less than they promised.

pub(crate) mod calls;
pub(crate) mod env;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod instances;
pub(crate) mod log;
pub(crate) mod resources;
pub(crate) mod shape;

use portcullis::policy::{Grants, PluginId};
use portcullis::{CallError, Plugin, Session, Source};
use portcullis_config::ClawftManifest;
use serde_json::{Value, json};

use crate::fixture::Fixture;

pub(crate) fn tests() -> Vec<(&'static str, fn())> {
    [
        calls::TESTS,
        env::TESTS,
        files::TESTS,
        http::TESTS,
        instances::TESTS,
        log::TESTS,
        resources::TESTS,
        shape::TESTS,
    ]
    .concat()
}

/// A manifest of the guest with these permissions and resources.
pub(crate) fn manifest(permissions: Value, resources: Value) -> ClawftManifest {
    let whole = json!({
        "id": "com.example.everything", "name": "Everything", "version": "1.2.3", "capabilities": ["tool"],
        "permissions": permissions, "resources": resources,
    });
    ClawftManifest::parse(&whole.to_string()).unwrap()
}

/// No rights, under the id of the guest.
pub(crate) fn nothing() -> Grants {
    Grants::none(PluginId::new("everything").unwrap())
}

/// The guest with what a manifest asks for and a policy grants.
pub(crate) async fn load(fixture: &Fixture, manifest: &ClawftManifest, grants: Grants) -> Plugin {
    let bytes = portcullis_testkit::guest_bytes("clawft");
    let grants = manifest.restrict(grants);
    fixture.host.load(Source { bytes, grants }).await.unwrap()
}

/// A session with the guest.
pub(crate) async fn session(
    fixture: &Fixture,
    manifest: &ClawftManifest,
    grants: Grants,
) -> Session {
    load(fixture, manifest, grants).await.session("test")
}

/// Calls a tool, and what it says.
pub(crate) async fn call(session: &Session, tool: &str, params: Value) -> Result<String, String> {
    tried(session, tool, params).await.unwrap()
}

/// Calls a tool that may not return.
pub(crate) async fn tried(
    session: &Session,
    tool: &str,
    params: Value,
) -> Result<Result<String, String>, CallError> {
    session.execute_tool(tool, &params.to_string()).await
}

/// Calls a tool that uses something up, and what an agent is told of it.
pub(crate) async fn exhausted(session: &Session, tool: &str, params: Value) -> String {
    let error = tried(session, tool, params).await.unwrap_err();
    error.tool_error().unwrap_or_else(|| panic!("{error}"))
}
