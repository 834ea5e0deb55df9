//! What the policy of today says to what was asked for once.

use portcullis::{ExecAsk, Host};
use portcullis_audit::Decision as Written;
use portcullis_policy::{
    Code, ConnectRequest, Decision, Denial, EnvRequest, FsLook, Grants, HostName, HttpRequest,
    HttpUrl, LookRequest, LookupRequest, PluginId, Remedy, Request, Target as Place, decide,
};

use crate::failure::{Failure, Result};
use crate::settings::{Settings, real};

/// The answer of today.
#[derive(Debug)]
pub(super) enum Today {
    Allowed {
        /// The rules by which, each with its place.
        by: Vec<(String, String)>,
    },
    /// `asks` where a person would be asked first.
    Denied { denial: Box<Denial>, asks: bool },
    /// It cannot be told from what is written down, as a clause.
    Unknown(String),
}

impl Today {
    /// Decides again on what was written down.
    ///
    /// # Errors
    /// The project directory cannot be opened.
    pub(super) fn of(settings: &Settings, grants: &Grants, written: &Written) -> Result<Self> {
        let object = written.object.as_str();
        if object.contains("[masked]") {
            let why = "a secret was left out of what is written down";
            return Ok(Self::Unknown(why.to_owned()));
        }
        let unreadable = || Self::Unknown("what is written down of it is not all of it".to_owned());
        if is_cut(object) {
            return Ok(unreadable());
        }
        let function = written.function.as_deref();
        Ok(match (written.capability.as_str(), function) {
            ("exec", _) => match serde_json::from_str::<Vec<String>>(object) {
                Ok(argv) => exec(settings, grants, argv)?,
                Err(_) => unreadable(),
            },
            ("http", _) => {
                let asked = object.split_once(' ');
                let asked = asked.and_then(|(method, url)| {
                    let (method, url) = (method.to_owned(), HttpUrl::parse(url).ok()?);
                    Some(HttpRequest { method, url })
                });
                asked.map_or_else(unreadable, |request| {
                    answer(grants, request, |terms| vec![terms.rule.clone()])
                })
            }
            ("net", Some("lookup")) => match HostName::parse(object) {
                Ok(name) => answer(grants, LookupRequest { name }, |rule| vec![rule.clone()]),
                Err(_) => unreadable(),
            },
            ("net", _) => match Place::parse(object) {
                Ok(target) => answer(grants, ConnectRequest { target }, |rule| vec![rule.clone()]),
                Err(_) => unreadable(),
            },
            ("env", _) => {
                let name = object.to_owned();
                let host_env = settings.env.host();
                answer(grants, EnvRequest { name, host_env }, |()| Vec::new())
            }
            ("fs", Some(look @ ("read" | "list" | "stat"))) => {
                let look = match look {
                    "read" => FsLook::Read,
                    "list" => FsLook::List,
                    _ => FsLook::Stat,
                };
                // Under which name the guest sees a directory is the run's to know.
                let elsewhere = |grant: &portcullis_policy::FsGrant| {
                    !grant.guest.is_empty()
                        && real(&settings.project.join(&grant.guest)) != grant.host
                };
                if grants.fs.iter().any(elsewhere) {
                    return Ok(Self::Unknown(
                        "the plugin sees directories under other names".to_owned(),
                    ));
                }
                let path = real(&settings.project.join(object));
                let exactly = path.display().to_string();
                let mut today = answer(grants, LookRequest { look, path }, |()| Vec::new());
                if let Self::Denied { denial, .. } = &mut today
                    && denial.remedies.is_empty()
                {
                    let text = "to let the plugin read that";
                    let remedy = Remedy::grant(&grants.plugin, text, &["read", &exactly]);
                    denial.remedies.push(remedy);
                }
                today
            }
            (capability, function) => {
                let of = function.map(|function| format!(".{function}"));
                let of = of.unwrap_or_default();
                let why = format!("`{capability}{of}` is decided where it is done");
                Self::Unknown(why)
            }
        })
    }

    /// The answer in words, and whether it is the one that was written down.
    pub(super) fn differs(&self, written: &Written) -> Option<bool> {
        let allowed = written.verdict == portcullis_audit::Verdict::Allow;
        match self {
            Self::Allowed { .. } => Some(!allowed),
            Self::Denied { denial, .. } => {
                let code = written.code.as_deref();
                Some(allowed || code != Some(denial.code.as_str()))
            }
            Self::Unknown(_) => None,
        }
    }
}

/// Whether a text ends, or an argument in it ends, as the trail cuts what is long. A guest that writes the same learns nothing by it.
fn is_cut(object: &str) -> bool {
    object.contains("…(+") || object.ends_with(" arguments)\"]")
}

/// What would allow a change of a file, which is decided where it is done: what its run said.
pub(super) fn changing(plugin: &PluginId, written: &Written) -> Option<Remedy> {
    let object = written.object.as_str();
    let is_whole = !object.contains("[masked]") && !is_cut(object);
    let looks = ["read", "list", "stat"];
    let is_change = written.capability == "fs"
        && written
            .function
            .as_deref()
            .is_some_and(|function| !looks.contains(&function));
    let by_path = [Code::FsNotGranted, Code::FsReadOnly].map(Code::as_str);
    let code = written.code.as_deref().unwrap_or_default();
    (is_whole && is_change && by_path.contains(&code))
        .then(|| Remedy::grant(plugin, "to let the plugin write that", &["write", object]))
}

fn exec(settings: &Settings, grants: &Grants, mut argv: Vec<String>) -> Result<Today> {
    if argv.is_empty() {
        return Ok(Today::Unknown("it names no program".to_owned()));
    }
    let host = Host::builder()
        .project(&settings.project)
        .host_env(settings.env.host())
        .build()?;
    let ask = ExecAsk {
        program: argv.remove(0),
        args: argv,
        cwd: None,
        env: Vec::new(),
        inherit_env: false,
        stdin: None,
    };
    let decision = host.explain(grants, &ask);
    let decision = decision.map_err(|error| {
        Failure::unusable("open the project directory", &settings.project, &error)
    })?;
    Ok(match decision {
        Decision::Allow(authorized) => Today::Allowed {
            by: super::rules(grants, authorized.terms()),
        },
        Decision::Ask { denial, .. } => Today::Denied { denial, asks: true },
        Decision::Deny(denial) => Today::Denied {
            denial,
            asks: false,
        },
    })
}

fn answer<R: Request>(
    grants: &Grants,
    request: R,
    rules: impl Fn(&R::Terms) -> Vec<(portcullis_policy::RuleId, portcullis_policy::Origin)>,
) -> Today {
    match decide(grants, request) {
        Decision::Allow(authorized) => Today::Allowed {
            by: rules(authorized.terms())
                .into_iter()
                .map(|(id, origin)| (id.to_string(), origin.to_string()))
                .collect(),
        },
        Decision::Ask { denial, .. } => Today::Denied { denial, asks: true },
        Decision::Deny(denial) => Today::Denied {
            denial,
            asks: false,
        },
    }
}
