//! Messages that another FlatBuffers implementation wrote, and bytes that are no message.

use crate::wire::*;
use serde_json::{Map, Value, json};

const GOLDEN: &str = include_str!("../golden.json");

fn entries(part: &str) -> Vec<Value> {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    golden[part].as_array().unwrap().clone()
}

fn bytes(entry: &Value) -> Vec<u8> {
    let hex = entry["hex"].as_str().unwrap();
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn item(data: &DataView<'_>) -> Value {
    json!({
        "seq": data.seq(),
        "session": data.session(),
        "operation": data.operation_byte(),
        "id": data.id(),
        "index": data.index(),
        "data": data.data().map(|bytes| std::str::from_utf8(bytes).unwrap()),
        "version": data.version(),
    })
}

fn start(start: &Start) -> Value {
    let agent = start.agent.as_ref().map(|info| {
        json!({
            "name": info.name,
            "version": info.version,
            "architecture": info.architecture,
            "hostname": info.hostname,
            "os_name": info.os_name,
            "os_platform": info.os_platform,
            "os_type": info.os_type,
            "os_version": info.os_version,
            "groups": info.groups,
        })
    });
    json!({
        "mode": start.mode.map(Mode::to_wire),
        "size": start.size,
        "module": start.module,
        "agent_id": start.agent_id,
        "protocol_version": start.protocol_version,
        "nonce": start.nonce,
        "indices": start.indices,
        "agent": agent,
        "global_version": start.global_version,
        "cluster_name": start.cluster_name,
        "version_floor": start.version_floor,
        "id_from": start.id_from,
        "id_to": start.id_to,
    })
}

fn start_ack(ack: &StartAck) -> Value {
    json!({
        "status": ack.status.to_wire(),
        "session": ack.session,
        "module": ack.module,
        "nonce": ack.nonce,
        "reason": ack.reason.to_wire(),
        "detail": ack.detail,
        "retry_after_ms": ack.retry_after_ms,
        "idle_timeout_ms": ack.idle_timeout_ms,
        "max_items": ack.max_items,
        "version": ack.version,
        "resync": ack.resync,
    })
}

fn end_ack(ack: &EndAck) -> Value {
    let failed = ack.failed.iter().map(|item| {
        json!({
            "seq": item.seq,
            "status": item.status,
            "type": item.kind,
            "reason": item.reason.to_wire(),
            "retryable": item.retryable,
            "detail": item.detail,
        })
    });
    json!({
        "status": ack.status.to_wire(),
        "session": ack.session,
        "module": ack.module,
        "reason": ack.reason.to_wire(),
        "detail": ack.detail,
        "retry_after_ms": ack.retry_after_ms,
        "failed": failed.collect::<Vec<_>>(),
        "failed_more": ack.failed_more,
        "version": ack.version,
        "resync": ack.resync,
    })
}

/// Name, every field that our types have, and the message written anew by our encoder (where it
/// carries no operation that we could not write).
fn dissect(message: &Message<'_>) -> (&'static str, Value, Option<Vec<u8>>) {
    match message {
        Message::Start(it) => ("Start", start(it), Some(encode_start(it))),
        Message::Data(it) => ("Data", item(it), rewrite(it)),
        Message::End(it) => ("End", json!({"session": it.session}), Some(encode_end(it))),
        Message::StartAck(it) => ("StartAck", start_ack(it), Some(encode_start_ack(it))),
        Message::EndAck(it) => ("EndAck", end_ack(it), Some(encode_end_ack(it))),
        Message::ReqRet(it) => {
            let pairs: Vec<_> = it
                .seq
                .iter()
                .map(|pair| json!([pair.begin, pair.end]))
                .collect();
            let fields = json!({"seq": pairs, "session": it.session, "module": it.module});
            ("ReqRet", fields, Some(encode_req_ret(it)))
        }
        Message::DataBatch(it) => {
            let values: Vec<_> = it.iter().map(|data| item(&data)).collect();
            (
                "DataBatch",
                json!({"session": it.session(), "values": values}),
                None,
            )
        }
        Message::DataClean(it) => {
            let fields = json!({"seq": it.seq, "session": it.session, "index": it.index});
            ("DataClean", fields, Some(encode_data_clean(it)))
        }
        Message::DataContext(it) => {
            let data = it
                .data
                .as_deref()
                .map(|bytes| std::str::from_utf8(bytes).unwrap());
            let fields = json!({"seq": it.seq, "session": it.session, "id": it.id,
                "index": it.index, "data": data});
            ("DataContext", fields, Some(encode_data_context(it)))
        }
        Message::ChecksumModule(it) => {
            let fields = json!({"seq": it.seq, "session": it.session, "index": it.index,
                "checksum": it.checksum});
            ("ChecksumModule", fields, Some(encode_checksum_module(it)))
        }
        Message::Hello(it) => {
            let fields = json!({"protocol_version": it.protocol_version, "agent_id": it.agent_id,
                "agent_name": it.agent_name, "agent_version": it.agent_version,
                "features": it.features});
            ("Hello", fields, Some(encode_hello(it)))
        }
        Message::Unknown { union_type } => {
            assert_eq!(*union_type, 12);
            ("Tomorrow", json!({}), None)
        }
    }
}

fn rewrite(data: &DataView<'_>) -> Option<Vec<u8>> {
    let item = Item {
        seq: data.seq(),
        operation: data.operation()?,
        id: data.id()?,
        index: data.index()?,
        data: data.data(),
        version: data.version(),
    };
    Some(encode_data(data.session(), &item))
}

/// What a field is when the message does not have it.
fn default_of(found: &Value) -> Value {
    match found {
        Value::Null => Value::Null,
        Value::Bool(_) => json!(false),
        Value::Number(_) => json!(0),
        Value::String(_) => json!(""),
        Value::Array(_) => json!([]),
        Value::Object(_) => json!({}),
    }
}

/// Every field that was found, with the value the golden file gives it or else its default.
fn expected(found: &Value, golden: &Value) -> Value {
    match (found, golden) {
        (Value::Object(found), Value::Object(golden)) => Value::Object(
            found
                .iter()
                .map(|(name, value)| {
                    let wanted = match golden.get(name) {
                        Some(golden) => expected(value, golden),
                        None => default_of(value),
                    };
                    (name.clone(), wanted)
                })
                .collect::<Map<_, _>>(),
        ),
        (Value::Array(found), Value::Array(golden)) if found.len() == golden.len() => found
            .iter()
            .zip(golden)
            .map(|(found, golden)| expected(found, golden))
            .collect(),
        _ => golden.clone(),
    }
}

/// Fields of a newer peer, which our types rightly do not have.
const OF_TOMORROW: [&str; 3] = ["tomorrow", "more", "x"];

#[test]
fn golden_messages_of_every_age_are_read_field_by_field() {
    let entries = entries("messages");
    assert_eq!(entries.len(), 24);
    for entry in &entries {
        let name = &entry["name"];
        let frame = bytes(entry);
        let message = decode(&frame).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (kind, found, again) = dissect(&message);
        assert_eq!(kind, entry["message"], "{name}");
        assert_eq!(found, expected(&found, &entry["fields"]), "{name}");
        if kind != "Tomorrow" {
            for field in entry["fields"].as_object().unwrap().keys() {
                let known = found.get(field).is_some();
                assert_eq!(
                    known,
                    !OF_TOMORROW.contains(&field.as_str()),
                    "{name}: {field}"
                );
            }
        }
        if let Some(again) = again {
            let message = decode(&again).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (kind_again, found_again, _) = dissect(&message);
            assert_eq!((kind, found), (kind_again, found_again), "{name}");
        }
    }
}

#[test]
fn an_unknown_operation_keeps_its_byte() {
    let entries = entries("messages");
    let entry = entries
        .iter()
        .find(|entry| entry["fields"]["operation"] == 9)
        .unwrap();
    let frame = bytes(entry);
    let Ok(Message::Data(data)) = decode(&frame) else {
        panic!("not a Data")
    };
    assert_eq!((data.operation_byte(), data.operation()), (9, None));
}

#[test]
fn malformed_messages_are_all_refused() {
    let entries = entries("malformed");
    assert_eq!(entries.len(), 21);
    for entry in &entries {
        let frame = bytes(entry);
        let found = decode(&frame);
        assert!(found.is_err(), "{}: {found:?}", entry["name"]);
    }
    let of = |name: &str| {
        let entry = entries.iter().find(|entry| entry["name"] == name).unwrap();
        let frame = bytes(entry);
        decode(&frame).unwrap_err()
    };
    assert_eq!(of("no content at all"), DecodeError::NoContent);
    assert_eq!(
        of("string that is not UTF-8"),
        DecodeError::Malformed {
            flaw: "a string is not UTF-8"
        }
    );
    assert_eq!(
        of("content type without content"),
        DecodeError::Malformed {
            flaw: "content without its type, or the reverse"
        }
    );
}

#[test]
fn frames_are_read_at_any_alignment() {
    for entry in entries("messages") {
        let frame = bytes(&entry);
        let reference = dissect(&decode(&frame).unwrap()).1;
        for shift in 1..8 {
            let mut shifted = vec![0xa5; shift];
            shifted.extend_from_slice(&frame);
            let message = decode(&shifted[shift..]).unwrap();
            assert_eq!(
                dissect(&message).1,
                reference,
                "{} at {shift}",
                entry["name"]
            );
        }
    }
}

#[test]
fn no_prefix_and_no_flipped_byte_of_a_golden_message_breaks_the_decoder() {
    for entry in entries("messages") {
        let frame = bytes(&entry);
        for length in 0..frame.len() {
            touch(&frame[..length]);
        }
        for at in 0..frame.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, frame[at].wrapping_add(4)] {
                let mut broken = frame.clone();
                broken[at] = value;
                touch(&broken);
            }
        }
    }
}

/// Decodes, and reads all there is: no panic, and no more than the bound allows.
fn touch(frame: &[u8]) {
    let Ok(message) = decode(frame) else { return };
    let read = |data: DataView<'_>| {
        data.id().map_or(0, str::len)
            + data.index().map_or(0, str::len)
            + data.data().map_or(0, <[u8]>::len)
    };
    let total: usize = match message {
        Message::Data(data) => read(data),
        Message::DataBatch(batch) => batch.iter().map(read).sum(),
        other => format!("{other:?}").len() / 100,
    };
    assert!(total <= (frame.len() * 8).max(4096));
}
