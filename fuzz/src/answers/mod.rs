//! Any answers of an Indexer.
//!
//! ```text
//!  status, body as they are ──────────────────▶ every parser: no panic, bounded, believes nothing beyond it
//!  one verdict for each operation ─▶ rendered ─▶ bulk: exactly these verdicts
//!                                       └─ cut, longer, shorter, of another action ─▶ bulk: unknown
//! ```

mod bulk;
mod requests;

use inventory_sync_core::answer::{self, Collector, Page};
use inventory_sync_core::coordinator::{
    CountOutcome, HealthOutcome, IndexOutcome, RefreshOutcome, WriteOutcome, WriterOutcome,
};
use inventory_sync_core::id::IndexId;

use crate::choices::Choices;

/// Statuses that mean something, and some that mean nothing.
const STATUSES: [u16; 16] = [
    200, 201, 400, 401, 403, 404, 408, 409, 413, 429, 500, 502, 503, 504, 0, 299,
];

/// A sentence for people is at most so long (`docs/protocol.md` section 3).
const DETAIL_BYTES_MAX: usize = 256;

/// The first byte chooses between an answer as it is, whose status the second one picks, and an answer to a
/// bulk request that the rest describes.
///
/// # Panics
/// When an answer is believed beyond what it says.
pub fn indexer_answers(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    if choices.rarely(2) {
        return bulk::sound_and_mutated(&mut choices);
    }
    let status = *choices.pick(&STATUSES);
    let body = choices.rest();
    let is_success = (200..=299).contains(&status);

    bulk::any(status, body);
    listing(status, body);
    let (catalogue, asked) = (requests::scheme().catalogue(), [IndexId(0), IndexId(1)]);
    if answer::health(status, body) == HealthOutcome::Ready {
        assert!(is_success || status == 408, "ready by {status}");
    }
    if answer::covers_primaries(status, body, 1) || answer::refreshed_copies(status, body).is_some()
    {
        assert!(is_success);
    }
    match answer::index_created(status, body) {
        IndexOutcome::Exists => assert!(is_success || (400..=499).contains(&status)),
        IndexOutcome::Refused(detail) => check_sentence(&detail),
        IndexOutcome::Unknown => {}
    }
    match answer::refreshed(status, body, catalogue, &asked) {
        RefreshOutcome::Done => assert!(is_success),
        RefreshOutcome::Paused { indices } => check_paused(is_success, &indices, &asked),
        RefreshOutcome::Failed => {}
    }
    if let CountOutcome::Documents(count) = answer::counted(status, body) {
        assert!(is_success || (status == 404 && count == 0));
    }
    match answer::writer_read(status, body) {
        WriterOutcome::Found { document, .. } => {
            assert!(is_success || status == 404);
            let rendered = answer::render_writer(&document);
            let again = format!(
                r#"{{"found":true,"_seq_no":1,"_primary_term":1,"_source":{}}}"#,
                String::from_utf8_lossy(&rendered)
            );
            let same = answer::writer_read(200, again.as_bytes());
            assert!(
                matches!(same, WriterOutcome::Found { document: same, .. } if same == document)
            );
        }
        WriterOutcome::Absent => assert!(is_success || status == 404),
        WriterOutcome::Malformed(_) | WriterOutcome::Unknown => {}
    }
    if let WriteOutcome::Written { .. } = answer::writer_written(status, body) {
        assert!(is_success);
    }
    check_sentence(&answer::sentence(status, body));
}

fn check_sentence(sentence: &str) {
    assert!(
        sentence.len() <= DETAIL_BYTES_MAX,
        "{} bytes",
        sentence.len()
    );
    assert!(!sentence.contains(['\n', '\r']));
}

/// Only what was asked for can be in the way, and only of a refusal.
fn check_paused(is_success: bool, indices: &[IndexId], asked: &[IndexId]) {
    assert!(!is_success && !indices.is_empty());
    assert!(indices.iter().all(|index| asked.contains(index)));
}

fn listing(status: u16, body: &[u8]) {
    let (catalogue, asked) = (requests::scheme().catalogue(), [IndexId(0), IndexId(1)]);
    let table = requests::table();
    let mut collectors = [
        Collector::new(table.id_prefix(), table.overlay()),
        Collector::new("other_002_", b"{}"),
    ];
    match answer::page(status, body, catalogue, &asked, &mut collectors) {
        Page::Hits { hits, foreign, .. } => {
            assert!((200..=299).contains(&status));
            let [ours, others] = collectors.map(Collector::finish);
            assert!(foreign <= hits);
            // No id begins with both prefixes.
            assert_eq!(ours.len() + others.len(), hits - foreign, "a hit is lost");
        }
        Page::Paused { indices } => {
            check_paused((200..=299).contains(&status), &indices, &asked);
            check_none(collectors);
        }
        Page::Failed => check_none(collectors),
    }
}

/// Of an answer that does not count nothing is gathered.
fn check_none(collectors: [Collector; 2]) {
    let gathered = collectors.map(Collector::finish);
    assert!(gathered.iter().all(|listing| listing.is_empty()));
}
