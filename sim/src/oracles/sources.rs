//! The stored source: one JSON object on one line in which the manager's fields stand exactly once
//! (`docs/protocol.md` section 7).

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// The names at the top of a document, counted; a map that keeps one member of a name would hide the other.
struct Names {
    overlays: usize,
    dotted: usize,
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counter;

        impl<'de> Visitor<'de> for Counter {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Names {
                    overlays: 0,
                    dotted: 0,
                };
                while let Some(name) = map.next_key::<Name>()? {
                    names.overlays += usize::from(name == Name::Overlay);
                    names.dotted += usize::from(name == Name::Dotted);
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(names)
            }
        }

        deserializer.deserialize_map(Counter)
    }
}

/// A name at the top of a document, of which no copy is needed.
#[derive(PartialEq, Eq)]
enum Name {
    Overlay,
    Dotted,
    Other,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match name.strip_prefix("wazuh") {
                    Some("") => Name::Overlay,
                    Some(rest) if rest.starts_with('.') => Name::Dotted,
                    _ => Name::Other,
                })
            }
        }

        deserializer.deserialize_str(Reader)
    }
}

/// Judges the source of one document as it is sent.
///
/// # Errors
/// What was expected and what was seen.
pub(crate) fn judge_source(source: &[u8]) -> Result<(), (&'static str, String)> {
    let shown = || String::from_utf8_lossy(source).into_owned();
    if source.contains(&b'\r') {
        return Err(("one line for each document", shown()));
    }
    match serde_json::from_slice::<Names>(source) {
        Ok(names) if names.overlays == 1 && names.dotted == 0 => Ok(()),
        Ok(names) => {
            let seen = format!(
                "{} and {} dotted: {}",
                names.overlays,
                names.dotted,
                shown()
            );
            Err(("the manager's fields exactly once", seen))
        }
        Err(error) => Err(("a JSON object", format!("{error}: {}", shown()))),
    }
}

#[cfg(test)]
mod tests {
    use super::judge_source;

    #[test]
    fn the_managers_fields_stand_exactly_once() {
        assert_eq!(judge_source(br#"{"wazuh":{"agent":{}},"n":1}"#), Ok(()));
        for wrong in [
            br#"{"n":1}"#.as_slice(),
            br#"{"wazuh":{},"wazuh":{}}"#,
            br#"{"wazuh":{},"\u0077azuh":1}"#,
            br#"{"wazuh":{},"wazuh.agent.id":"2"}"#,
            b"[1]",
            b"{\"wazuh\":{},\r\"n\":1}",
        ] {
            assert!(judge_source(wrong).is_err(), "{wrong:?}");
        }
    }
}
