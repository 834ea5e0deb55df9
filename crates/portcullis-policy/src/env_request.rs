use crate::denial::EXACTLY_THIS;
use crate::request::sealed::Sealed;
use crate::text::shown;
use crate::{
    Authorized, Capability, Code, Decision, Denial, Grants, HostEnvironment, Request,
    is_secret_name,
};

/// A variable of the host's environment that a guest wants to read.
#[derive(Clone, Debug)]
pub struct EnvRequest {
    /// Its name, with its case.
    pub name: String,
    /// The environment the host was started with. Whether a prefix grants a variable depends on its value too.
    pub host_env: HostEnvironment,
}

impl Request for EnvRequest {
    type Terms = ();
}

impl Sealed for EnvRequest {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        let asked = grants.env_asked.as_ref();
        let asked = asked.is_none_or(|asked| asked.contains(&self.name));
        let granted = self.host_env.may_read(&grants.env, &self.name);
        if asked && granted {
            return Decision::Allow(Authorized::new(self, ()));
        }
        let prefixed = grants.env.iter().any(|granted| {
            let prefix = granted.strip_suffix('*');
            prefix.is_some_and(|prefix| self.name.starts_with(prefix))
        });
        let note = if !asked {
            "the plugin does not ask for it in its manifest"
        } else if prefixed && is_secret_name(&self.name) {
            "its name is one that usually holds a secret; those are granted by their exact name only"
        } else if prefixed {
            "its value looks like a secret; those are granted by their exact name only"
        } else {
            "no entry of `env` names it; the default is deny"
        };
        let (code, name) = (Code::EnvNotGranted, self.name);
        let action = format!("read the environment variable `{}`", shown(&name));
        let mut denial = Denial::new(code, grants, Capability::Env, action, &name).note(note);
        // A grant that the plugin does not ask for would give it nothing.
        if asked && is_name(&name) {
            denial = denial.allowed_by(EXACTLY_THIS, &["env", &name]);
        }
        Decision::Deny(Box::new(denial))
    }
}

/// Whether it is a name that a policy file can have.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PluginId, Remedy, decide};

    const HOST: [(&str, &str); 5] = [
        ("LANG", "C"),
        ("APP_MODE", "fast"),
        ("APP_TOKEN", "t0p"),
        ("APP_URL", "https://me:pw@example.com"),
        ("PATH", "/bin"),
    ];

    fn decision(granted: &[&str], name: &str) -> Result<(), (String, Vec<Remedy>)> {
        let host = HOST.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        grants.env = granted.iter().map(|&name| name.to_owned()).collect();
        let request = EnvRequest {
            name: name.to_owned(),
            host_env: HostEnvironment::new(host.to_vec()),
        };
        match decide(&grants, request) {
            Decision::Allow(_) => Ok(()),
            Decision::Ask { denial, .. } | Decision::Deny(denial) => {
                Err((denial.notes[0].clone(), denial.remedies))
            }
        }
    }

    #[test]
    fn names_and_prefixes_grant_and_secrets_want_their_exact_name() {
        for allowed in [
            (&["LANG"][..], "LANG"),
            (&["APP_*"], "APP_MODE"),
            (&["APP_*"], "APP_UNSET"),
            (&["APP_*", "APP_TOKEN"], "APP_TOKEN"),
            (&["APP_URL"], "APP_URL"),
            (&["PATH"], "PATH"),
        ] {
            assert_eq!(decision(allowed.0, allowed.1), Ok(()), "{allowed:?}");
        }
        for (granted, name, because) in [
            (&[][..], "LANG", "no entry"),
            (&["LANG"], "lang", "no entry"),
            (&["LANG"], "LANGUAGE", "no entry"),
            (&["APP_*"], "APP_TOKEN", "its name"),
            (&["APP_*"], "APP_UNSET_SECRET", "its name"),
            (&["*"], "APP_URL", "its value"),
            (&["APP"], "", "no entry"),
        ] {
            let (note, _) = decision(granted, name).unwrap_err();
            assert!(note.starts_with(because), "{granted:?} {name}: {note}");
        }
    }

    #[test]
    fn what_a_plugin_does_not_ask_for_no_grant_gives_it_and_asking_alone_gives_nothing() {
        let host = HOST.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        grants.env = vec!["APP_*".to_owned()];
        grants.env_asked = Some(["APP_MODE", "APP_TOKEN", "LANG"].map(str::to_owned).into());
        let note = |name: &str| {
            let request = EnvRequest {
                name: name.to_owned(),
                host_env: HostEnvironment::new(host.to_vec()),
            };
            match decide(&grants, request) {
                Decision::Allow(_) => None,
                Decision::Ask { denial, .. } | Decision::Deny(denial) => {
                    assert_eq!(denial.remedies.is_empty(), name == "APP_URL");
                    Some(denial.notes[0].clone())
                }
            }
        };
        assert_eq!(note("APP_MODE"), None);
        let because = |name, start: &str| {
            let said = note(name).unwrap_or_default();
            assert!(said.starts_with(start), "{name}: {said}");
        };
        because("APP_URL", "the plugin does not ask");
        because("APP_TOKEN", "its name");
        because("LANG", "no entry");
    }

    #[test]
    fn what_would_allow_it_is_a_command_that_can_be_given() {
        let (_, remedies) = decision(&[], "LANG").unwrap_err();
        let command = remedies[0].command.as_ref().unwrap();
        assert_eq!(command.join(" "), "portcullis grant p env LANG");
        let (_, remedies) = decision(&[], "A B=\u{1b}").unwrap_err();
        assert_eq!(remedies, [], "no policy file can name it");
    }
}
