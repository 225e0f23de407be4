//! The answer to `GET /_cluster/health`.

use serde::Deserialize;

use crate::coordinator::HealthOutcome;
use crate::manager::Unready;

#[derive(Deserialize)]
struct Body {
    status: String,
}

/// Whether the Indexer takes requests (`docs/protocol.md` section 8). Refusals are told apart by status
/// alone: a node that starts, and one that refuses credentials, answers in plain text.
#[must_use]
pub fn health(status: u16, body: &[u8]) -> HealthOutcome {
    HealthOutcome::Unready(match status {
        // 408: a level that was waited for is not reached; the body is a normal one.
        200..=299 | 408 => match serde_json::from_slice::<Body>(body) {
            Ok(body) => match body.status.as_str() {
                "green" | "yellow" => return HealthOutcome::Ready,
                "red" => Unready::Red,
                _ => Unready::Unreachable,
            },
            Err(_) => Unready::Unreachable,
        },
        401 => Unready::Unauthorized,
        403 => Unready::Forbidden,
        503 => Unready::Initializing,
        _ => Unready::Unreachable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_told_apart() {
        let unready = HealthOutcome::Unready;
        let body =
            |level: &str| format!(r#"{{"cluster_name":"c","status":"{level}","timed_out":false}}"#);
        for (status, body, outcome) in [
            (200, body("green"), HealthOutcome::Ready),
            (200, body("yellow"), HealthOutcome::Ready),
            (200, body("red"), unready(Unready::Red)),
            (408, body("red"), unready(Unready::Red)),
            (200, body("mauve"), unready(Unready::Unreachable)),
            (200, "<html>".to_owned(), unready(Unready::Unreachable)),
            (
                401,
                "Unauthorized".to_owned(),
                unready(Unready::Unauthorized),
            ),
            (
                403,
                r#"{"error":{"type":"security_exception"}}"#.to_owned(),
                unready(Unready::Forbidden),
            ),
            (
                503,
                "OpenSearch Security not initialized.".to_owned(),
                unready(Unready::Initializing),
            ),
            (500, String::new(), unready(Unready::Unreachable)),
        ] {
            assert_eq!(health(status, body.as_bytes()), outcome, "{status} {body}");
        }
    }
}
