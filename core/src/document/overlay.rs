//! The manager-owned fields of an agent's documents, as JSON.
//!
//! Written once for each session, straight into bytes. Keys stand in ascending order, so that the same
//! agent gives the same bytes.

use super::scheme::write_escaped;
use crate::id::AgentId;
use crate::wire::AgentInfo;

/// What names and texts take at most in most documents; longer ones only cost a reallocation.
const USUAL_BYTES: usize = 384;

/// The object under the key `wazuh` (`docs/protocol.md` section 7). Unknown fields are left out, never null
/// or empty.
pub(super) fn overlay(cluster: &str, agent: AgentId, info: &AgentInfo) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL_BYTES);
    let mut overlay = Object::begin(&mut out);
    overlay.object("agent", |own| {
        own.texts("groups", &info.groups);
        own.object("host", |host| {
            host.text("architecture", &info.architecture);
            host.text("hostname", &info.hostname);
            host.object("os", |os| {
                os.text("name", &info.os_name);
                os.text("platform", &info.os_platform);
                os.text("type", &info.os_type);
                os.text("version", &info.os_version);
            });
        });
        own.text("id", &format!("{:03}", agent.0));
        own.text("name", &info.name);
        own.text("version", &info.version);
    });
    overlay.object("cluster", |own| own.text("name", cluster));
    overlay.end();
    out
}

/// A JSON object that is being written. Nothing empty gets into it.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self {
            out,
            is_empty: true,
        }
    }

    fn end(self) {
        self.out.push(b'}');
    }

    /// Keys are ours and need no escapes.
    fn key(&mut self, key: &str) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.key(key);
            write_quoted(text, self.out);
        }
    }

    fn texts(&mut self, key: &str, texts: &[String]) {
        let mut present = texts.iter().filter(|text| !text.is_empty()).peekable();
        if present.peek().is_none() {
            return;
        }
        self.key(key);
        let mut separator = b'[';
        for text in present {
            self.out.push(separator);
            write_quoted(text, self.out);
            separator = b',';
        }
        self.out.push(b']');
    }

    fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        let (length, was_empty) = (self.out.len(), self.is_empty);
        self.key(key);
        let mut inner = Object::begin(self.out);
        fill(&mut inner);
        if inner.is_empty {
            self.out.truncate(length);
            self.is_empty = was_empty;
        } else {
            inner.end();
        }
    }
}

fn write_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    /// Without what is empty, however deep.
    fn pruned(value: Value) -> Option<Value> {
        match value {
            Value::String(text) if text.is_empty() => None,
            Value::Array(values) => {
                let values: Vec<Value> = values.into_iter().filter_map(pruned).collect();
                (!values.is_empty()).then_some(Value::Array(values))
            }
            Value::Object(members) => {
                let members: Map<String, Value> = members
                    .into_iter()
                    .filter_map(|(key, value)| Some((key, pruned(value)?)))
                    .collect();
                (!members.is_empty()).then_some(Value::Object(members))
            }
            other => Some(other),
        }
    }

    proptest! {
        #[test]
        fn it_says_what_is_known_and_nothing_else(
            texts in prop::collection::vec("(|.{0,12})", 9),
            groups in prop::collection::vec("(|.{0,12})", 0..4),
            agent in any::<u64>(),
        ) {
            let text = |place: usize| texts[place].clone();
            let info = AgentInfo {
                name: text(0),
                version: text(1),
                architecture: text(2),
                hostname: text(3),
                os_name: text(4),
                os_platform: text(5),
                os_type: text(6),
                os_version: text(7),
                groups: groups.clone(),
            };
            let expected = pruned(json!({
                "agent": {
                    "id": format!("{agent:03}"), "name": text(0), "version": text(1), "groups": groups,
                    "host": {
                        "architecture": text(2), "hostname": text(3),
                        "os": {"name": text(4), "platform": text(5), "type": text(6), "version": text(7)},
                    },
                },
                "cluster": {"name": text(8)},
            }));
            let written = overlay(&texts[8], AgentId(agent), &info);
            let read: Value = serde_json::from_slice(&written).unwrap();
            prop_assert_eq!(Some(&read), expected.as_ref());
        }
    }
}
