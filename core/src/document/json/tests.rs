use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn nested(depth: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))
}

#[test]
fn hostile_payloads_have_their_flaw() {
    let deep_array = format!("{{\"a\":{}{}}}", "[".repeat(20), "]".repeat(20));
    for (payload, flaw) in [
        (b"".as_slice(), Flaw::NotJson),
        (b"  \n", Flaw::NotJson),
        (b"[]", Flaw::NotObject),
        (b"[{}]", Flaw::NotObject),
        (b"null", Flaw::NotObject),
        (b"\"{}\"", Flaw::NotObject),
        (b"\xEF\xBB\xBF{}", Flaw::NotObject),
        (b"{}{}", Flaw::NotJson),
        (b"{}x", Flaw::NotJson),
        (b"{", Flaw::NotJson),
        (b"{\"a\":1,}", Flaw::NotJson),
        (b"{,}", Flaw::NotJson),
        (b"{\"a\" 1}", Flaw::NotJson),
        (b"{a:1}", Flaw::NotJson),
        (b"{\"a\":[1}", Flaw::NotJson),
        (b"{\"a\":{1]}", Flaw::NotJson),
        (b"{\"a\":01}", Flaw::NotJson),
        (b"{\"a\":1.}", Flaw::NotJson),
        (b"{\"a\":-}", Flaw::NotJson),
        (b"{\"a\":1e}", Flaw::NotJson),
        (b"{\"a\":tru}", Flaw::NotJson),
        (b"{\"a\":\"\n\"}", Flaw::NotJson),
        (b"{\"a\":\"\\x\"}", Flaw::NotJson),
        (b"{\"a\":\"\\u12g4\"}", Flaw::NotJson),
        (b"{\"a\":\"\xFF\"}", Flaw::NotUtf8),
        (b"{\"a\":\"\xED\xA0\x80\"}", Flaw::NotUtf8),
        (deep_array.as_bytes(), Flaw::TooDeep),
        (nested(21).as_bytes(), Flaw::TooDeep),
        (b"{\"wazuh\":1,\"wazuh\":2}", Flaw::DuplicateKey),
        (b"{\"wazuh\":1,\"\\u0077azuh\":2}", Flaw::DuplicateKey),
        (b"{\"w\\u0061zuh\":1,\"\\u0077azuh\":2}", Flaw::DuplicateKey),
        (b"{\"a\":1,\"b\":2,\"a\":3}", Flaw::DuplicateKey),
        (b"{\"a\":1,\"\\u0061\":3}", Flaw::DuplicateKey),
        ("{\"ä\":1,\"\\u00e4\":3}".as_bytes(), Flaw::DuplicateKey),
        (
            "{\"\\ud83d\\ude00\":1,\"😀\":3}".as_bytes(),
            Flaw::DuplicateKey,
        ),
        (b"{\"a\\/b\":1,\"a/b\":3}", Flaw::DuplicateKey),
        (b"{\"wazuh.agent.id\":\"002\"}", Flaw::DottedOverlay),
        (b"{\"wazuh.\":1}", Flaw::DottedOverlay),
        (b"{\"wazuh\\u002eagent\":1}", Flaw::DottedOverlay),
        (b"{\"\\u0077azuh.agent\":1}", Flaw::DottedOverlay),
    ] {
        let text = String::from_utf8_lossy(payload).into_owned();
        assert_eq!(check(payload), Err(flaw), "{text}");
    }
}

#[test]
fn sound_payloads_show_their_shape() {
    let plain = Shape {
        has_line_break: false,
        has_overlay: false,
    };
    let breaks = Shape {
        has_line_break: true,
        ..plain
    };
    let overlay = Shape {
        has_overlay: true,
        ..plain
    };
    for (payload, shape) in [
        ("{}", plain),
        (" \t{ } ", plain),
        ("\n{}", breaks),
        ("{}\r", breaks),
        ("{\"a\"\n:1}", breaks),
        ("{\"a\":[1,\r\n2]}", breaks),
        ("{\"a\":\"\\n\"}", plain),
        ("{\"a\":\"\u{2028}\u{85}\"}", plain),
        ("{\"wazuh\":{}}", overlay),
        ("{\"w\\u0061zuh\":{}}", overlay),
        ("{\"wazuhs\":1,\"wazu\":2,\" wazuh\":3,\"WAZUH\":4}", plain),
        ("{\"a\":{\"wazuh\":1,\"wazuh.x\":2}}", plain),
        ("{\"a\":{\"b\":1,\"b\":2}}", plain),
        ("{\"\\ud800\":1,\"\\udfff\":2,\"\\ud801\":3}", plain),
        ("{\"a\":-0.5e+7,\"b\":1E5,\"c\":0,\"d\":1e999}", plain),
        (&nested(20), plain),
    ] {
        assert_eq!(check(payload.as_bytes()), Ok(shape), "{payload}");
    }
}

