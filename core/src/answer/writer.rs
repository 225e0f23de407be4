//! The writer document: its JSON, and the answers to its reading and writing.
//!
//! `{"writer":"…","nonce":"<decimal>","bound":<version>}`: the nonce is text, since it may be larger than
//! the Indexer's `long`; a version never is.

use serde::Deserialize;
use serde_json::json;

use super::error::ErrorBody;
use crate::coordinator::{WriteOutcome, WriterDocument, WriterOutcome};
use crate::id::Version;

#[derive(Deserialize)]
struct Read {
    found: bool,
    _seq_no: Option<u64>,
    _primary_term: Option<u64>,
    _source: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Source {
    writer: String,
    nonce: String,
    bound: u64,
}

#[derive(Deserialize)]
struct Written {
    _seq_no: u64,
    _primary_term: u64,
}

/// The document as JSON.
#[must_use]
pub fn render_writer(document: &WriterDocument) -> Vec<u8> {
    let body = json!({
        "writer": document.writer,
        "nonce": document.nonce.to_string(),
        "bound": document.bound.0,
    });
    body.to_string().into_bytes()
}

/// The answer to its `GET`.
///
/// An index that is gone is an unknown outcome, not an absent document: writing would create the index
/// anew, with guessed mappings. The coordinator creates it explicitly before it reads again.
#[must_use]
pub fn writer_read(status: u16, body: &[u8]) -> WriterOutcome {
    if status != 404 && !(200..=299).contains(&status) {
        return WriterOutcome::Unknown;
    }
    let Ok(answer) = serde_json::from_slice::<Read>(body) else {
        return WriterOutcome::Unknown;
    };
    if !answer.found {
        return WriterOutcome::Absent;
    }
    let (Some(seq_no), Some(primary_term)) = (answer._seq_no, answer._primary_term) else {
        return WriterOutcome::Unknown;
    };
    let source = answer._source.unwrap_or_default();
    let document = serde_json::from_value::<Source>(source)
        .map_err(|error| error.to_string())
        .and_then(|source| {
            let nonce = source
                .nonce
                .parse()
                .map_err(|_| "its nonce is not a number".to_owned())?;
            Ok(WriterDocument {
                writer: source.writer,
                nonce,
                bound: Version(source.bound),
            })
        });
    match document {
        Ok(document) => WriterOutcome::Found {
            document,
            seq_no,
            primary_term,
        },
        Err(flaw) => WriterOutcome::Malformed(format!(
            "the writer document cannot be understood ({flaw}): was it changed by hand?"
        )),
    }
}

/// The answer to its `PUT`.
#[must_use]
pub fn writer_written(status: u16, body: &[u8]) -> WriteOutcome {
    match status {
        200..=299 => match serde_json::from_slice::<Written>(body) {
            Ok(answer) => WriteOutcome::Written {
                seq_no: answer._seq_no,
                primary_term: answer._primary_term,
            },
            Err(_) => WriteOutcome::Unknown,
        },
        408 => WriteOutcome::Unknown,
        409 => WriteOutcome::Conflict,
        400..=499 => match ErrorBody::of_request(body) {
            Some(error) if error.kind == "version_conflict_engine_exception" => {
                WriteOutcome::Conflict
            }
            _ => WriteOutcome::Refused,
        },
        _ => WriteOutcome::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_comes_back_as_it_was_written() {
        let document = WriterDocument {
            writer: "a \"quoted\" one".to_owned(),
            nonce: u64::MAX,
            bound: Version((1 << 62) + 1),
        };
        let source = String::from_utf8(render_writer(&document)).unwrap();
        let body = format!(
            r#"{{"_index":"inventory-sync-writer","_id":"wazuh","_version":3,"_seq_no":7,"_primary_term":2,"found":true,"_source":{source}}}"#
        );
        assert_eq!(
            writer_read(200, body.as_bytes()),
            WriterOutcome::Found {
                document,
                seq_no: 7,
                primary_term: 2
            }
        );
    }

    #[test]
    fn absent_gone_and_garbled_are_told_apart() {
        let absent = br#"{"_index":"inventory-sync-writer","_id":"wazuh","found":false}"#;
        assert_eq!(writer_read(404, absent), WriterOutcome::Absent);
        let gone = br#"{"error":{"type":"index_not_found_exception","reason":"no such index"},"status":404}"#;
        assert_eq!(writer_read(404, gone), WriterOutcome::Unknown);
        let garbled = br#"{"_seq_no":1,"_primary_term":1,"found":true,"_source":{"writer":"a","nonce":"x","bound":1}}"#;
        assert!(matches!(
            writer_read(200, garbled),
            WriterOutcome::Malformed(_)
        ));
        let other = br#"{"_seq_no":1,"_primary_term":1,"found":true,"_source":{"writer":"a"}}"#;
        assert!(matches!(
            writer_read(200, other),
            WriterOutcome::Malformed(_)
        ));
        assert_eq!(writer_read(503, absent), WriterOutcome::Unknown);
        assert_eq!(
            writer_read(200, b"{\"found\":true}"),
            WriterOutcome::Unknown
        );
    }

    #[test]
    fn a_write_is_written_refused_or_unknown() {
        let done = br#"{"_index":"i","_id":"w","_version":1,"result":"created","_shards":{},"_seq_no":0,"_primary_term":1}"#;
        let written = WriteOutcome::Written {
            seq_no: 0,
            primary_term: 1,
        };
        assert_eq!(writer_written(201, done), written);
        assert_eq!(writer_written(200, done), written);
        assert_eq!(writer_written(200, b"{"), WriteOutcome::Unknown);
        assert_eq!(writer_written(409, b""), WriteOutcome::Conflict);
        assert_eq!(writer_written(403, b""), WriteOutcome::Refused);
        assert_eq!(writer_written(503, b""), WriteOutcome::Unknown);
    }
}
