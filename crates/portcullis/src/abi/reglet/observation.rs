//! What a plugin says of what it observed: `Result` in its later generations, `Evidence` in the first.

use serde::Deserialize;

/// How an observation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegletStatus {
    /// What was observed is as it should be.
    Success,
    /// It is not.
    Failure,
    /// The plugin could not tell.
    Error,
}

impl RegletStatus {
    /// The word for it in results: `success`, `failure`, `error`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}

/// An error as a plugin words it. Hostile text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RegletError {
    /// What went wrong.
    pub message: String,
    /// Its kind, such as `capability` or `panic`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its code, if it has one.
    pub code: String,
}

/// What a plugin of Reglet answered to `observe`. All texts are hostile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// How it ended.
    pub status: RegletStatus,
    /// What the plugin says about it.
    pub message: Option<String>,
    /// Why it could not tell.
    pub error: Option<RegletError>,
    /// The whole answer, which is a JSON object.
    pub json: String,
}

/// The keys that say how it ended: those of `Result`, and those of `Evidence`.
#[derive(Debug, Deserialize)]
struct Said {
    status: Option<String>,
    message: Option<String>,
    error: Option<RegletError>,
    #[serde(rename = "Status")]
    evidence: Option<bool>,
    #[serde(rename = "Error")]
    evidence_error: Option<RegletError>,
    name: Option<String>,
}

/// What the SDK calls an error that the plugin itself gave back.
const OWN_ERROR: &str = "plugin_error";

impl Said {
    fn read(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn status(&self) -> Result<RegletStatus, String> {
        match (self.status.as_deref(), self.evidence) {
            (Some("success"), _) | (None, Some(true)) => Ok(RegletStatus::Success),
            (Some("failure"), _) => Ok(RegletStatus::Failure),
            (Some("error"), _) => Ok(RegletStatus::Error),
            (Some(other), _) => Err(format!("it has the status `{other}`")),
            // Evidence has no third word: what the plugin did not word itself is no finding.
            (None, Some(false)) => Ok(match &self.evidence_error {
                Some(error) if error.kind != OWN_ERROR => RegletStatus::Error,
                _ => RegletStatus::Failure,
            }),
            (None, None) => Err("it has neither `status` nor `Status`".to_owned()),
        }
    }

    fn observation(self, json: String) -> Result<Observation, String> {
        Ok(Observation {
            status: self.status()?,
            message: self.message.filter(|message| !message.is_empty()),
            error: self.error.or(self.evidence_error),
            json,
        })
    }
}

impl Observation {
    /// Reads an answer to `observe`.
    ///
    /// # Errors
    /// It is none: why, as a clause, which may quote it.
    pub(super) fn read(json: String) -> Result<Self, String> {
        Said::read(&json)?.observation(json)
    }

    /// Reads an answer to `describe` or `schema`, where an observation means that there is none.
    ///
    /// # Errors
    /// It is no JSON object.
    pub(super) fn instead_of(json: String) -> Result<Result<String, Self>, String> {
        let said = Said::read(&json)?;
        let fails = said.name.is_none()
            && said
                .status()
                .is_ok_and(|status| status != RegletStatus::Success);
        if fails {
            return said.observation(json).map(Err);
        }
        Ok(Ok(json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(json: &str) -> Result<RegletStatus, String> {
        Observation::read(json.to_owned()).map(|observation| observation.status)
    }

    #[test]
    fn both_kinds_of_answer_say_how_it_ended() {
        use RegletStatus::{Error, Failure, Success};
        for (json, is) in [
            (
                r#"{"timestamp":"t","status":"success","data":{"a":1}}"#,
                Success,
            ),
            (r#"{"status":"failure","message":"m"}"#, Failure),
            (
                r#"{"status":"error","error":{"message":"m","type":"panic","code":"","stack":"eA=="}}"#,
                Error,
            ),
            (
                r#"{"Status":true,"Error":null,"Timestamp":"t","Data":null,"Raw":null}"#,
                Success,
            ),
            (r#"{"Status":false,"Error":null}"#, Failure),
            (
                r#"{"Status":false,"Error":{"message":"m","type":"plugin_error","code":""}}"#,
                Failure,
            ),
            (
                r#"{"Status":false,"Error":{"message":"m","type":"capability","code":""}}"#,
                Error,
            ),
        ] {
            assert_eq!(status(json), Ok(is), "{json}");
        }
        for json in [
            "{}",
            r#"{"status":"fine"}"#,
            r#"{"status":true}"#,
            "[]",
            "null",
            "",
            "x",
            r#"{"Status":"x"}"#,
        ] {
            assert!(status(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_error_instead_of_a_manifest_is_none() {
        let of = |json: &str| Observation::instead_of(json.to_owned()).map(|said| said.is_ok());
        for manifest in [
            r#"{"name":"p","capabilities":{"exec":{"commands":null}},"services":null}"#,
            r#"{"name":"p","status":"error"}"#,
            r#"{"$schema":"x","type":"object","properties":{"status":{}}}"#,
            "{}",
        ] {
            assert_eq!(of(manifest), Ok(true), "{manifest}");
        }
        for failure in [
            r#"{"status":"error","error":{"message":"plugin not registered","type":"internal","code":""}}"#,
            r#"{"Status":false,"Error":{"message":"m","type":"internal","code":""}}"#,
        ] {
            assert_eq!(of(failure), Ok(false), "{failure}");
        }
        assert!(of("nothing").is_err());
    }
}
