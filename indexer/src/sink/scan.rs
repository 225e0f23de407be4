//! Taking a source apart as far as needed: its overlay and its checksum, without a tree.
//!
//! Members are passed over by their brackets and strings, and reading ends with the member that was looked for. What
//! this reader is not sure of (an escaped name, a text that is no object) it says, and a real parser judges.

use memchr::memchr2;

/// The text is not plain enough to be taken apart this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclear;

/// The value of one member of the object that `text` begins with: the rest of the text from the value on. Nothing when
/// the object has no such member.
///
/// # Errors
/// [`Unclear`]
pub fn member<'a>(text: &'a [u8], name: &[u8]) -> Result<Option<&'a [u8]>, Unclear> {
    let mut rest = space(text).strip_prefix(b"{").ok_or(Unclear)?;
    rest = space(rest);
    if rest.first() == Some(&b'}') {
        return Ok(None);
    }
    loop {
        let inside = space(rest).strip_prefix(b"\"").ok_or(Unclear)?;
        let behind = string(inside)?;
        let key = &inside[..inside.len() - behind.len() - 1];
        if key.contains(&b'\\') {
            return Err(Unclear);
        }
        let value = space(space(behind).strip_prefix(b":").ok_or(Unclear)?);
        if key == name {
            return Ok(Some(value));
        }
        rest = space(behind_value(value)?);
        match rest.split_first() {
            Some((b',', next)) => rest = next,
            Some((b'}', _)) => return Ok(None),
            _ => return Err(Unclear),
        }
    }
}

/// The value that `text` begins with, cut out of it.
///
/// # Errors
/// [`Unclear`]
pub fn value(text: &[u8]) -> Result<&[u8], Unclear> {
    let behind = behind_value(text)?;
    Ok(&text[..text.len() - behind.len()])
}

/// The inside of the string that `text` begins with; nothing when it is another value.
///
/// # Errors
/// [`Unclear`], and for one with escapes.
pub fn plain_string(text: &[u8]) -> Result<Option<&[u8]>, Unclear> {
    let Some(inside) = text.strip_prefix(b"\"") else {
        return Ok(None);
    };
    let behind = string(inside)?;
    let inside = &inside[..inside.len() - behind.len() - 1];
    if inside.contains(&b'\\') {
        return Err(Unclear);
    }
    Ok(Some(inside))
}

fn space(text: &[u8]) -> &[u8] {
    text.trim_ascii_start()
}

/// What follows the closing quote of a string, from behind its opening one.
fn string(mut text: &[u8]) -> Result<&[u8], Unclear> {
    loop {
        let at = memchr2(b'"', b'\\', text).ok_or(Unclear)?;
        if text[at] == b'"' {
            return Ok(&text[at + 1..]);
        }
        text = text.get(at + 2..).ok_or(Unclear)?;
    }
}

/// What follows a value.
fn behind_value(text: &[u8]) -> Result<&[u8], Unclear> {
    match text.first().ok_or(Unclear)? {
        b'"' => string(&text[1..]),
        b'{' | b'[' => behind_brackets(text),
        _ => {
            let end = text
                .iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace());
            Ok(&text[end.filter(|end| *end > 0).ok_or(Unclear)?..])
        }
    }
}

fn behind_brackets(text: &[u8]) -> Result<&[u8], Unclear> {
    let mut rest = text;
    let mut depth = 0_usize;
    loop {
        let (&byte, behind) = rest.split_first().ok_or(Unclear)?;
        rest = behind;
        match byte {
            b'"' => rest = string(rest)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Ok(rest);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::json::{self, Json};
    use proptest::prelude::*;

    #[test]
    fn members_are_found_behind_anything() {
        let text = br#" { "a" : "x\"}{", "b":[{"c":1},"]"], "n":-1.5e3, "c" : {"d": {"e":"f"}} } "#;
        let c = member(text, b"c").unwrap().unwrap();
        assert_eq!(value(c).unwrap(), br#"{"d": {"e":"f"}}"#);
        let e = member(member(c, b"d").unwrap().unwrap(), b"e").unwrap();
        assert_eq!(plain_string(e.unwrap()).unwrap(), Some(&b"f"[..]));
        assert_eq!(member(text, b"z"), Ok(None));
        assert_eq!(member(b"{}", b"z"), Ok(None));
    }

    #[test]
    fn what_is_not_plain_is_left_to_others() {
        for text in [
            &b"[]"[..],
            b"",
            b"{",
            b"{\"a\"",
            b"{\"\\u0061\":1}",
            b"{\"b\":\"x",
            b"{\"b\":1 2}",
        ] {
            assert_eq!(member(text, b"a"), Err(Unclear), "{text:?}");
        }
        assert_eq!(plain_string(b"\"\\n\""), Err(Unclear));
        assert_eq!(plain_string(b"12"), Ok(None));
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            "[ -~é\"\\\\{}\\[\\]]{0,8}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map("[a-c]{1,2}", inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// What is found is what a parser finds.
        #[test]
        fn agrees_with_a_parser(document in prop::collection::btree_map("[a-c]{1,2}", any_json(), 0..5), name in "[a-c]{1,2}") {
            let document = serde_json::Value::Object(document.into_iter().collect());
            let text = document.to_string();
            let found = member(text.as_bytes(), name.as_bytes()).unwrap();
            let cut = found.map(|found| json::parse(value(found).unwrap()).unwrap());
            let wanted = json::parse(text.as_bytes()).unwrap().get(&name).cloned();
            prop_assert_eq!(cut, wanted as Option<Json>);
        }
    }
}
