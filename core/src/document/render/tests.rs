use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::sample::sessions::{payload, sessions};
use super::super::sample::{
    AGENT, Frames, INDICES, SESSION, Sample, config, frame, info, scheme, staged,
};
use super::super::{Run, Runs, Scheme, plan};
use super::*;
use crate::id::{AgentId, Version};

const VERSION: Version = Version(u64::MAX);

fn part(class: Class, ordinals: Runs) -> Part {
    Part {
        session: SESSION,
        agent: AGENT,
        version: VERSION,
        class,
        ordinals,
    }
}

fn rendered(table: &SessionTable, frames: &Frames, class: Class, ordinals: &Runs) -> Vec<u8> {
    let mut out = b"before".to_vec();
    let count = render(&part(class, ordinals.clone()), table, &frames, &mut out).unwrap();
    assert_eq!(u64::from(count), ordinals.count());
    let body = out.split_off(6);
    assert_eq!(out, b"before");
    body
}

fn lines(body: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(body).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    assert!(!text.contains('\r'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What the Indexer must receive for a payload.
fn expected(payload: &[u8], overlay: &Value) -> Value {
    let mut document: Value = serde_json::from_slice(payload).unwrap();
    let members = document.as_object_mut().unwrap();
    members.remove("wazuh");
    members.insert("wazuh".to_owned(), overlay.clone());
    document
}

fn action(item: &Sample) -> Value {
    let name = if item.operation == 0 {
        "index"
    } else {
        "delete"
    };
    json!({name: {
        "_index": item.index,
        "_id": format!("wazuh_001_{}", item.id.as_ref().unwrap()),
        "version": VERSION.0,
        "version_type": "external_gte",
    }})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_body_is_the_payload_with_our_overlay((items, batches) in sessions(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 3)) {
        let (mut table, frames) = staged(&scheme(), &batches);
        let summary = plan(&mut table, &&frames, &INDICES, false, 1000).unwrap();
        let overlay: Value = serde_json::from_slice(table.overlay()).unwrap();
        for class in [Class::Upsert, Class::Delete] {
            let loads: Vec<(u32, u64)> = summary.chunks.iter().map(|load| match class {
                Class::Upsert => (load.upserts, load.upsert_bytes),
                _ => (load.deletes, load.delete_bytes),
            }).collect();
            let count: u32 = loads.iter().map(|(count, _)| count).sum();
            let all = Runs::up_to(count);
            let body = rendered(&table, &frames, class, &all);
            prop_assert_eq!(&body, &rendered(&table, &frames, class, &all), "the same bytes on every retry");

            let mut lines = lines(&body).into_iter();
            for operation in table.operations(class, &all) {
                let item = &items[operation.seq.unwrap() as usize];
                prop_assert_eq!(lines.next(), Some(action(item)));
                if class == Class::Upsert {
                    prop_assert_eq!(lines.next(), Some(expected(item.data.as_ref().unwrap(), &overlay)));
                }
            }
            prop_assert_eq!(lines.next(), None);

            let mut next = 0;
            for (operations, most) in loads {
                if operations == 0 {
                    prop_assert_eq!(most, 0);
                    continue;
                }
                let run: Runs = std::iter::once(Run::new(next, next + operations - 1)).collect();
                prop_assert!(rendered(&table, &frames, class, &run).len() as u64 <= most);
                next += operations;
            }

            // Split anywhere, the parts together say the same; also a part with holes.
            let mut rest = all.clone();
            let mut pieces = Vec::new();
            for cut in &cuts {
                let taken = rest.take_lowest(cut.index(count as usize + 1) as u64);
                pieces.extend(rendered(&table, &frames, class, &taken));
            }
            pieces.extend(rendered(&table, &frames, class, &rest));
            prop_assert_eq!(&pieces, &body);
            let (even, odd): (Vec<u32>, Vec<u32>) = (0..count).partition(|ordinal| ordinal % 2 == 0);
            let holes = |ordinals: &[u32]| rendered(&table, &frames, class, &ordinals.iter().copied().map(Run::one).collect());
            prop_assert_eq!(holes(&even).len() + holes(&odd).len(), body.len());
        }
    }

    #[test]
    fn any_payload_is_spliced(payload in payload()) {
        let items = vec![Sample::upsert(0, "states-zero", "x", &payload)];
        let (mut table, frames) = staged(&scheme(), &[items]);
        plan(&mut table, &&frames, &INDICES, false, 1000).unwrap();
        let body = rendered(&table, &frames, Class::Upsert, &Runs::up_to(1));
        let overlay: Value = serde_json::from_slice(table.overlay()).unwrap();
        let lines = lines(&body);
        prop_assert_eq!(lines.len(), 2);
        prop_assert_eq!(&lines[1], &expected(payload.as_bytes(), &overlay));
        let start = format!("{{\"wazuh\":{}", String::from_utf8_lossy(table.overlay()));
        prop_assert!(String::from_utf8_lossy(&body).lines().nth(1).unwrap().starts_with(&start));
    }
}

#[test]
fn splicing_by_example() {
    let document = |payload: &str| {
        let items = vec![Sample::upsert(0, "states-zero", "x", payload)];
        let (mut table, frames) = staged(&scheme(), &[items]);
        plan(&mut table, &&frames, &INDICES, false, 1000).unwrap();
        table.overlay = b"{}".to_vec();
        let body = rendered(&table, &frames, Class::Upsert, &Runs::up_to(1));
        String::from_utf8(body)
            .unwrap()
            .lines()
            .nth(1)
            .unwrap()
            .to_owned()
    };
    for (payload, spliced) in [
        ("{}", "{\"wazuh\":{}}"),
        (" { \n } ", "{\"wazuh\":{}}"),
        ("{\"a\":1}", "{\"wazuh\":{},\"a\":1}"),
        ("{\"a\":\r\n[1,\n2]}", "{\"wazuh\":{},\"a\":  [1, 2]}"),
        ("{\"wazuh\":1}", "{\"wazuh\":{}}"),
        ("{ \"wazuh\" : {\"a\":[]} }", "{\"wazuh\":{}}"),
        ("{\"wazuh\":1,\"a\":2}", "{\"wazuh\":{},\"a\":2}"),
        ("{\"a\":2,\"wazuh\":1}", "{\"wazuh\":{},\"a\":2}"),
        (
            "{\"a\":2,\"wazuh\":1,\"b\":3}",
            "{\"wazuh\":{},\"a\":2,\"b\":3}",
        ),
        (
            "{\"a\":2 , \"w\\u0061zuh\":\"x\" , \"b\":3}",
            "{\"wazuh\":{},\"a\":2 ,\"b\":3}",
        ),
        (
            "{\"a\":{\"wazuh\":1}}",
            "{\"wazuh\":{},\"a\":{\"wazuh\":1}}",
        ),
    ] {
        assert_eq!(document(payload), spliced, "{payload}");
    }
}

#[test]
fn unknown_fields_of_the_overlay_are_left_out() {
    let scheme = Scheme::new(&config(), 0);
    let text = |agent, info: &crate::wire::AgentInfo| {
        String::from_utf8(scheme.overlay(AgentId(agent), info)).unwrap()
    };
    let value: Value = serde_json::from_str(&text(1, &info())).unwrap();
    assert_eq!(
        value,
        json!({
            "agent": {
                "id": "001",
                "name": "näme \"quoted\"",
                "version": "5.0.0",
                "groups": ["default", "web"],
                "host": {"os": {"type": "linux"}},
            },
            "cluster": {"name": "wazuh"},
        })
    );
    let bare: Value =
        serde_json::from_str(&text(12345, &crate::wire::AgentInfo::default())).unwrap();
    assert_eq!(
        bare,
        json!({"agent": {"id": "12345"}, "cluster": {"name": "wazuh"}})
    );
    assert_eq!(scheme.id_prefix(AgentId(0)), "wazuh_000_");
    assert_eq!(scheme.id_prefix(AgentId(1234)), "wazuh_1234_");
}

#[test]
fn what_cannot_be_read_back_or_is_not_there_is_said() {
    let items = vec![
        Sample::upsert(0, "states-zero", "x", "{}"),
        Sample::upsert(1, "states-zero", "y", "{}"),
    ];
    let (mut table, frames) = staged(&scheme(), std::slice::from_ref(&items));
    plan(&mut table, &&frames, &INDICES, false, 1000).unwrap();
    let mut out = b"kept".to_vec();
    let both = part(Class::Upsert, Runs::up_to(2));
    assert_eq!(render(&both, &table, &&Frames::default(), &mut out), None);
    let mut short = Frames::default();
    short.0.insert(0, frame(&items[..1]));
    assert_eq!(render(&both, &table, &&short, &mut out), None);
    for class in [Class::Upsert, Class::Delete, Class::Removal] {
        assert_eq!(
            render(&part(class, Runs::up_to(3)), &table, &&frames, &mut out),
            None
        );
    }
    assert_eq!(out, b"kept");
}
