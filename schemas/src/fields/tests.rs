use super::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn folder(relative: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

#[test]
fn tables_are_sorted_and_paths_are_leaves() {
    for index in indices() {
        for fields in [index.own, COMMON] {
            assert!(
                fields.windows(2).all(|pair| pair[0].path < pair[1].path),
                "{}: out of order",
                index.name
            );
        }
        let paths: Vec<&str> = index.fields().map(|field| field.path).collect();
        for (at, path) in paths.iter().enumerate() {
            for (other_at, other) in paths.iter().enumerate() {
                assert!(
                    at == other_at || (path != other && !other.starts_with(&format!("{path}."))),
                    "{}: {path} and {other} collide",
                    index.name
                );
            }
        }
    }
}

#[test]
fn lookups_find_every_row_and_nothing_else() {
    let mut names = BTreeSet::new();
    for schema in indices() {
        assert!(names.insert(schema.name), "{} stands twice", schema.name);
        assert_eq!(index(schema.name), Some(schema));
        assert!(modules().contains(&schema.module));
        for field in schema.fields() {
            assert_eq!(schema.field(field.path), Some(field));
        }
        assert_eq!(schema.field("wazuh"), None);
        assert_eq!(schema.field(""), None);
    }
    assert_eq!(index("wazuh-states-vulnerabilities"), None);
    let families: Vec<usize> = modules()
        .iter()
        .map(|name| module_indices(name).count())
        .collect();
    assert_eq!(families, [13, 3, 1]);
}

#[test]
fn the_overlay_is_the_managers_and_nothing_else_is() {
    for index in indices() {
        for field in index.fields() {
            let ours = field.path.starts_with("wazuh.");
            match field.source {
                Source::Manager => assert!(ours, "{} is not below wazuh", field.path),
                Source::Column(_) | Source::Document => assert!(!ours, "{} is ours", field.path),
                Source::Unused => {}
            }
            assert!(!field.volatile || field.column().is_some());
        }
    }
}

#[test]
fn integer_ranges_are_those_of_the_mapping_types() {
    assert_eq!(FieldType::Short.integer_range(), Some((-32_768, 32_767)));
    assert_eq!(
        FieldType::UnsignedLong.integer_range(),
        Some((0, 18_446_744_073_709_551_615))
    );
    assert_eq!(FieldType::Date.integer_range(), None);
}

#[test]
fn the_page_is_current() {
    let path = folder("../docs/fields.md");
    let wanted = markdown();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/fields.md is not current: UPDATE_DOCS=1 cargo test -p inventory-sync-schemas"
    );
}

fn leaves(properties: &Value, prefix: &str, out: &mut BTreeMap<String, Value>) {
    for (name, value) in properties.as_object().unwrap() {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value.get("properties") {
            Some(inner) => leaves(inner, &path, out),
            None => {
                out.insert(path, value.clone());
            }
        }
    }
}

/// Compares with the published templates when `INVENTORY_TEST_TEMPLATES` names their folder: the
/// same paths with the same types, no more and no fewer.
#[test]
fn the_table_holds_what_the_published_templates_hold() {
    let Some(published) = std::env::var_os("INVENTORY_TEST_TEMPLATES") else {
        println!("skipped: INVENTORY_TEST_TEMPLATES does not name the published templates");
        return;
    };
    let mut compared = BTreeSet::new();
    for entry in std::fs::read_dir(published).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let template: Value = serde_json::from_str(&text).unwrap();
        let pattern = template["index_patterns"][0].as_str().unwrap();
        let schema = index(pattern.trim_end_matches('*')).unwrap();
        let mut theirs = BTreeMap::new();
        leaves(
            &template["template"]["mappings"]["properties"],
            "",
            &mut theirs,
        );
        let ours: Value = serde_json::from_str(&crate::templates::mappings(schema)).unwrap();
        let mut mine = BTreeMap::new();
        leaves(&ours["properties"], "", &mut mine);
        assert_eq!(mine, theirs, "{}", schema.name);
        compared.insert(schema.name);
    }
    assert_eq!(compared.len(), indices().len());
    println!("compared {} indices", compared.len());
}
