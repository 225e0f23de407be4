//! The body of a document: each field of the index filled from its column.

use std::net::IpAddr;

use inventory_sync_schemas::fields::{self, Field, FieldType, IndexSchema, Source};
use serde_json::{Map, Value as Json};

use super::check::{Misfit, is_date};
use crate::provider::{Category, Row, Value};

/// A body and what of the row did not fit into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The document. Every field that has a column is present, null where nothing is known, so that a new
    /// document leaves nothing of an older one.
    pub document: Json,
    /// Values that the field's type cannot hold (they are null in the document), and columns that no
    /// field takes.
    pub misfits: Vec<Misfit>,
}

/// Renders the document of a row.
///
/// `checksum` is that of the row; `version` is the row's version (1 or more); `modified_at` is an
/// ISO-8601 time, outside of the checksum. `None` if the field table does not know the index.
#[must_use]
pub fn render(
    category: Category,
    row: &Row,
    checksum: &str,
    version: i32,
    modified_at: &str,
) -> Option<Rendered> {
    let index = fields::index(category.index())?;
    let mut root = Map::new();
    let mut misfits: Vec<Misfit> = row
        .values()
        .filter(|(column, _)| !has_column(index, column))
        .map(|(column, _)| Misfit::new(column, "no field takes this column"))
        .collect();
    for field in index.fields() {
        let value = match field.source {
            Source::Column("checksum") => Json::from(checksum),
            Source::Column("version") => Json::from(version),
            Source::Column(column) => row
                .get(column)
                .map_or(Json::Null, |value| field_value(field, value, &mut misfits)),
            Source::Document => Json::from(modified_at),
            Source::Manager | Source::Unused => continue,
        };
        insert(&mut root, field.path, value);
    }
    Some(Rendered {
        document: Json::Object(root),
        misfits,
    })
}

fn has_column(index: &IndexSchema, column: &str) -> bool {
    index.own.iter().any(|field| field.column() == Some(column))
}

