use super::*;
use crate::model::json::parse;

fn mapping() -> Mapping {
    Mapping::parse(
        &parse(
            br#"{"dynamic":"strict","properties":{"name":{"type":"keyword"},"size":{"type":"long"},
                "port":{"type":"integer"},"when":{"type":"date"},"ip":{"type":"ip"},"on":{"type":"boolean"},
                "big":{"type":"unsigned_long"},"share":{"type":"scaled_float","scaling_factor":100},
                "short":{"type":"keyword","ignore_above":8},"wazuh":{"properties":{"agent":{"properties":{
                "id":{"type":"keyword"}}}}}}}"#,
        )
        .unwrap(),
    )
    .unwrap()
}

fn verdict(source: &str) -> Option<&'static str> {
    mapping()
        .check("1", &parse(source.as_bytes()).unwrap())
        .err()
        .map(|refusal| refusal.kind)
}

#[test]
fn what_fits_a_strict_mapping() {
    for source in [
        r#"{}"#,
        r#"{"size":"12","port":null,"name":["a",1,true,null]}"#,
        r#"{"size":1.9,"on":"","when":1769990400123,"ip":"fe80::1"}"#,
        r#"{"short":"much longer than eight"}"#,
        r#"{"wazuh":[{"agent":{"id":"1"}},null],"wazuh.agent.id":"2"}"#,
        r#"{"big":18446744073709551615,"share":"0.5"}"#,
    ] {
        assert_eq!(verdict(source), None, "{source}");
    }
}

#[test]
fn what_does_not() {
    for source in [
        r#"{"size":"x"}"#,
        r#"{"size":true}"#,
        r#"{"size":9223372036854775808}"#,
        r#"{"port":4294967296}"#,
        r#"{"when":"yesterday"}"#,
        r#"{"ip":"999.1.1.1"}"#,
        r#"{"ip":1}"#,
        r#"{"on":"maybe"}"#,
        r#"{"name":{"a":1}}"#,
        r#"{"wazuh":"x"}"#,
        r#"{"wazuh":{"agent":[1]}}"#,
        r#"{"big":-1}"#,
        r#"{"share":"half"}"#,
        r#"{"a..b":1}"#,
    ] {
        assert_eq!(verdict(source), Some(kind::MAPPER_PARSING), "{source}");
    }
    for source in [
        r#"{"zzz":1}"#,
        r#"{"zzz":null}"#,
        r#"{"wazuh":{"agent":{"x":1}}}"#,
        r#"{"wazuh.x":1}"#,
    ] {
        assert_eq!(verdict(source), Some(kind::STRICT_MAPPING), "{source}");
    }
    let immense = format!(r#"{{"name":"{}"}}"#, "x".repeat(values::TERM_BYTES_MAX + 1));
    assert_eq!(verdict(&immense), Some(kind::ILLEGAL_ARGUMENT));
}

#[test]
fn a_guessed_mapping_learns_and_then_refuses() {
    let mut mapping = Mapping::guessed();
    let first = parse(br#"{"a":{"b":"text"},"n":1,"d":"2026-01-01","f":1.5,"x.y":true}"#).unwrap();
    let guesses = mapping.check("1", &first).unwrap();
    mapping.learn(guesses);
    let kind_of = |path: &str| {
        mapping
            .leaf(path)
            .map(|(leaf, holder)| (leaf.kind.name(), holder.to_owned()))
    };
    assert_eq!(kind_of("a.b"), Some(("text", "a.b".to_owned())));
    assert_eq!(kind_of("a.b.keyword"), Some(("keyword", "a.b".to_owned())));
    assert_eq!(kind_of("n"), Some(("long", "n".to_owned())));
    assert_eq!(kind_of("d"), Some(("date", "d".to_owned())));
    assert_eq!(kind_of("x.y"), Some(("boolean", "x.y".to_owned())));
    let second = mapping
        .check("2", &parse(br#"{"n":"word"}"#).unwrap())
        .unwrap_err();
    assert_eq!(second.kind, kind::MAPPER_PARSING);
    assert_eq!(Mapping::parse(&mapping.json()).unwrap(), mapping);
}

#[test]
fn merging_adds_fields_and_keeps_types() {
    let mut mapping = mapping();
    mapping
        .merge(Mapping::parse(&parse(br#"{"properties":{"new":{"type":"ip"}}}"#).unwrap()).unwrap())
        .unwrap();
    assert!(mapping.leaf("new").is_some());
    let changed =
        Mapping::parse(&parse(br#"{"properties":{"new":{"type":"long"}}}"#).unwrap()).unwrap();
    assert_eq!(
        mapping.merge(changed).unwrap_err().kind,
        kind::ILLEGAL_ARGUMENT
    );
}

#[test]
fn addresses_and_networks() {
    let (first, last) = network("10.0.0.0/8").unwrap();
    assert!((first..=last).contains(&address("10.255.0.1").unwrap()));
    assert!(!(first..=last).contains(&address("11.0.0.0").unwrap()));
    assert_eq!(
        network("fe80::/10").map(|(first, _)| first),
        address("fe80::")
    );
    assert_eq!(network("10.0.0.0/33"), None);
    assert_eq!(network("::/0").unwrap(), (0, u128::MAX));
}
