//! Documents that tests send, and what must be found of them afterwards.

use std::fmt;

use inventory_sync_core::wire::{AgentInfo, Operation};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// The index of [`package`].
pub const PACKAGES: &str = "wazuh-states-inventory-packages";
/// The index of [`port`].
pub const PORTS: &str = "wazuh-states-inventory-ports";

/// One row of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What is done.
    pub operation: Operation,
    /// The index's exact name.
    pub index: String,
    /// The agent's id for it.
    pub id: String,
    /// The document; empty for a delete.
    pub data: Vec<u8>,
}

impl Document {
    /// A document that is written.
    #[must_use]
    pub fn upsert(index: &str, id: &str, data: impl Into<Vec<u8>>) -> Self {
        Self {
            operation: Operation::Upsert,
            index: index.to_owned(),
            id: id.to_owned(),
            data: data.into(),
        }
    }

    /// The deletion of this document.
    #[must_use]
    pub fn deleted(&self) -> Self {
        Self {
            operation: Operation::Delete,
            data: Vec::new(),
            ..self.clone()
        }
    }
}

/// 40 hexadecimal digits that change with the content: as good as a checksum for those who only compare.
#[must_use]
pub fn checksum(content: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in content.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}{hash:016x}{:08x}", hash >> 32)
}

/// An installed package. Written as no printer of JSON would: line breaks of both kinds between tokens,
/// escapes that need not be, so that a document that was parsed and printed again is noticed.
#[must_use]
pub fn package(number: u32, version: &str) -> Document {
    let name = format!("paquet-{number}");
    let checksum = checksum(&format!("{name} {version}"));
    let data = format!(
        "{{\r\n  \"package\" : {{ \"name\":\"{name}\",\"version\":\"{version}\",\
         \"description\":\"caf\\u00e9 \u{2615} \\/ tab\\t, \\\"quoted\\\"\" }},\n\t\"checksum\":{{\"hash\":\
         {{\"sha1\":\"{checksum}\"}}}} ,\"state\":{{\"document_version\":1,\
         \"modified_at\":\"2026-01-02T03:04:05.678Z\"}}\n}}\n"
    );
    Document::upsert(PACKAGES, &format!("package:{number:05}"), data)
}

/// Packages of these numbers.
#[must_use]
pub fn packages(numbers: std::ops::Range<u32>, version: &str) -> Vec<Document> {
    numbers.map(|number| package(number, version)).collect()
}

/// An open port.
#[must_use]
pub fn port(number: u16) -> Document {
    let checksum = checksum(&format!("port {number}"));
    let data = json!({
        "source": {"ip": "0.0.0.0", "port": number},
        "network": {"transport": "tcp"},
        "checksum": {"hash": {"sha1": checksum}},
        "state": {"document_version": 3, "modified_at": "2026-01-02T03:04:05.678Z"},
    });
    Document::upsert(PORTS, &format!("port\u{e9}/{number}"), data.to_string())
}

/// What an agent of these tests says of itself.
#[must_use]
pub fn agent_info(id: u64) -> AgentInfo {
    AgentInfo {
        name: format!("agent-{id}"),
        version: "v5.0.0".to_owned(),
        architecture: "x86_64".to_owned(),
        hostname: "host \"of\" tests".to_owned(),
        os_name: "Debian GNU/Linux".to_owned(),
        os_platform: "debian".to_owned(),
        os_type: String::new(),
        os_version: "13".to_owned(),
        groups: vec!["default".to_owned(), "web".to_owned()],
    }
}

/// The member `wazuh` that documents of that agent must have (`docs/protocol.md` section 7).
#[must_use]
pub fn overlay(cluster: &str, agent: u64, info: &AgentInfo) -> Value {
    fn known(pairs: &[(&str, &str)]) -> Map<String, Value> {
        pairs
            .iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| ((*name).to_owned(), json!(text)))
            .collect()
    }
    let os = known(&[
        ("name", &info.os_name),
        ("platform", &info.os_platform),
        ("type", &info.os_type),
        ("version", &info.os_version),
    ]);
    let mut host = known(&[
        ("architecture", &info.architecture),
        ("hostname", &info.hostname),
    ]);
    if !os.is_empty() {
        host.insert("os".to_owned(), os.into());
    }
    let mut own = known(&[("name", &info.name), ("version", &info.version)]);
    own.insert("id".to_owned(), json!(format!("{agent:03}")));
    if !host.is_empty() {
        own.insert("host".to_owned(), host.into());
    }
    if !info.groups.is_empty() {
        own.insert("groups".to_owned(), json!(info.groups));
    }
    json!({"agent": own, "cluster": {"name": cluster}})
}

