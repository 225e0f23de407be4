//! The searchable view of a source: every scalar under its full dotted path.

use super::json::Json;

/// The scalars of one source, by path; arrays contribute each element, `null` nothing.
///
/// Dotted and nested names meet here: `{"a.b":1,"a":{"b":2}}` has two values under `a.b`, as in the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fields(Vec<(String, Json)>);

impl Fields {
    /// Flattens a source.
    pub fn of(source: &Json) -> Fields {
        let mut fields = Vec::new();
        collect("", source, &mut fields);
        fields.sort_by(|left, right| left.0.cmp(&right.0));
        Fields(fields)
    }

    /// The values under exactly this path, in the order of the source.
    pub fn values<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Json> {
        let start = self.0.partition_point(|(known, _)| known.as_str() < path);
        self.0[start..]
            .iter()
            .take_while(move |(known, _)| known == path)
            .map(|(_, value)| value)
    }

    /// Whether a value stands at this path or below it.
    pub fn has_at_or_below(&self, path: &str) -> bool {
        self.0.iter().any(|(known, _)| {
            known
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

fn collect(path: &str, value: &Json, fields: &mut Vec<(String, Json)>) {
    match value {
        Json::Object(members) => {
            for (name, member) in members {
                let below = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                collect(&below, member, fields);
            }
        }
        Json::Array(elements) => {
            for element in elements {
                collect(path, element, fields);
            }
        }
        Json::Null | Json::Raw(_) => {}
        Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            fields.push((path.to_owned(), value.clone()))
        }
    }
}

/// A decimal number in units of 10⁻⁹, so that numbers are compared without floating point.
///
/// Digits beyond the ninth after the point are dropped; what exceeds the range is held at its end, which keeps the
/// order of everything a mapping accepts.
pub fn decimal(text: &str) -> Option<i128> {
    const PLACES: i32 = 9;
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty()
        || !(whole.bytes().chain(fraction.bytes())).all(|c| c.is_ascii_digit())
    {
        return None;
    }
    let mut shift = PLACES
        .saturating_add(exponent)
        .saturating_sub(i32::try_from(fraction.len()).ok()?);
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        value = value
            .saturating_mul(10)
            .saturating_add(i128::from(digit - b'0'));
    }
    while shift > 0 && value != 0 && value != i128::MAX {
        value = value.saturating_mul(10);
        shift -= 1;
    }
    while shift < 0 && value != 0 {
        value /= 10;
        shift += 1;
    }
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::json::parse;

    #[test]
    fn dotted_and_nested_names_meet() {
        let fields = Fields::of(&parse(br#"{"a.b":"2","a":{"b":["1",null,"3"]},"c":{}}"#).unwrap());
        let values: Vec<_> = fields.values("a.b").filter_map(Json::as_str).collect();
        assert_eq!(values, ["2", "1", "3"]);
        assert!(
            fields.has_at_or_below("a")
                && !fields.has_at_or_below("c")
                && !fields.has_at_or_below("a.bc")
        );
    }

    #[test]
    fn decimals_keep_the_order_of_numbers() {
        let texts = [
            "-1e30",
            "-2",
            "-1.5",
            "-0.000000001",
            "0",
            "1e-3",
            "0.25",
            "1",
            "1.50",
            "20e0",
            "9223372036854775807",
        ];
        let values: Vec<_> = texts.iter().map(|text| decimal(text).unwrap()).collect();
        assert!(values.is_sorted(), "{values:?}");
        assert_eq!(decimal("1.50"), decimal("15e-1"));
        assert_eq!(decimal("x"), None);
        assert_eq!(decimal("."), None);
    }
}
