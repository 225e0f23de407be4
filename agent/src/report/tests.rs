use super::*;
use crate::inventory::Document;
use crate::provider::{Category, Problem};
use serde_json::json;

fn group(name: &str, gid: u32) -> Document {
    Document {
        id: format!("{gid:040}"),
        index: Category::Groups.index(),
        body: json!({"group": {"name": name, "id": gid, "users": ["a", "b"]}})
            .to_string()
            .into_bytes(),
        checksum: String::new(),
    }
}

fn inventory() -> Inventory {
    let category = |category: Category, state, documents| CategoryInventory {
        category,
        index: category.index(),
        state,
        documents,
        problems: Vec::new(),
        problems_dropped: 0,
        took: Duration::from_millis(3),
    };
    let groups = (0..3).map(|n| group(&format!("g{n}"), 2 - n)).collect();
    let mut groups = category(Category::Groups, State::Complete, groups);
    groups.problems = (0..7)
        .map(|n| Problem {
            entry: format!("/etc/group line {n}"),
            what: "malformed, left out: \u{1b}[2J".into(),
        })
        .collect();
    groups.problems_dropped = 2;
    let reason = "cannot read /etc/passwd: permission denied".to_owned();
    Inventory {
        categories: vec![
            category(Category::Users, State::Unavailable { reason }, vec![]),
            groups,
        ],
    }
}

fn tables(limit: usize) -> String {
    let mut out = Vec::new();
    let layout = Layout {
        limit,
        width: Some(110),
    };
    write_tables(&mut out, &inventory(), layout).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn tables_for_people() {
    insta::assert_snapshot!(tables(2));
}

#[test]
fn a_limit_of_zero_leaves_the_summary() {
    let text = tables(0);
    assert!(text.contains("unavailable: cannot read /etc/passwd"));
    assert!(!text.contains("gid"));
}

#[test]
fn nothing_commands_the_terminal() {
    assert!(!tables(2).contains('\u{1b}'));
}

#[test]
fn json_is_one_array_of_documents() {
    let mut out = Vec::new();
    write_json(&mut out, &inventory()).unwrap();
    let parsed: Json = serde_json::from_slice(&out).unwrap();
    assert_eq!(parsed.as_array().unwrap().len(), 3);
    assert_eq!(parsed[0]["index"], "wazuh-states-inventory-groups");
    assert_eq!(parsed[0]["id"].as_str().unwrap().len(), 40);
    assert_eq!(parsed[0]["document"]["group"]["name"], "g0");

    let mut out = Vec::new();
    write_json(&mut out, &Inventory { categories: vec![] }).unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&out).unwrap(), json!([]));
}
