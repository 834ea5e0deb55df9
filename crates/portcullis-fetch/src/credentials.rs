//! Who we are to a registry: docker's configuration, and the two ways in which registries ask.

use std::fs::File;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde::Deserialize;
use url::Url;

use crate::error::FetchError;
use crate::net::{self, Client, Headers};

/// A user name and a password, ready to be sent.
pub(crate) struct Credentials(String);

impl Credentials {
    /// What docker's configuration has for a registry, or what the helper says that it names.
    pub(crate) fn of(config: Option<&Path>, host: &str) -> Result<Option<Self>, FetchError> {
        let failed = |why: String| FetchError::Credentials {
            host: host.to_owned(),
            why,
        };
        let Some(path) = config else { return Ok(None) };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FetchError::read(path, error)),
        };
        match docker_credential::get_credential_from_reader(file, host) {
            Ok(DockerCredential::UsernamePassword(user, password)) => {
                let basic = STANDARD.encode(format!("{user}:{password}"));
                Ok(Some(Self(format!("Basic {basic}"))))
            }
            Ok(DockerCredential::IdentityToken(_)) => Err(failed(
                "docker's configuration has an identity token; log in with a user name and a password or access token".to_owned(),
            )),
            Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
            Err(CredentialRetrievalError::HelperFailure { stdout, .. })
                if stdout.contains("credentials not found") =>
            {
                Ok(None)
            }
            // What a helper wrote may hold a password, and is not repeated.
            Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
                Err(failed(format!("`{helper}` failed")))
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// Answers a registry that asks who we are: what belongs into `Authorization`, if there is anything to say.
///
/// Credentials go over TLS to the registry's own host, and to nobody to whom it points.
pub(crate) fn answer(
    client: &Client<'_>,
    registry: &Url,
    challenge: &str,
    scope: &str,
    credentials: Option<&Credentials>,
) -> Result<Option<String>, FetchError> {
    let refused = |why: String| FetchError::Credentials {
        host: registry.authority().to_owned(),
        why,
    };
    let credentials = credentials.filter(|_| registry.scheme() == "https");
    let (kind, parameters) = challenge.split_once(' ').unwrap_or((challenge, ""));
    if kind.eq_ignore_ascii_case("basic") {
        return Ok(credentials.map(|known| known.0.clone()));
    }
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(refused(format!("it asks for `{kind}`, which is not known")));
    }
    let realm = parameter(parameters, "realm").and_then(|realm| Url::parse(realm).ok());
    let mut realm =
        realm.ok_or_else(|| refused("it does not say where tokens come from".to_owned()))?;
    client.may_reach(&realm)?;
    let is_own = realm.scheme() == registry.scheme() && realm.authority() == registry.authority();
    if credentials.is_some() && !is_own {
        let host = realm.authority();
        return Err(refused(format!(
            "it wants the credentials sent to another host, `{host}`"
        )));
    }
    if let Some(service) = parameter(parameters, "service") {
        realm.query_pairs_mut().append_pair("service", service);
    }
    realm.query_pairs_mut().append_pair("scope", scope);
    let headers = Headers {
        authorization: credentials.map(|known| known.0.as_str()),
        ..Headers::default()
    };
    let response = net::expect_ok(&realm, client.get(&realm, headers)?)?;
    token(&net::body(&realm, response, client.limits.document)?)
        .map(Some)
        .ok_or_else(|| refused("its answer has no token".to_owned()))
}

fn token(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Token {
        token: Option<String>,
        access_token: Option<String>,
    }
    let read: Token = serde_json::from_slice(bytes).ok()?;
    let token = read.token.or(read.access_token)?;
    Some(format!("Bearer {token}"))
}

/// The value of `name="value"` in a challenge.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = parameters;
    while let Some((key, after)) = rest.split_once("=\"") {
        let (value, next) = after.split_once('"')?;
        if key
            .trim_start_matches([',', ' '])
            .eq_ignore_ascii_case(name)
        {
            return Some(value);
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_their_whole_name() {
        let challenge =
            r#"x-realm="no",realm="https://a/t?x=1,2", scope="a:b:pull,push",service="s""#;
        assert_eq!(parameter(challenge, "realm"), Some("https://a/t?x=1,2"));
        assert_eq!(parameter(challenge, "service"), Some("s"));
        assert_eq!(parameter(challenge, "serv"), None);
        assert_eq!(parameter("realm=https://a", "realm"), None);
    }
}
