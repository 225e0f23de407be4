//! JSON that is odd and sound, and text that is no document: where readers of JSON differ
//! (`docs/protocol.md` section 7).

use crate::streams::mix;

/// Members that agents' documents have now and then: all of them are stored as they stand.
pub(crate) const ODD_MEMBERS: &[&str] = &[
    r#""odd":-0"#,
    r#""odd":0.5"#,
    r#""odd":-12.25e-3"#,
    r#""odd":1E+2"#,
    r#""odd":123456789012345678901234567890"#,
    r#""odd":true"#,
    r#""odd":[false,null,[],{}]"#,
    r#""odd":"\u0041\ud83e\udded\\\/\b\f\n\r\t\"""#,
    r#""odd":{"a":{"b":[{"c":null}]},"":"","a ":1}"#,
    r#""odd":{"wazuh":1,"wazuh.agent":[2]}"#,
    r#""odd":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]"#,
    r#""":0"#,
    r#""o\u0064d":[1 , 2 , { "x" : 3 } ]"#,
    r#""wazu":{},"wazuhh":{},"Wazuh":{}"#,
    r#""odd":"\ud83e""#,
    r#""odd":"\uddedA\ud83e\u0041""#,
];

/// What is no document, or one that may not be stored: none of it ever leaves the manager.
pub(crate) const NO_DOCUMENTS: &[&[u8]] = &[
    b"",
    b" ",
    b"\xff\xfe",
    b"{\"a\":\"\xc3\"}",
    b"null",
    b"[1]",
    b"\"a\"",
    b"1",
    b"{",
    b"{}}",
    b"{\"a\"}",
    b"{\"a\":}",
    b"{\"a\" 1}",
    b"{\"a\":1,}",
    b"{,\"a\":1}",
    b"{\"a\":1 \"b\":2}",
    b"{\"a\":[1,]}",
    b"{\"a\":[,1]}",
    b"{\"a\":[1 2]}",
    b"{\"a\":[1}",
    b"{\"a\":{]}",
    b"{a:1}",
    b"{'a':1}",
    b"{\"a\":01}",
    b"{\"a\":1.}",
    b"{\"a\":.5}",
    b"{\"a\":-}",
    b"{\"a\":+1}",
    b"{\"a\":1e}",
    b"{\"a\":1e+}",
    b"{\"a\":0x1}",
    b"{\"a\":NaN}",
    b"{\"a\":tru}",
    b"{\"a\":truE}",
    b"{\"a\":nul}",
    b"{\"a\":fals }",
    b"{\"a\":\"\\x\"}",
    b"{\"a\":\"\\u12\"}",
    b"{\"a\":\"\\u12g4\"}",
    b"{\"a\":\"\n\"}",
    b"{\"a\":\"\x01\"}",
    b"{\"a\":\"b}",
    b"{\"a\":1}x",
    b"{\"a\":1}{}",
    b"{\"a\":1,\"a\":2}",
    b"{\"a\":1,\"b\":2,\"\\u0061\":3}",
    b"{\"\xc3\xa9\":1,\"\\u00e9\":2}",
    b"{\"\xf0\x9f\xa7\xad\":1,\"\\ud83e\\udded\":2}",
    b"{\"wazuh\":1,\"wazuh\":2}",
    b"{\"wazuh\":1,\"\\u0077azuh\":2}",
    b"{\"wazuh.agent.id\":\"1\"}",
    b"{\"\\u0077azuh.x\":1}",
    b"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
    b"{\"k0\":0,\"k1\":0,\"k2\":0,\"k3\":0,\"k4\":0,\"k5\":0,\"k6\":0,\"k7\":0,\"k8\":0,\"k9\":0,\"l0\":0,\"l1\":0,\
      \"l2\":0,\"l3\":0,\"l4\":0,\"l5\":0,\"l6\":0,\"l7\":0,\"l8\":0,\"l9\":0,\"m0\":0,\"m1\":0,\"m2\":0,\"m3\":0,\
      \"m4\":0,\"m5\":0,\"m6\":0,\"m7\":0,\"m8\":0,\"m9\":0,\"n0\":0,\"n1\":0,\"n2\":0,\"n3\":0,\"n4\":0,\"n4\":1}",
];

/// One of them.
pub(crate) fn no_document(number: u64) -> &'static [u8] {
    let place = mix(number) % NO_DOCUMENTS.len() as u64;
    usize::try_from(place)
        .ok()
        .and_then(|place| NO_DOCUMENTS.get(place))
        .map_or(b"", |text| text)
}

/// Keys at the top of a document, so many that they are looked through in another way.
pub(crate) const MANY_KEYS: u64 = 40;

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn the_odd_is_sound() {
        for member in ODD_MEMBERS {
            let document = format!("{{{member}}}");
            let read = serde_json::from_str::<Map<String, Value>>(&document);
            // Half of a pair: the grammar allows it, that reader does not.
            let is_half = document.contains(r#":"\ud83e"#) || document.contains(r#":"\udded"#);
            assert_eq!(read.is_err(), is_half, "{document}");
        }
    }

    #[test]
    fn what_is_no_document_is_refused_by_another_reader_too_or_says_why_not() {
        let sound: Vec<_> = NO_DOCUMENTS
            .iter()
            .filter(|text| serde_json::from_slice::<Map<String, Value>>(text).is_ok())
            .collect();
        // That one takes names that stand twice, and does not know the manager's; it nests deeper.
        for text in &sound {
            let text = String::from_utf8_lossy(text);
            let is_known = text.contains("wazuh")
                || text.contains("[[[[[")
                || text.contains("\"a\":2")
                || text.contains("u0061")
                || text.contains("u00e9")
                || text.contains("udded")
                || text.contains("u0077")
                || text.contains("\"n4\":1");
            assert!(is_known, "{text}");
        }
    }
}
