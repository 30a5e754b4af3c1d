//! A decision that did not permit the action, as an answer.

use axum::http::StatusCode;
use gate::{Refusal, RefusalKind};
use identity::NotProven;

use crate::problem::Problem;

/// Seconds after which a decision that could not be made is worth retrying.
pub(crate) const RETRY_AFTER_FAILURE_SECONDS: u64 = 5;

impl From<Refusal> for Problem {
    /// 403 for a refusal, 401 for a read that needs a credential, 429 for too many attempts, 503
    /// for a decision that could not be made: a client can tell a refusal from an outage.
    fn from(refusal: Refusal) -> Self {
        let Refusal {
            decision,
            kind,
            reasons,
            ..
        } = refusal;
        let problem = match kind {
            RefusalKind::Denied => Problem::with_reasons(StatusCode::FORBIDDEN, reasons),
            RefusalKind::CredentialRequired => {
                Problem::with_reasons(StatusCode::UNAUTHORIZED, reasons)
            }
            RefusalKind::Required(requirements) => {
                Problem::with_reasons(StatusCode::FORBIDDEN, reasons).requirements(requirements)
            }
            RefusalKind::Failed => Problem::with_reasons(StatusCode::SERVICE_UNAVAILABLE, reasons)
                .retry_after(RETRY_AFTER_FAILURE_SECONDS),
            RefusalKind::Limited {
                retry_after_seconds,
            } => Problem::with_reasons(StatusCode::TOO_MANY_REQUESTS, reasons)
                .retry_after(retry_after_seconds.max(1)),
        };
        problem.decided_by(decision)
    }
}

impl From<NotProven> for Problem {
    fn from(not_proven: NotProven) -> Self {
        let problem = Self::from(not_proven.refusal);
        match not_proven.device {
            Some(device) => problem.device(device),
            None => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::layout::Layout;
    use crate::frame::viewer::Viewer;
    use crate::negotiate::ProblemFormat;
    use axum::http::header::RETRY_AFTER;
    use gate::Reason;
    use model::DecisionId;

    fn check(kind: RefusalKind, status: u16, retry_after: Option<&str>) {
        let reasons = vec![Reason {
            code: "a".into(),
            message: "b".into(),
            remedy: "c".into(),
            page: None,
        }];
        let problem = Problem::from(Refusal {
            decision: DecisionId::new(),
            set_number: 1,
            kind,
            reasons,
        });
        assert!(problem.decision().is_some());
        let response = problem.answer(
            ProblemFormat::Plain,
            Layout::new("http://index.example", "", Viewer::Unknown),
        );
        assert_eq!(response.status(), status);
        assert_eq!(
            response
                .headers()
                .get(RETRY_AFTER)
                .map(|value| value.to_str().unwrap()),
            retry_after
        );
    }

    #[test]
    fn a_refusal_an_outage_and_a_limit_can_be_told_apart() {
        check(RefusalKind::Denied, 403, None);
        check(RefusalKind::CredentialRequired, 401, None);
        check(RefusalKind::Required(vec![]), 403, None);
        check(RefusalKind::Failed, 503, Some("5"));
        check(
            RefusalKind::Limited {
                retry_after_seconds: 90,
            },
            429,
            Some("90"),
        );
        check(
            RefusalKind::Limited {
                retry_after_seconds: 0,
            },
            429,
            Some("1"),
        );
    }
}
