//! A plain bulk loader: posts prepared bodies over TLS, so many at once, and does nothing else. What it reaches is what
//! the Indexer can take.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{BenchError, Ran};
use crate::indexer::Indexer;

/// Where it posts, as the daemon does.
const TARGET: &str = "/_bulk?timeout=8000ms&filter_path=took,errors,items.*.status,items.*.error.type,items.*.error.reason";

/// Posts all bodies, `at_once` of them at a time. How long that took.
///
/// # Errors
/// The first answer that is not that everything was stored.
pub async fn post(indexer: &Indexer, bodies: &[Bytes], at_once: usize) -> Ran<Duration> {
    let mut waiting: VecDeque<Bytes> = bodies.iter().cloned().collect();
    let mut under_way: JoinSet<Ran<()>> = JoinSet::new();
    let began = Instant::now();
    loop {
        while under_way.len() < at_once {
            let Some(body) = waiting.pop_front() else {
                break;
            };
            let request = indexer
                .request("POST", TARGET)
                .header("content-type", "application/x-ndjson");
            under_way.spawn(async move {
                let failed = |error: reqwest::Error| BenchError::new("post a bulk body", error);
                let response = request.body(body).send().await.map_err(failed)?;
                let status = response.status();
                let text = response.bytes().await.map_err(failed)?;
                // Where it stands does not depend on the answer's length.
                let is_good = text
                    .get(..64)
                    .unwrap_or(&text)
                    .windows(14)
                    .any(|part| part == b"\"errors\":false");
                if status.is_success() && is_good {
                    return Ok(());
                }
                let shown = String::from_utf8_lossy(text.get(..500).unwrap_or(&text)).into_owned();
                Err(BenchError::new(
                    "load plainly",
                    format!("{status}: {shown}"),
                ))
            });
        }
        match under_way.join_next().await {
            Some(Ok(posted)) => posted?,
            Some(Err(error)) => return Err(BenchError::new("load plainly", error)),
            None => return Ok(began.elapsed()),
        }
    }
}

/// Cuts operations into bodies of at most so many bytes, at least one operation each.
pub fn bodies(operations: &[Vec<u8>], bytes_max: usize) -> Vec<Bytes> {
    let mut bodies = Vec::new();
    let mut body: Vec<u8> = Vec::new();
    for operation in operations {
        if !body.is_empty() && body.len() + operation.len() > bytes_max {
            bodies.push(Bytes::from(std::mem::take(&mut body)));
        }
        body.extend_from_slice(operation);
    }
    if !body.is_empty() {
        bodies.push(Bytes::from(body));
    }
    bodies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_a_bound_and_lose_nothing() {
        let operations: Vec<Vec<u8>> = [3_usize, 3, 9, 1, 1]
            .map(|length| vec![b'x'; length])
            .to_vec();
        let lengths: Vec<usize> = bodies(&operations, 7).iter().map(Bytes::len).collect();
        assert_eq!(lengths, [6, 9, 2]);
        assert!(bodies(&[], 7).is_empty());
    }
}
