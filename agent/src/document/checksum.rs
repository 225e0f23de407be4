//! Row checksums: what the manager compares to tell a changed document from an unchanged one.

use inventory_sync_schemas::fields;
use serde_json::{Map, Value as Json};
use sha1::{Digest as _, Sha1};

use super::hex;
use crate::provider::{Category, Row, Value};

/// The checksum of a row: the SHA-1 of [`columns_json`] over the columns that are not volatile, in
/// lowercase hexadecimal. Neither the time nor the version of the document takes part, so an unchanged
/// row has an unchanged checksum.
#[must_use]
pub fn checksum(category: Category, row: &Row) -> String {
    let volatile: Vec<&str> = fields::index(category.index())
        .into_iter()
        .flat_map(|index| index.own)
        .filter(|field| field.volatile)
        .filter_map(fields::Field::column)
        .collect();
    let json = columns_json(row, |column| !volatile.contains(&column));
    hex(&Sha1::digest(json.as_bytes()))
}

/// The stored columns that `takes_part` accepts, as compact JSON: keys sorted bytewise, UTF-8 not
/// escaped, fractions always with a point, lists as their joined text. Columns without value are absent.
#[must_use]
pub fn columns_json(row: &Row, takes_part: impl Fn(&str) -> bool) -> String {
    let columns: Map<String, Json> = row
        .values()
        .filter(|(column, _)| takes_part(column))
        .map(|(column, value)| {
            let value = match value {
                Value::Integer(number) => Json::from(*number),
                Value::Real(number) => Json::from(*number),
                Value::Text(_) | Value::List { .. } => Json::from(value.stored_text()),
            };
            (column.to_owned(), value)
        })
        .collect();
    Json::Object(columns).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha1(text: &str) -> String {
        hex(&Sha1::digest(text.as_bytes()))
    }

    #[test]
    fn vector_of_a_group() {
        let row = Row::new()
            .text("group_description", " ")
            .integer("group_id", 4)
            .integer("group_id_signed", 4)
            .integer("group_is_hidden", 0)
            .text("group_name", "adm")
            .list("group_users", [""; 0], ':', " ")
            .text("group_uuid", " ");
        assert_eq!(
            checksum(Category::Groups, &row),
            "65ced8f9f749ef06b776a250fb50defd7d22cb78"
        );
    }

    #[test]
    fn vector_of_a_package() {
        let row = Row::new()
            .text("architecture", "amd64")
            .text("category", "games")
            .text("description", "Correct you if you type `sl' by mistake")
            .text("installed", " ")
            .text("multiarch", "")
            .text("name", "sl")
            .text("path", " ")
            .text("priority", "optional")
            .integer("size", 60416)
            .text("source", " ")
            .text("type", "deb")
            .text("vendor", "Markus Frosch <lazyfrosch@debian.org>")
            .text("version_", "5.02-1");
        assert_eq!(
            checksum(Category::Packages, &row),
            "45b72b861186903335a572a2103feecd12cca771"
        );
    }

    fn hardware(free: i64, used: i64) -> Row {
        Row::new()
            .integer("cpu_cores", 4)
            .text("cpu_name", "AMD Ryzen 9 7900 12-Core Processor")
            .real("cpu_speed", 3694.0)
            .integer("memory_free", free)
            .integer("memory_total", 8_366_092_288)
            .integer("memory_used", used)
            .text("serial_number", "0")
    }

    /// The published vector hashes free and used memory, so that every scan changed the document. Over
    /// all columns the form agrees with it; the checksum leaves the two out and therefore differs.
    #[test]
    fn vector_of_the_hardware_differs_by_its_volatile_columns() {
        let row = hardware(7_938_711_552, 427_380_736);
        assert_eq!(
            sha1(&columns_json(&row, |_| true)),
            "ad50c29840a8d55058dee35a47e01672510af09c"
        );
        assert_eq!(
            checksum(Category::Hardware, &row),
            sha1(
                r#"{"cpu_cores":4,"cpu_name":"AMD Ryzen 9 7900 12-Core Processor","cpu_speed":3694.0,"memory_total":8366092288,"serial_number":"0"}"#
            )
        );
    }

    #[test]
    fn volatile_columns_do_not_change_a_checksum_and_others_do() {
        let checksum = |row: &Row| checksum(Category::Hardware, row);
        assert_eq!(checksum(&hardware(1, 2)), checksum(&hardware(3, 4)));
        let other = hardware(1, 2).integer("cpu_cores", 8);
        assert_ne!(checksum(&hardware(1, 2)), checksum(&other));
    }

    #[test]
    fn the_field_table_marks_what_changes_by_itself() {
        for (category, column) in [
            (Category::Hardware, "memory_free"),
            (Category::Hardware, "memory_used"),
            (Category::Processes, "state"),
            (Category::Processes, "utime"),
            (Category::Processes, "stime"),
            (Category::Interfaces, "host_network_ingress_bytes"),
        ] {
            let index = fields::index(category.index()).unwrap();
            let field = index
                .own
                .iter()
                .find(|field| field.column() == Some(column));
            assert!(field.is_some_and(|field| field.volatile), "{column}");
        }
    }
}
