use portcullis_policy::Code;

use crate::gate::Refused;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HttpFailure {
    /// No request was granted at all.
    NotGranted,
    /// It is no URL that a request may have; why, as a clause.
    InvalidUrl(String),
    /// The scheme is neither `http` nor `https`.
    Scheme(String),
    /// No rule is about the host and its port.
    HostNotAllowed(String),
    /// Rules are about the host, and none about this scheme, method and path.
    Request,
    /// No rule unlocks an address that this stands for: the host as it was asked for, never what a name resolved to.
    Address(String),
    /// No method that a request may have.
    Method,
    /// A header that is none, or that is the host's own matter: its name.
    Header(String),
    /// More headers than a request may have.
    HeadTooLarge { max: usize },
    /// The body is longer than the plugin may send.
    BodyTooLarge { bytes: u64, max: u64 },
    /// Called too often within a minute.
    Rate,
    /// Its time is over.
    TimedOut,
    /// It could not be sent, or not be answered: why, as a clause.
    Io(String),
    /// The trail cannot be written.
    Closed,
    /// The response has this secret of the operator in it: its name.
    Secret(String),
    /// A secret that goes with the request cannot be used: which and why, as a clause.
    NoSecret(String),
}

impl HttpFailure {
    /// What is said to the operator, as a clause.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::NotGranted => "no request was granted".to_owned(),
            Self::InvalidUrl(why) => why.clone(),
            Self::Scheme(_) => "its scheme is neither `http` nor `https`".to_owned(),
            Self::HostNotAllowed(host) => format!("no rule is about `{host}`"),
            Self::Request => "no rule is about this scheme, method and path".to_owned(),
            Self::Address(host) => format!("no rule unlocks what `{host}` stands for"),
            Self::Method => "no request may have this method".to_owned(),
            Self::Header(name) => format!(
                "the header `{}` is none, or is set by the host alone",
                portcullis_policy::shown(name)
            ),
            Self::HeadTooLarge { max } => {
                format!("names and values of its headers have more than {max} bytes")
            }
            Self::BodyTooLarge { bytes, max } => {
                format!("its body has {bytes} bytes, and may have {max} (`limits.http_request`)")
            }
            Self::Rate => "it is called too often".to_owned(),
            Self::TimedOut => "its time is over (`limits.http_timeout`, `limits.call`)".to_owned(),
            Self::Io(why) => why.clone(),
            Self::Closed => "the audit trail cannot be written".to_owned(),
            Self::Secret(name) => format!("the response has the secret `{name}` in it"),
            Self::NoSecret(why) => why.clone(),
        }
    }

    /// The code of what no policy allows, or a limit does not.
    pub(super) fn code(&self) -> Option<Code> {
        match self {
            Self::InvalidUrl(_)
            | Self::Scheme(_)
            | Self::Method
            | Self::Header(_)
            | Self::HeadTooLarge { .. } => Some(Code::HttpInvalid),
            Self::BodyTooLarge { .. } => Some(Code::HttpTooLarge),
            Self::Secret(_) => Some(Code::HttpSecret),
            Self::NoSecret(_) => Some(Code::HttpNoSecret),
            Self::NotGranted
            | Self::HostNotAllowed(_)
            | Self::Request
            | Self::Address(_)
            | Self::Rate
            | Self::TimedOut
            | Self::Io(_)
            | Self::Closed => None,
        }
    }
}

/// Of what is not about the request itself: the rate, and the trail.
impl From<Refused> for HttpFailure {
    fn from(refused: Refused) -> Self {
        match refused.code {
            Some(Code::LimitCalls) => Self::Rate,
            Some(_) | None => Self::Closed,
        }
    }
}
