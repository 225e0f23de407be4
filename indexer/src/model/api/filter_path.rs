//! `filter_path`: answers cut down to what was asked for.

use crate::model::json::Json;
use crate::model::query::wildcard;

/// Keeps what one of the comma-separated paths names; a path that begins with `-` removes instead.
///
/// `*` stands for one name, `**` for any number of them. Elements of an array in which nothing is left are left
/// out, so that positions shift: who needs positions must ask for something each element has.
pub fn apply(filter: &str, value: Json) -> Json {
    let (excluded, included): (Vec<&str>, Vec<&str>) = filter
        .split(',')
        .map(str::trim)
        .filter(|path| !path.is_empty())
        .partition(|path| path.starts_with('-'));
    let split = |path: &&'_ str| {
        path.trim_start_matches('-')
            .split('.')
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut value = value;
    if !included.is_empty() {
        let paths: Vec<Vec<String>> = included.iter().map(split).collect();
        value = keep(value, &paths.iter().map(Vec::as_slice).collect::<Vec<_>>())
            .unwrap_or_else(|| Json::Object(Vec::new()));
    }
    for path in excluded.iter().map(split) {
        value = remove(value, &path);
    }
    value
}

/// What is left of the paths after this name; an empty one means that all below is wanted.
fn step<'p>(paths: &[&'p [String]], name: &str) -> Vec<&'p [String]> {
    let mut below = Vec::new();
    for path in paths {
        let mut path = *path;
        while let [first, rest @ ..] = path {
            if first == "**" {
                // It may stand for this name and more, or for nothing at all.
                below.push(path);
                path = rest;
                if rest.is_empty() {
                    below.push(rest);
                }
            } else {
                if wildcard(first, name) {
                    below.push(rest);
                }
                break;
            }
        }
    }
    below
}

fn keep(value: Json, paths: &[&[String]]) -> Option<Json> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value);
    }
    if paths.is_empty() {
        return None;
    }
    match value.read_raw().ok()? {
        Json::Object(members) => {
            let kept: Vec<_> = members
                .into_iter()
                .filter_map(|(name, member)| {
                    let below = step(paths, &name);
                    Some((name, keep(member, &below)?))
                })
                .collect();
            (!kept.is_empty()).then_some(Json::Object(kept))
        }
        Json::Array(elements) => {
            let kept: Vec<_> = elements
                .into_iter()
                .filter_map(|element| keep(element, paths))
                .collect();
            (!kept.is_empty()).then_some(Json::Array(kept))
        }
        _ => None,
    }
}

fn remove(value: Json, path: &[String]) -> Json {
    let value = match value {
        Json::Raw(bytes) => crate::model::json::parse(&bytes).unwrap_or(Json::Raw(bytes)),
        other => other,
    };
    match value {
        Json::Object(members) => Json::Object(
            members
                .into_iter()
                .filter_map(|(name, member)| {
                    let below = step(&[path], &name);
                    if below.iter().any(|path| path.is_empty()) {
                        return None;
                    }
                    let member = below.into_iter().fold(member, remove);
                    Some((name, member))
                })
                .collect(),
        ),
        Json::Array(elements) => Json::Array(
            elements
                .into_iter()
                .map(|element| remove(element, path))
                .collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::json::parse;

    fn filtered(filter: &str) -> String {
        let value = parse(br#"{"took":1,"errors":true,"items":[{"index":{"status":201}},{"delete":{"status":409,"error":{"type":"t","reason":"r"}}}]}"#);
        String::from_utf8(apply(filter, value.unwrap()).to_bytes()).unwrap()
    }

    #[test]
    fn paths_keep_remove_and_match_any_depth() {
        assert_eq!(filtered("errors"), r#"{"errors":true}"#);
        assert_eq!(
            filtered("errors,items.*.status,items.*.error.type"),
            r#"{"errors":true,"items":[{"index":{"status":201}},{"delete":{"status":409,"error":{"type":"t"}}}]}"#
        );
        assert_eq!(
            filtered("items.*.error"),
            r#"{"items":[{"delete":{"error":{"type":"t","reason":"r"}}}]}"#
        );
        assert_eq!(
            filtered("**.type"),
            r#"{"items":[{"delete":{"error":{"type":"t"}}}]}"#
        );
        assert_eq!(filtered("-items,-took"), r#"{"errors":true}"#);
        assert_eq!(filtered("nothing"), "{}");
    }
}
