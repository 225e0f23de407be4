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

#[derive(Deserialize)]
struct Copies {
    status: String,
    active_shards: u64,
}

/// Whether a refresh that reached so many copies of shards reached every primary: the health of the same
/// indices, asked afterwards, is not red, and no more copies are active than were reached.
#[must_use]
pub fn covers_primaries(status: u16, body: &[u8], reached: u64) -> bool {
    (200..=299).contains(&status)
        && serde_json::from_slice::<Copies>(body).is_ok_and(|copies| {
            matches!(copies.status.as_str(), "green" | "yellow") && copies.active_shards <= reached
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unassigned_replicas_are_no_missing_primaries() {
        let body = |level: &str, active: u64| {
            format!(
                r#"{{"status":"{level}","active_primary_shards":{active},"active_shards":{active}}}"#
            )
        };
        assert!(covers_primaries(200, body("yellow", 3).as_bytes(), 3));
        assert!(covers_primaries(200, body("green", 3).as_bytes(), 4));
        // A primary came back between refresh and question.
        assert!(!covers_primaries(200, body("yellow", 3).as_bytes(), 2));
        assert!(!covers_primaries(200, body("red", 2).as_bytes(), 2));
        assert!(!covers_primaries(503, body("yellow", 3).as_bytes(), 3));
        assert!(!covers_primaries(200, b"{}", 3));
    }

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
