//! The index templates that the field table means, as JSON text.
//!
//! ```text
//!  IndexSchema ──▶ settings() ─┐
//!              └─▶ mappings() ─┴─▶ create_body()  PUT /<index>
//!                              └─▶ template()     PUT /_index_template/<name>
//! ```
//!
//! Invariants: the same table gives the same bytes; mappings are strict, so that a field the table
//! does not know is refused and never guessed; a pattern is one exact index name, so that no
//! template claims an index it was not made for; no codec, for the one of the published templates
//! needs a plugin.

use crate::fields::{Field, IndexSchema};
use std::fmt::Write as _;

/// Above the published templates (1) and below what an operator may need to put on top.
pub const PRIORITY: u32 = 100;

/// How long a tombstone is kept, in seconds: longer than a late write may take by an order of
/// magnitude (`docs/protocol.md`, sections 5 and 7).
pub const GC_DELETES_S: u32 = 300;

/// The name under which an index's template is installed.
#[must_use]
pub fn name(index: &IndexSchema) -> String {
    format!("inventory-sync-{}", index.name)
}

/// The `settings` object. Replicas follow the number of nodes (none on one node, where a replica
/// could never be assigned); searches see a document after at most two seconds.
#[must_use]
pub fn settings(_index: &IndexSchema) -> String {
    format!(
        "{{\"index\":{{\"number_of_shards\":\"1\",\"auto_expand_replicas\":\"0-1\",\
         \"refresh_interval\":\"2s\",\"gc_deletes\":\"{GC_DELETES_S}s\"}}}}"
    )
}

/// The `mappings` object: strict, dates never guessed.
#[must_use]
pub fn mappings(index: &IndexSchema) -> String {
    let mut fields: Vec<(Vec<&str>, &Field)> = index
        .fields()
        .map(|field| (field.path.split('.').collect(), field))
        .collect();
    // By segments, so that all of one object stand together ("a.b" before "a-c").
    fields.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut out = String::from("{\"dynamic\":\"strict\",\"date_detection\":false,");
    properties(&mut out, &fields, 0);
    out.push('}');
    out
}

/// The body of `PUT /<index>`.
#[must_use]
pub fn create_body(index: &IndexSchema) -> String {
    format!(
        "{{\"settings\":{},\"mappings\":{}}}",
        settings(index),
        mappings(index)
    )
}

/// The body of `PUT /_index_template/<name>`.
#[must_use]
pub fn template(index: &IndexSchema) -> String {
    format!(
        "{{\"index_patterns\":[\"{}\"],\"priority\":{PRIORITY},\"template\":{}}}",
        index.name,
        create_body(index)
    )
}

/// Writes `"properties":{…}` for fields that share their first `depth` names. Recursion ends with
/// the longest path of the table, six names. Names need no escaping: a test says so.
fn properties(out: &mut String, fields: &[(Vec<&str>, &Field)], depth: usize) {
    out.push_str("\"properties\":{");
    let groups = fields.chunk_by(|(left, _), (right, _)| left.get(depth) == right.get(depth));
    for (at, group) in groups.enumerate() {
        let [(path, field), ..] = group else { continue };
        let Some(name) = path.get(depth) else {
            continue;
        };
        if at > 0 {
            out.push(',');
        }
        // Writing to a String cannot fail, here and below.
        let _ = write!(out, "\"{name}\":{{");
        if path.len() == depth + 1 {
            leaf(out, field);
        } else {
            properties(out, group, depth + 1);
        }
        out.push('}');
    }
    out.push('}');
}

fn leaf(out: &mut String, field: &Field) {
    let _ = write!(out, "\"type\":\"{}\"", field.kind.name());
    if let Some(limit) = field.kind.ignore_above() {
        let _ = write!(out, ",\"ignore_above\":{limit}");
    }
    if let Some(factor) = field.kind.scaling_factor() {
        let _ = write!(out, ",\"scaling_factor\":{factor}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{index, indices};
    use serde_json::{Value, json};

    #[test]
    fn a_template_says_what_the_contract_says() {
        let ports = index("wazuh-states-inventory-ports").unwrap();
        let value: Value = serde_json::from_str(&template(ports)).unwrap();
        assert_eq!(
            value["index_patterns"],
            json!(["wazuh-states-inventory-ports"])
        );
        assert_eq!(value["priority"], 100);
        let inner = &value["template"];
        assert_eq!(inner["settings"]["index"]["gc_deletes"], "300s");
        assert_eq!(inner["settings"]["index"].get("codec"), None);
        assert_eq!(inner["mappings"]["dynamic"], "strict");
        assert_eq!(inner["mappings"]["date_detection"], false);
        let properties = &inner["mappings"]["properties"];
        assert_eq!(
            properties["source"]["properties"]["ip"],
            json!({"type": "ip"})
        );
        assert_eq!(
            properties["wazuh"]["properties"]["agent"]["properties"]["host"]["properties"]["os"]["properties"]
                ["name"],
            json!({"type": "keyword", "ignore_above": 1024})
        );
        assert_eq!(name(ports), "inventory-sync-wazuh-states-inventory-ports");
    }

    #[test]
    fn every_field_stands_at_its_path_and_nothing_else_does() {
        fn count(properties: &Value) -> usize {
            properties
                .as_object()
                .unwrap()
                .values()
                .map(|value| value.get("properties").map_or(1, count))
                .sum()
        }
        for schema in indices() {
            let value: Value = serde_json::from_str(&mappings(schema)).unwrap();
            for field in schema.fields() {
                let pointer = field.path.replace('.', "/properties/");
                let found = value.pointer(&format!("/properties/{pointer}/type"));
                assert_eq!(
                    found,
                    Some(&Value::from(field.kind.name())),
                    "{} {}",
                    schema.name,
                    field.path
                );
            }
            assert_eq!(
                count(&value["properties"]),
                schema.fields().count(),
                "{}",
                schema.name
            );
        }
    }

    #[test]
    fn names_need_no_escaping() {
        for schema in indices() {
            for field in schema.fields() {
                assert!(
                    field
                        .path
                        .bytes()
                        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.')),
                    "{}",
                    field.path
                );
            }
        }
    }
}
