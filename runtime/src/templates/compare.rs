//! Mappings against the field table: pure functions of JSON.

use inventory_sync_schemas::fields::{IndexSchema, Source};
use inventory_sync_schemas::templates::GC_DELETES_S;
use serde_json::Value;

use super::{Basis, Difference, IndexReport, Verdict};

/// Judges an index by its mappings and settings: its own where it exists, else those of the
/// template a new one would get (then after the Indexer's own normalisation).
#[must_use]
pub fn compare(
    schema: &IndexSchema,
    basis: Basis,
    mappings: &Value,
    settings: &Value,
) -> IndexReport {
    let mut differences = Vec::new();
    let mut warnings = Vec::new();
    for field in schema
        .fields()
        .filter(|field| field.source != Source::Unused)
    {
        let found = leaf(mappings, field.path);
        let kind = found.and_then(kind_of);
        if kind == Some(field.kind.name()) {
            let limit = found
                .and_then(|leaf| leaf.get("ignore_above"))
                .and_then(Value::as_u64);
            if let (Some(wanted), Some(limit)) = (field.kind.ignore_above(), limit)
                && limit < u64::from(wanted)
            {
                warnings.push(format!(
                    "{}: values over {limit} characters cannot be searched for",
                    field.path
                ));
            }
            continue;
        }
        differences.push(Difference {
            field: field.path.to_owned(),
            wanted: field.kind.name().to_owned(),
            found: kind.map(str::to_owned),
        });
    }
    if mappings.get("dynamic").and_then(Value::as_str) != Some("strict") {
        warnings.push(
            "its mapping is not strict: fields nobody planned are guessed and stay for ever"
                .to_owned(),
        );
    }
    match setting(settings, "gc_deletes").as_deref().and_then(seconds) {
        Some(kept) if kept >= u64::from(GC_DELETES_S) => {}
        // The engine's default is a minute.
        kept => warnings.push(format!(
            "gc_deletes is {} s, not {GC_DELETES_S} s: a late write may bring back what was deleted that long ago",
            kept.unwrap_or(60)
        )),
    }
    let verdict = if differences.is_empty() {
        Verdict::Fits
    } else {
        Verdict::Different
    };
    IndexReport {
        index: schema.name.to_owned(),
        basis,
        verdict,
        differences,
        warnings,
    }
}

/// The name and content of the composable template a new index of that name would get, out of the
/// answer to `GET /_index_template/*`: of those whose pattern matches, the one of highest priority.
#[must_use]
pub fn winning_template<'a>(answer: &'a Value, index: &str) -> Option<(&'a str, &'a Value)> {
    let priority = |template: &Value| {
        template
            .get("priority")
            .and_then(Value::as_u64)
            .unwrap_or(0)
    };
    answer
        .get("index_templates")?
        .as_array()?
        .iter()
        .filter_map(|entry| Some((entry.get("name")?.as_str()?, entry.get("index_template")?)))
        .filter(|(_, template)| {
            let patterns = template.get("index_patterns").and_then(Value::as_array);
            patterns
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .any(|pattern| matches_pattern(pattern, index))
        })
        .max_by_key(|(_, template)| priority(template))
}

/// Whether a pattern, in which `*` stands for any text, covers a name.
#[must_use]
pub fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

/// What the mapping says about one path.
fn leaf<'a>(mappings: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = mappings;
    for name in path.split('.') {
        at = at.get("properties")?.get(name)?;
    }
    Some(at)
}

/// A field without a type is an object.
fn kind_of(leaf: &Value) -> Option<&str> {
    match leaf.get("type") {
        Some(kind) => kind.as_str(),
        None => Some("object"),
    }
}

/// One setting, wherever normalisation put it: `{"index":{"a":…}}`, `{"index.a":…}` or `{"a":…}`.
fn setting(settings: &Value, name: &str) -> Option<String> {
    let found = settings
        .get("index")
        .and_then(|index| index.get(name))
        .or_else(|| settings.get(format!("index.{name}")))
        .or_else(|| settings.get(name))?;
    Some(
        found
            .as_str()
            .map_or_else(|| found.to_string(), str::to_owned),
    )
}

/// A time such as `300s`, `5m` or `1h`, in seconds.
fn seconds(text: &str) -> Option<u64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    match unit {
        "ms" => Some(number / 1_000),
        "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3_600),
        "d" => number.checked_mul(86_400),
        _ => None,
    }
}