/// Checks that what is stored is what was sent, byte for byte, but for the overlay, which stands first, and
/// for white space between tokens: a line break is a space, and there is none beside the outer braces.
///
/// # Errors
/// Says what differs.
pub fn compare(stored: &str, sent: &[u8], overlay: &Value) -> Result<(), String> {
    let sent = std::str::from_utf8(sent).map_err(|error| error.to_string())?;
    // Inside a string a line break is always escaped.
    let sent = sent.replace(['\r', '\n'], " ");
    let found = members(stored)?;
    let Some((("wazuh", first), found_own)) = found
        .split_first()
        .map(|((name, value), rest)| ((name.as_str(), *value), rest))
    else {
        return Err(format!("no overlay first: {stored}"));
    };
    let first: Value = serde_json::from_str(first.get()).map_err(|error| error.to_string())?;
    if first != *overlay {
        return Err(format!("the overlay is {first}, not {overlay}"));
    }
    let sent_members = members(&sent)?;
    let had_overlay = sent_members.iter().any(|(name, _)| name == "wazuh");
    let wanted: Vec<_> = sent_members
        .iter()
        .filter(|(name, _)| name != "wazuh")
        .map(|(name, value)| (name, value.get()))
        .collect();
    let found_own: Vec<_> = found_own
        .iter()
        .map(|(name, value)| (name, value.get()))
        .collect();
    if wanted != found_own {
        return Err(format!("stored {stored}\nsent {sent}"));
    }
    // Nothing was cut out: behind the overlay stands the text between the braces, but for spaces at its ends.
    let inner = |text: &str| {
        let text = text
            .trim_ascii()
            .strip_suffix('}')?
            .trim_ascii_end()
            .to_owned();
        Some(text)
    };
    let wanted =
        inner(&sent).and_then(|text| Some(text.strip_prefix('{')?.trim_ascii_start().to_owned()));
    let is_whole = wanted
        .zip(inner(stored))
        .is_some_and(|(wanted, found)| found.ends_with(&wanted));
    if !had_overlay && !is_whole {
        return Err(format!("other bytes:\nstored {stored}\nsent {sent}"));
    }
    Ok(())
}

/// The members of an object in their order, each value with its own bytes.
fn members(text: &str) -> Result<Vec<(String, &RawValue)>, String> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let members = parser.deserialize_map(Members);
    members.map_err(|error| format!("{error}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_seen() {
        let overlay = json!({"agent": {"id": "001"}});
        let same = r#"{"wazuh":{"agent":{"id":"001"}}, "a" : 1.0 ,"b":"x" } "#;
        let sent = b"{\n\"a\" : 1.0 ,\"b\":\"x\" }\n";
        assert_eq!(compare(same, sent, &overlay), Ok(()));
        let with_own = b"{ \"a\" : 1.0 ,\"wazuh\":7,\"b\":\"x\" }";
        assert_eq!(compare(same, with_own, &overlay), Ok(()));
        for other in [
            r#"{"wazuh":{"agent":{"id":"002"}}, "a" : 1.0 ,"b":"x" } "#,
            r#"{"wazuh":{"agent":{"id":"001"}}, "a" : 1 ,"b":"x" } "#,
            r#"{"wazuh":{"agent":{"id":"001"}},"a":1.0,"b":"x"}"#,
            r#"{"wazuh":{"agent":{"id":"001"}}, "b":"x", "a" : 1.0}"#,
            r#"{"wazuh":{"agent":{"id":"001"}}, "a" : 1.0}"#,
            r#"{"a" : 1.0 ,"b":"x" } "#,
        ] {
            assert!(compare(other, sent, &overlay).is_err(), "{other}");
        }
    }
}
