//! Whether one scalar fits a leaf field, and addresses as the `ip` type reads them.

use super::{FieldType, Leaf, dates};
use crate::model::engine::refusal::{Cause, kind};
use crate::model::fields::decimal;
use crate::model::json::Json;
use std::net::{IpAddr, Ipv6Addr};

/// Longest keyword term in bytes of UTF-8; a longer one refuses the document, unless `ignore_above` drops it first.
pub const TERM_BYTES_MAX: usize = 32_766;

/// Why a value does not fit.
pub enum Misfit {
    /// The value cannot be read as the field's type.
    Value(Cause),
    /// The keyword is longer than [`TERM_BYTES_MAX`].
    ImmenseTerm,
}

fn illegal(reason: String) -> Misfit {
    Misfit::Value(Cause::new(kind::ILLEGAL_ARGUMENT, reason))
}

/// Checks one scalar or object against a leaf.
pub fn check(leaf: &Leaf, value: &Json) -> Result<(), Misfit> {
    let Some(text) = value.scalar_text() else {
        return Err(match leaf.kind {
            FieldType::Keyword | FieldType::Text | FieldType::Ip => Misfit::Value(Cause::new(
                "illegal_state_exception",
                "Can't get text on a START_OBJECT",
            )),
            _ => illegal(format!("Cannot parse object as {}", leaf.kind.name())),
        });
    };
    match leaf.kind {
        FieldType::Keyword => {
            let dropped = leaf
                .ignore_above
                .is_some_and(|bound| text.chars().count() > bound);
            if !dropped && text.len() > TERM_BYTES_MAX {
                Err(Misfit::ImmenseTerm)
            } else {
                Ok(())
            }
        }
        FieldType::Text => Ok(()),
        FieldType::Whole { name, min, max } => whole(value, &text, name, min, max),
        FieldType::Decimal { .. } => match value {
            Json::Bool(_) => Err(boolean_as_number()),
            _ if text.is_empty() || decimal(&text).is_some() => Ok(()),
            _ => Err(illegal(format!("For input string: \"{text}\""))),
        },
        FieldType::Boolean => match (value, text.as_str()) {
            (Json::Bool(_), _) | (Json::String(_), "" | "true" | "false") => Ok(()),
            _ => Err(illegal(format!(
                "Failed to parse value [{text}] as only [true] or [false] are allowed."
            ))),
        },
        FieldType::Date => match value {
            Json::Bool(_) => Err(date_failure(&text)),
            _ if dates::parse(&text).is_some() => Ok(()),
            _ => Err(date_failure(&text)),
        },
        FieldType::Ip => match value {
            Json::String(_) if address(&text).is_some() => Ok(()),
            _ => Err(illegal(format!("'{text}' is not an IP string literal."))),
        },
    }
}

fn boolean_as_number() -> Misfit {
    Misfit::Value(Cause::new(
        "input_coercion_exception",
        "Current token (VALUE_TRUE) not numeric",
    ))
}

fn date_failure(text: &str) -> Misfit {
    let reason = format!(
        "failed to parse date field [{text}] with format [strict_date_optional_time||epoch_millis]"
    );
    let behind = Cause::new(
        "date_time_parse_exception",
        "Failed to parse with all enclosed parsers",
    );
    Misfit::Value(Cause::new(kind::ILLEGAL_ARGUMENT, reason).because(behind))
}

fn whole(value: &Json, text: &str, name: &str, min: i128, max: i128) -> Result<(), Misfit> {
    if matches!(value, Json::Bool(_)) {
        return Err(boolean_as_number());
    }
    if text.is_empty() && matches!(value, Json::String(_)) {
        return Ok(());
    }
    // Fractions are cut off, as the server coerces; the text itself is stored unchanged.
    let number = text
        .parse::<i128>()
        .ok()
        .or_else(|| decimal(text).map(|units| units / 1_000_000_000));
    match number {
        Some(number) if (min..=max).contains(&number) => Ok(()),
        Some(_) if matches!(value, Json::Number(_)) => {
            let short = if name == "integer" { "int" } else { name };
            Err(Misfit::Value(Cause::new(
                "input_coercion_exception",
                format!("Numeric value ({text}) out of range of {short} ({min} - {max})"),
            )))
        }
        Some(_) => Err(illegal(format!(
            "Value [{text}] is out of range for a {name}"
        ))),
        None => Err(illegal(format!("For input string: \"{text}\""))),
    }
}

/// The beginning of a value, as refusals show it.
pub fn preview(value: &Json) -> String {
    match value {
        Json::Object(members) => {
            let shown: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{name}={}", preview(value)))
                .collect();
            format!("{{{}}}", shown.join(", "))
        }
        Json::Array(elements) => format!(
            "[{}]",
            elements.iter().map(preview).collect::<Vec<_>>().join(", ")
        ),
        other => other.scalar_text().unwrap_or_else(|| "null".to_owned()),
    }
}

/// An address in the form in which addresses are compared: IPv4 mapped into IPv6.
pub fn address(text: &str) -> Option<u128> {
    match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => Some(u128::from(address.to_ipv6_mapped())),
        IpAddr::V6(address) => Some(u128::from(address)),
    }
}

/// The first and last address of `address/prefix`.
pub fn network(text: &str) -> Option<(u128, u128)> {
    let (base, prefix) = text.split_once('/')?;
    let ipv4 = base.parse::<Ipv6Addr>().is_err();
    let prefix: u32 = prefix.parse().ok()?;
    let prefix = if ipv4 {
        prefix.checked_add(96)?
    } else {
        prefix
    };
    let free = 128_u32.checked_sub(prefix)?;
    let mask = u128::MAX.checked_shr(prefix).unwrap_or(0);
    debug_assert_eq!(mask.count_ones(), free);
    let first = address(base)? & !mask;
    Some((first, first | mask))
}