/// Sets `a.b.c`. No path of the table contains another, so each name before the last is an object.
fn insert(root: &mut Map<String, Json>, path: &str, value: Json) {
    match path.split_once('.') {
        None => {
            root.insert(path.to_owned(), value);
        }
        Some((name, rest)) => {
            let inner = root.entry(name).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// The value of a field: null for unknown and empty text; an array for a list.
fn field_value(field: &Field, value: &Value, misfits: &mut Vec<Misfit>) -> Json {
    let mut typed = |value: &Value| match scalar(field.kind, value) {
        Ok(json) => json,
        Err(what) => {
            misfits.push(Misfit::new(field.path, what));
            Json::Null
        }
    };
    if !field.list {
        return typed(value);
    }
    let items: Vec<Json> = match value {
        Value::List { items, .. } => items
            .iter()
            .map(|item| typed(&Value::Text(item.clone())))
            .collect(),
        single => vec![typed(single)],
    };
    let items: Vec<Json> = items.into_iter().filter(|item| !item.is_null()).collect();
    if items.is_empty() {
        Json::Null
    } else {
        Json::Array(items)
    }
}

fn scalar(kind: FieldType, value: &Value) -> Result<Json, String> {
    let text = value.stored_text();
    if text.trim().is_empty() {
        return Ok(Json::Null);
    }
    match kind {
        FieldType::Keyword | FieldType::MatchOnlyText => Ok(Json::from(text)),
        FieldType::Boolean => Ok(Json::from(text != "0")),
        FieldType::Long | FieldType::Integer | FieldType::Short | FieldType::UnsignedLong => {
            let number = whole(value).ok_or_else(|| format!("{text:?} is not a whole number"))?;
            let in_range = kind
                .integer_range()
                .is_none_or(|(low, high)| (low..=high).contains(&number.into()));
            if in_range {
                Ok(Json::from(number))
            } else {
                Err(format!("{number} is out of the range of {}", kind.name()))
            }
        }
        FieldType::ScaledFloat => match value {
            Value::Real(number) => Ok(Json::from(*number)),
            _ => text
                .parse::<f64>()
                .map(Json::from)
                .map_err(|_| format!("{text:?} is not a number")),
        },
        FieldType::Date if is_date(&text) => Ok(Json::from(text)),
        FieldType::Date => Err(format!("{text:?} is not an ISO-8601 time")),
        FieldType::Ip => match text.parse::<IpAddr>() {
            Ok(_) => Ok(Json::from(text)),
            Err(_) => Err(format!("{text:?} is not an IP address")),
        },
    }
}

/// A number as the integer fields take it: fractions are cut off, text is read.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        // Up to 2^53 every whole number has its float; nothing measured here comes near.
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the guard")]
        Value::Real(number) if number.abs() < 9_007_199_254_740_992.0 => {
            Some(number.trunc() as i64)
        }
        Value::Real(_) => None,
        Value::Text(text) => text.parse().ok(),
        Value::List { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TIME: &str = "2026-05-20T08:56:35.784Z";

    fn rendered(category: Category, row: &Row) -> Rendered {
        render(category, row, "c0ffee", 1, TIME).unwrap()
    }

    #[test]
    fn a_group() {
        let row = Row::new()
            .text("group_description", " ")
            .integer("group_id", 2)
            .integer("group_id_signed", 2)
            .integer("group_is_hidden", 0)
            .text("group_name", "bin")
            .list("group_users", ["bin", "vboxadd"], ':', " ")
            .text("group_uuid", " ");
        let rendered = rendered(Category::Groups, &row);
        assert_eq!(rendered.misfits, []);
        assert_eq!(
            rendered.document,
            json!({
                "checksum": {"hash": {"sha1": "c0ffee"}},
                "group": {
                    "description": null, "id": 2, "id_signed": 2, "is_hidden": false, "name": "bin",
                    "users": ["bin", "vboxadd"], "uuid": null,
                },
                "state": {"document_version": 1, "modified_at": TIME},
            })
        );
    }

    #[test]
    fn a_port_has_arrays_of_addresses_and_its_inode_as_text() {
        let row = Row::new()
            .text("destination_ip", "::")
            .integer("destination_port", 0)
            .integer("file_inode", 9_000_000_000)
            .text("source_ip", "::")
            .integer("source_port", 22)
            .text("interface_state", "listening")
            .text("network_transport", "tcp6");
        let rendered = rendered(Category::Ports, &row);
        assert_eq!(rendered.misfits, []);
        let document = rendered.document;
        assert_eq!(document["source"], json!({"ip": ["::"], "port": 22}));
        assert_eq!(document["file"]["inode"], json!("9000000000"));
        assert_eq!(document["process"], json!({"name": null, "pid": null}));
        assert_eq!(document["interface"]["state"], json!("listening"));
        assert!(document.get("wazuh").is_none());
    }

    #[test]
    fn numbers_in_text_fractions_and_zeros() {
        let row = Row::new()
            .text("pid", "26460")
            .integer("parent_pid", 0)
            .text("start", TIME)
            .list("args", ["-x", "a b"], ' ', "");
        let document = rendered(Category::Processes, &row).document;
        assert_eq!(document["process"]["pid"], json!(26460));
        assert_eq!(document["process"]["parent"]["pid"], json!(0));
        assert_eq!(document["process"]["args"], json!(["-x", "a b"]));
        let row = Row::new().real("cpu_speed", 3694.9);
        let document = rendered(Category::Hardware, &row).document;
        assert_eq!(document["host"]["cpu"]["speed"], json!(3694));
    }

    #[test]
    fn what_the_type_cannot_hold_is_null_and_said() {
        let row = Row::new()
            .text("user_name", "u")
            .integer("user_password_last_change", i64::MAX)
            .text("user_password_expiration_date", "tomorrow")
            .text("host_ip", "not an address")
            .integer("user_group_id", -1)
            .text("nonsense", "x");
        let rendered = rendered(Category::Users, &row);
        let mut paths: Vec<_> = rendered.misfits.iter().map(|m| m.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(
            paths,
            [
                "host.ip",
                "nonsense",
                "user.group.id",
                "user.password.expiration_date",
                "user.password.last_change",
            ]
        );
        let user = &rendered.document["user"];
        assert_eq!(user["password"]["last_change"], Json::Null);
        assert_eq!(rendered.document["host"]["ip"], Json::Null);
        assert_eq!(user["name"], json!("u"));
    }

    #[test]
    fn every_mapped_field_is_present() {
        for category in Category::ALL {
            let document = rendered(category, &Row::new()).document;
            for field in fields::index(category.index()).unwrap().own {
                if matches!(field.source, Source::Column(_)) {
                    let pointer = format!("/{}", field.path.replace('.', "/"));
                    assert_eq!(document.pointer(&pointer), Some(&Json::Null), "{pointer}");
                }
            }
        }
    }

    #[test]
    fn categories_and_the_field_table_name_the_same_tables() {
        for category in Category::ALL {
            let index = fields::index(category.index()).unwrap();
            assert_eq!(category.table(), format!("dbsync_{}", index.table));
            for (column, _) in category.primary_key() {
                assert!(has_column(index, column), "{category}: {column}");
            }
        }
    }
}