#[test]
fn many_keys_are_compared_too() {
    let keys: Vec<String> = (0..500).map(|n| format!("\"k{n}\":{n}")).collect();
    assert!(check(format!("{{{}}}", keys.join(",")).as_bytes()).is_ok());
    for twin in ["k3", "k31", "k32", "k499", "\\u006b77"] {
        let payload = format!("{{{},\"{twin}\":0}}", keys.join(","));
        assert_eq!(check(payload.as_bytes()), Err(Flaw::DuplicateKey), "{twin}");
    }
}

#[test]
fn the_checksum_is_found_where_it_belongs() {
    let sum = "0123456789abcdef0123456789abcdef01234567";
    let found = decode_sha1(sum.as_bytes());
    assert_eq!(
        found.map(|bytes| bytes[..3].to_vec()),
        Some(vec![0x01, 0x23, 0x45])
    );
    for payload in [
        format!("{{\"checksum\":{{\"hash\":{{\"sha1\":\"{sum}\"}}}}}}"),
        format!(
            " {{ \"a\" : [ {{ }} ] ,\n\"checksum\" : {{ \"x\":1, \"hash\" : {{ \"md5\":\"\", \"sha1\" : \"{sum}\" }} }} , \"z\":1 }} "
        ),
    ] {
        assert_eq!(sha1(payload.as_bytes()), found, "{payload}");
    }
    for payload in [
        "{}".to_owned(),
        "{\"checksum\":{\"hash\":{}}}".to_owned(),
        "{\"checksum\":{\"hash\":{\"sha1\":\"\"}}}".to_owned(),
        "{\"checksum\":{\"hash\":\"sha1\"}}".to_owned(),
        "{\"checksum\":{\"hash\":{\"sha1\":null}}}".to_owned(),
        format!("{{\"hash\":{{\"sha1\":\"{sum}\"}}}}"),
        format!("{{\"checksum.hash.sha1\":\"{sum}\"}}"),
        format!(
            "{{\"checksum\":{{\"hash\":{{\"sha1\":\"{}\"}}}}}}",
            sum.to_uppercase()
        ),
        format!("{{\"checksum\":{{\"hash\":{{\"sha1\":\"{sum}0\"}}}}}}"),
    ] {
        assert_eq!(sha1(payload.as_bytes()), None, "{payload}");
    }
}

/// Text near JSON: fragments in any order, so that sound and unsound ones are both frequent.
fn near_json() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"b\"",
        "\"a\":",
        "\"\\u0061\":",
        "\"wazuh\":",
        "1",
        "-0",
        "1.5",
        "1e3",
        "true",
        "false",
        "null",
        " ",
        "\n",
        "\r",
        "\t",
        "\\",
        "\\n",
        "\\u00e4",
        "\"\\\"\"",
        "{}",
        "[]",
        "\"wazuh.x\":1",
        "ä",
        "\"long enough to cross a word\"",
        "\u{1}",
    ]);
    prop::collection::vec(fragment, 0..24).prop_map(|parts| parts.concat())
}

/// An object that `serde_json` printed, with members cut in at places of our choice.
pub(crate) fn value(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~\u{e4}\u{1F600}\n\t\"\\\\]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z\u{e4}\"\\\\.]{0,12}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same text with space between its tokens.
pub(crate) fn spread(text: &str, space: &str) -> String {
    let mut out = String::new();
    let (mut inside, mut escaped) = (false, false);
    for letter in text.chars() {
        let structural = !inside && matches!(letter, '{' | '}' | '[' | ']' | ',' | ':');
        if structural {
            out.push_str(space);
        }
        out.push(letter);
        if structural {
            out.push_str(space);
        }
        if inside && !escaped && letter == '\\' {
            escaped = true;
            continue;
        }
        if letter == '"' && !escaped {
            inside = !inside;
        }
        escaped = false;
    }
    out
}

fn serde_accepts(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn it_accepts_what_serde_json_accepts(text in near_json()) {
        for text in [text.clone(), format!("{{{text}}}"), format!("{{\"k\":{text}}}"), format!("{{\"k\":[{text}]}}")] {
            let accepted = serde_accepts(&text);
            match check(text.as_bytes()) {
                Ok(_) => prop_assert!(accepted, "{text}"),
                Err(Flaw::NotJson) => prop_assert!(!accepted, "{text}"),
                Err(Flaw::NotObject) => prop_assert!(!text.trim_ascii().starts_with('{'), "{text}"),
                Err(Flaw::DuplicateKey | Flaw::DottedOverlay | Flaw::TooDeep) => {}
                Err(flaw) => prop_assert!(false, "{flaw:?} {text}"),
            }
        }
    }

    #[test]
    fn it_accepts_what_serde_json_prints(value in value(4), space in "[ \t\r\n]{0,3}") {
        let text = spread(&serde_json::json!({"k": value}).to_string(), &space);
        let shape = check(text.as_bytes());
        prop_assert_eq!(
            shape,
            Ok(Shape { has_line_break: space.contains(['\n', '\r']), has_overlay: false }),
            "{}", text
        );
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let accepted = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
        if check(&bytes).is_ok() {
            prop_assert!(accepted);
        }
        let _ = (inside(&bytes), inside_without_overlay(&bytes), sha1(&bytes));
    }
}
