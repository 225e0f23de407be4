//! Index settings: the few that change behaviour, and all of them as they are shown.

use super::refusal::{Refusal, kind};
use crate::model::json::Json;
use std::collections::BTreeMap;

/// Default of `index.gc_deletes`.
pub const GC_DELETES_MS: u64 = 60_000;

/// What an operator blocked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// `index.blocks.read_only`: writes and changes of metadata are refused with 403.
    pub read_only: bool,
    /// `index.blocks.write`: writes are refused with 403.
    pub write: bool,
    /// `index.blocks.read_only_allow_delete`, the flood-stage block: writes, bulk deletes too, are refused with 429.
    pub read_only_allow_delete: bool,
    /// `index.blocks.metadata`: writes go on.
    pub metadata: bool,
}

impl Blocks {
    /// The reason of a refused write, and its status; nothing when writes pass.
    pub fn refuses_writes(self, index: &str) -> Option<Refusal> {
        let mut blocked = String::new();
        let mut status = 403;
        if self.read_only {
            blocked.push_str("[FORBIDDEN/5/index read-only (api)];");
        }
        if self.write {
            blocked.push_str("[FORBIDDEN/8/index write (api)];");
        }
        if self.read_only_allow_delete {
            if blocked.is_empty() {
                status = 429;
            }
            blocked.push_str(
                "[TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];",
            );
        }
        if blocked.is_empty() {
            return None;
        }
        Some(Refusal::new(
            status,
            kind::CLUSTER_BLOCK,
            format!("index [{index}] blocked by: {blocked}"),
        ))
    }
}

/// Settings of one index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How long a deleted document's version is remembered (`index.gc_deletes`), in milliseconds; the age is
    /// tested at each look-up, so the end is exact.
    pub gc_deletes_ms: u64,
    /// How often writes become visible by themselves (`index.refresh_interval`), in milliseconds; nothing when it is
    /// not stated, -1 for never.
    pub refresh_interval_ms: Option<i64>,
    /// Copies beside the primary; on the one modelled node they are never assigned (the index is yellow then).
    pub replicas: u32,
    /// What is blocked.
    pub blocks: Blocks,
    /// All settings that were stated, without the `index.` prefix, numbers and booleans as text.
    pub stated: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            gc_deletes_ms: GC_DELETES_MS,
            refresh_interval_ms: None,
            replicas: 0,
            blocks: Blocks::default(),
            stated: BTreeMap::new(),
        }
    }
}

/// A settings object flattened: names without `index.`, values as text, `null` as nothing.
pub fn flatten(settings: &Json) -> BTreeMap<String, Option<String>> {
    let mut flat = BTreeMap::new();
    collect("", settings, &mut flat);
    flat
}

fn collect(path: &str, value: &Json, flat: &mut BTreeMap<String, Option<String>>) {
    let name = path.strip_prefix("index.").unwrap_or(path);
    match value {
        Json::Object(members) => {
            for (member, below) in members {
                let path = if path.is_empty() {
                    member.clone()
                } else {
                    format!("{path}.{member}")
                };
                collect(&path, below, flat);
            }
        }
        Json::Null => {
            flat.insert(name.to_owned(), None);
        }
        Json::Array(elements) => {
            let list: Vec<_> = elements.iter().filter_map(Json::scalar_text).collect();
            flat.insert(name.to_owned(), Some(list.join(",")));
        }
        other => {
            flat.insert(name.to_owned(), other.scalar_text());
        }
    }
}

