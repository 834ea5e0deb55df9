//! `context`: what a guest says of the time that it has and of the work that a request belongs to.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::error::ErrorDetail;
use crate::state::State;

/// As it comes. Three spellings of `canceled` are about: each generation of the SDK has one.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Context {
    deadline: Option<String>,
    timeout_ms: Option<i64>,
    request_id: Option<String>,
    #[serde(alias = "Canceled", alias = "cancelled", alias = "Cancelled")]
    canceled: Option<bool>,
}

impl Context {
    /// The time that is left; `None` where the guest says nothing. `beside` is what a request may have instead.
    ///
    /// The deadline is by the guest's clock, so it counts only where there is nothing better.
    ///
    /// # Errors
    /// There is no time: the guest has given up, or it is over.
    pub(super) fn time(&self, beside: Option<i64>) -> Result<Option<Duration>, ErrorDetail> {
        if self.canceled == Some(true) {
            return Err(ErrorDetail::canceled());
        }
        let milliseconds = |given: i64| u64::try_from(given).ok().filter(|given| *given > 0);
        let given = [self.timeout_ms, beside].into_iter().flatten();
        if let Some(least) = given.filter_map(milliseconds).min() {
            return Ok(Some(Duration::from_millis(least)));
        }
        let Some(deadline) = &self.deadline else {
            return Ok(None);
        };
        let deadline: Timestamp = deadline
            .parse()
            .map_err(|error| ErrorDetail::malformed(format!("context.deadline: {error}")))?;
        let left = deadline.duration_since(Timestamp::now());
        match Duration::try_from(left) {
            Ok(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(ErrorDetail::timed_out("context deadline exceeded")),
        }
    }

    /// Has the trail say what the next requests belong to.
    pub(super) fn begin(&self, state: &mut State) {
        state.gate.work_on(self.request_id.as_deref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn time(
        context: serde_json::Value,
        beside: Option<i64>,
    ) -> Result<Option<Duration>, ErrorDetail> {
        let context: Context = serde_json::from_value(context).unwrap();
        context.time(beside)
    }

    #[test]
    fn a_context_is_given_up_in_three_spellings() {
        for canceled in ["canceled", "Canceled", "cancelled"] {
            let error = time(json!({ canceled: true, "timeout_ms": 5 }), None).unwrap_err();
            assert_eq!(
                (error.kind, error.message.as_str()),
                ("execution", "context canceled")
            );
            assert_eq!(time(json!({ canceled: false }), None), Ok(None));
        }
    }

    #[test]
    fn the_deadline_counts_only_where_no_milliseconds_are_given() {
        let past = "2001-01-01T00:00:00.000000001Z";
        let ms = |ms| Ok(Some(Duration::from_millis(ms)));
        assert_eq!(
            time(json!({ "timeout_ms": 300, "deadline": past }), None),
            ms(300)
        );
        assert_eq!(time(json!({ "deadline": past }), Some(200)), ms(200));
        assert_eq!(time(json!({ "timeout_ms": 300 }), Some(200)), ms(200));
        assert_eq!(time(json!({ "timeout_ms": 0 }), Some(-1)), Ok(None));
        let over = time(json!({ "deadline": past, "timeout_ms": -5 }), None).unwrap_err();
        assert_eq!(
            (over.kind, over.code, over.is_timeout),
            ("timeout", "ETIMEDOUT", true)
        );
        let ahead = Timestamp::now() + jiff::SignedDuration::from_secs(60);
        let left = time(json!({ "deadline": ahead.to_string() }), None)
            .unwrap()
            .unwrap();
        assert!((50..=60).contains(&left.as_secs()), "{left:?}");
        let offset = time(json!({ "deadline": "2001-01-01T00:00:00.5+02:00" }), None).unwrap_err();
        assert_eq!(offset.code, "ETIMEDOUT");
        assert_eq!(
            time(json!({ "deadline": "soon" }), None).unwrap_err().kind,
            "internal"
        );
    }
}
