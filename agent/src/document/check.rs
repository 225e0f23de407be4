//! The document check: would the index, whose mapping is strict, take this document?

use std::fmt;
use std::net::IpAddr;

use inventory_sync_schemas::fields::{self, FieldType, IndexSchema, Source};
use serde_json::Value as Json;

/// What of a document does not fit its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The field's path, or the column's name where no field takes the column.
    pub path: String,
    /// What is wrong, for people.
    pub what: String,
}

impl Misfit {
    pub(super) fn new(path: &str, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}

/// Checks a document against the field table: every path is known, ours to write, and holds null, a
/// value of its type or an array of those. An unknown index fits nothing.
///
/// # Errors
///
/// All misfits, in the order of the document.
pub fn check(index: &str, document: &Json) -> Result<(), Vec<Misfit>> {
    let Some(schema) = fields::index(index) else {
        return Err(vec![Misfit::new(index, "there is no such index")]);
    };
    let mut misfits = Vec::new();
    match document {
        Json::Object(_) => walk(schema, "", document, &mut misfits),
        _ => misfits.push(Misfit::new("", "a document is an object")),
    }
    if misfits.is_empty() {
        Ok(())
    } else {
        Err(misfits)
    }
}

/// Recursion follows the document's own depth, which for rendered documents is that of the table.
fn walk(schema: &IndexSchema, path: &str, value: &Json, misfits: &mut Vec<Misfit>) {
    let Some(field) = schema.field(path) else {
        match value {
            // An object on the way to fields.
            Json::Object(inner) if path.is_empty() || leads_to_a_field(schema, path) => {
                for (name, value) in inner {
                    let path = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    walk(schema, &path, value, misfits);
                }
            }
            _ => misfits.push(Misfit::new(path, "the mapping has no such field")),
        }
        return;
    };
    if field.source == Source::Manager {
        misfits.push(Misfit::new(path, "the manager owns this field"));
        return;
    }
    let values = match value {
        Json::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    for value in values {
        if !value.is_null() && !is_of(field.kind, value) {
            let what = format!("{value} is not of type {}", field.kind.name());
            misfits.push(Misfit::new(path, what));
        }
    }
}

fn leads_to_a_field(schema: &IndexSchema, path: &str) -> bool {
    schema.fields().any(|field| {
        field
            .path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

fn is_of(kind: FieldType, value: &Json) -> bool {
    match kind {
        FieldType::Keyword | FieldType::MatchOnlyText => value.is_string(),
        FieldType::Boolean => value.is_boolean(),
        FieldType::Long | FieldType::Integer | FieldType::Short | FieldType::UnsignedLong => {
            let number = value
                .as_i64()
                .map(i128::from)
                .or_else(|| value.as_u64().map(i128::from));
            number.is_some_and(|number| {
                kind.integer_range()
                    .is_none_or(|(low, high)| (low..=high).contains(&number))
            })
        }
        FieldType::ScaledFloat => value.is_number(),
        FieldType::Date => value.is_u64() || value.as_str().is_some_and(is_date),
        FieldType::Ip => value
            .as_str()
            .is_some_and(|text| text.parse::<IpAddr>().is_ok()),
    }
}

/// Whether a text is a time as we write it: `2026-05-20T08:56:35.784Z`, the milliseconds optional. The
/// Indexer takes more forms; we send this one.
pub(super) fn is_date(text: &str) -> bool {
    let Some(text) = text.strip_suffix('Z') else {
        return false;
    };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let matches = |pattern: &str, text: &str| {
        pattern.len() == text.len()
            && pattern.bytes().zip(text.bytes()).all(|(expected, got)| {
                if expected == b'0' {
                    got.is_ascii_digit()
                } else {
                    expected == got
                }
            })
    };
    let within = |range: std::ops::Range<usize>, low: u8, high: u8| {
        seconds
            .get(range)
            .and_then(|digits| digits.parse().ok())
            .is_some_and(|number: u8| (low..=high).contains(&number))
    };
    matches("0000-00-00T00:00:00", seconds)
        && within(5..7, 1, 12)
        && within(8..10, 1, 31)
        && within(11..13, 0, 23)
        && within(14..16, 0, 59)
        && within(17..19, 0, 59)
        && (1..=9).contains(&fraction.len())
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PORTS: &str = "wazuh-states-inventory-ports";

    fn misfits(index: &str, document: &Json) -> Vec<String> {
        check(index, document)
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|misfit| misfit.path)
            .collect()
    }

    #[test]
    fn what_fits() {
        let document = json!({
            "source": {"ip": ["10.0.0.1", "::1"], "port": 22},
            "destination": {"ip": null},
            "process": {"pid": 1, "name": "sshd"},
            "state": {"document_version": 3, "modified_at": "2026-05-20T08:56:35.784Z"},
        });
        assert_eq!(check(PORTS, &document), Ok(()));
    }

    #[test]
    fn what_does_not_fit() {
        let document = json!({
            "source": {"ip": ["10.0.0.1", "ten"], "port": "22"},
            "process": {"pid": 1.5, "nickname": "x"},
            "state": {"document_version": 3_000_000_000_u64, "modified_at": "yesterday"},
            "wazuh": {"agent": {"id": "001"}},
            "file": 7,
            "source.port": true,
            "typo": {},
        });
        assert_eq!(
            misfits(PORTS, &document),
            [
                "file",
                "process.nickname",
                "process.pid",
                "source.ip",
                "source.port",
                "source.port",
                "state.document_version",
                "state.modified_at",
                "typo",
                "wazuh.agent.id",
            ]
        );
        assert_eq!(misfits(PORTS, &json!([])), [""]);
        assert_eq!(
            misfits("wazuh-states-ghosts", &json!({})),
            ["wazuh-states-ghosts"]
        );
    }

    #[test]
    fn dates() {
        for text in ["2026-05-20T08:56:35.784Z", "2026-05-20T08:56:35Z"] {
            assert!(is_date(text), "{text}");
        }
        for text in [
            "",
            "Z",
            "2026-05-20",
            "2026-13-20T08:56:35Z",
            "2026-05-00T08:56:35Z",
            "2026-05-20T24:56:35Z",
            "2026-05-20T08:56:35.Z",
            "2026-05-20T08:56:35.784",
            "2026-05-20 08:56:35Z",
            "٢٠٢٦-05-20T08:56:35Z",
        ] {
            assert!(!is_date(text), "{text}");
        }
    }
}