/// Milliseconds of a time value such as `60s`, `500ms`, `-1`; nothing when it is none.
pub fn time_ms(text: &str) -> Option<i64> {
    let unit_at = text
        .find(|character: char| character.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let amount: i64 = text[..unit_at].parse().ok()?;
    let unit_ms = match &text[unit_at..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if amount == 0 || amount == -1 => return Some(amount),
        _ => return None,
    };
    amount.checked_mul(unit_ms)
}

impl Settings {
    /// Settings of a new index.
    ///
    /// # Errors
    /// 400 for a value that cannot be, and for what the model does not have (more than one shard).
    pub fn stated(flat: BTreeMap<String, Option<String>>) -> Result<Settings, Refusal> {
        let mut settings = Settings {
            replicas: 1,
            ..Settings::default()
        };
        settings.change(flat)?;
        settings
            .stated
            .entry("number_of_shards".to_owned())
            .or_insert_with(|| "1".to_owned());
        settings
            .stated
            .entry("number_of_replicas".to_owned())
            .or_insert_with(|| "1".to_owned());
        Ok(settings)
    }

    /// Changes settings; nothing when one of them is refused. An absent value returns a setting to its default.
    ///
    /// # Errors
    /// As for [`Settings::stated`].
    pub fn change(&mut self, flat: BTreeMap<String, Option<String>>) -> Result<(), Refusal> {
        let mut changed = self.clone();
        for (name, value) in flat {
            changed.set(&name, value.as_deref())?;
            match value {
                Some(value) => changed.stated.insert(name, value),
                None => changed.stated.remove(&name),
            };
        }
        *self = changed;
        Ok(())
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        let failed = |value: &str| {
            Refusal::illegal_argument(format!(
                "Failed to parse value [{value}] for setting [index.{name}]"
            ))
        };
        let flag = |value: Option<&str>| match value {
            Some("true") => Ok(true),
            None | Some("false") => Ok(false),
            Some(other) => Err(failed(other)),
        };
        match name {
            "gc_deletes" => {
                self.gc_deletes_ms = match value {
                    Some(text) => time_ms(text)
                        .and_then(|ms| u64::try_from(ms.max(0)).ok())
                        .ok_or_else(|| failed(text))?,
                    None => GC_DELETES_MS,
                }
            }
            "refresh_interval" => {
                self.refresh_interval_ms = value
                    .map(|text| time_ms(text).ok_or_else(|| failed(text)))
                    .transpose()?;
            }
            "number_of_replicas" => {
                self.replicas =
                    value.map_or(Ok(1), |text| text.parse().map_err(|_| failed(text)))?;
            }
            "number_of_shards" if value.is_some_and(|text| text != "1") => {
                return Err(Refusal::illegal_argument(
                    "this stand-in has one shard per index: number_of_shards must be 1",
                ));
            }
            "codec" => {
                if let Some(codec) = value
                    && !matches!(codec, "default" | "lz4" | "best_compression" | "zlib")
                {
                    return Err(Refusal::illegal_argument(format!(
                        "unknown value for [index.codec] must be one of [default, lz4, best_compression, zlib] but was: {codec}"
                    )));
                }
            }
            "blocks.read_only" => self.blocks.read_only = flag(value)?,
            "blocks.write" => self.blocks.write = flag(value)?,
            "blocks.read_only_allow_delete" => self.blocks.read_only_allow_delete = flag(value)?,
            "blocks.metadata" => self.blocks.metadata = flag(value)?,
            _ => {}
        }
        Ok(())
    }

    /// The stated settings as a nested object.
    pub fn json(&self) -> Json {
        let mut root = Json::Object(Vec::new());
        for (name, value) in &self.stated {
            insert(&mut root, name, Json::text(value.as_str()));
        }
        root
    }
}

/// Puts a value under a dotted name; a name below a value that is no object keeps its dots.
pub fn insert(object: &mut Json, name: &str, value: Json) {
    let Json::Object(members) = object else {
        return;
    };
    if let Some((first, rest)) = name.split_once('.') {
        let known = members.iter().position(|(known, _)| known == first);
        match known {
            Some(position) if matches!(members[position].1, Json::Object(_)) => {
                insert(&mut members[position].1, rest, value);
                return;
            }
            None => {
                let mut below = Json::Object(Vec::new());
                insert(&mut below, rest, value);
                members.push((first.to_owned(), below));
                return;
            }
            Some(_) => {}
        }
    }
    members.push((name.to_owned(), value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::json::parse;

    #[test]
    fn both_spellings_meet_and_null_removes() {
        let given = parse(
            br#"{"index":{"gc_deletes":"3s"},"number_of_replicas":0,"index.blocks.write":true}"#,
        )
        .unwrap();
        let mut settings = Settings::stated(flatten(&given)).unwrap();
        assert_eq!(
            (
                settings.gc_deletes_ms,
                settings.replicas,
                settings.blocks.write
            ),
            (3000, 0, true)
        );
        settings
            .change(flatten(
                &parse(br#"{"blocks.write":null,"index.gc_deletes":null}"#).unwrap(),
            ))
            .unwrap();
        assert_eq!(
            (settings.gc_deletes_ms, settings.blocks.write),
            (GC_DELETES_MS, false)
        );
        assert!(
            settings.stated.contains_key("number_of_replicas")
                && !settings.stated.contains_key("blocks.write")
        );
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let mut settings = Settings::default();
        let change = parse(br#"{"gc_deletes":"1s","index.codec":"zstd"}"#).unwrap();
        assert!(settings.change(flatten(&change)).is_err());
        assert_eq!(settings, Settings::default());
    }
}
