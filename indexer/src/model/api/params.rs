//! The query string. A parameter that nobody asked for refuses the request, as in the server.

use super::Request;
use crate::model::engine::{Refusal, settings};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// The parameters of one request, and which of them were looked at.
pub struct Params {
    given: Vec<(String, String)>,
    known: RefCell<BTreeSet<&'static str>>,
}

/// Decodes `%41` and, in a query, `+`.
pub fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = if first == b'%' { after.get(..2) } else { None };
        let byte =
            code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Params {
    /// Reads what follows the `?`.
    pub fn parse(query: &str) -> Params {
        let pairs = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (
                    percent_decode(&name.replace('+', " ")),
                    percent_decode(&value.replace('+', " ")),
                )
            });
        let known = ["filter_path", "pretty", "human", "error_trace"].into();
        Params {
            given: pairs.collect(),
            known: RefCell::new(known),
        }
    }

    /// The value of a parameter, without noting that it is known.
    pub fn peek(&self, name: &str) -> Option<&str> {
        self.given
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a parameter.
    pub fn get(&self, name: &'static str) -> Option<&str> {
        self.known.borrow_mut().insert(name);
        self.peek(name)
    }

    /// Notes a parameter that needs nothing from the model.
    pub fn accept(&self, name: &'static str) {
        self.known.borrow_mut().insert(name);
    }

    /// A boolean; one without value is true.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn flag(&self, name: &'static str, default: bool) -> Result<bool, Refusal> {
        match self.get(name) {
            None => Ok(default),
            Some("" | "true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(Refusal::illegal_argument(format!(
                "Failed to parse value [{other}] as only [true] or [false] are allowed."
            ))),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, Refusal> {
        self.get(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    Refusal::illegal_argument(format!(
                        "Failed to parse int parameter [{name}] with value [{text}]"
                    ))
                })
            })
            .transpose()
    }

    /// A duration in milliseconds.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn duration_ms(&self, name: &'static str) -> Result<Option<u64>, Refusal> {
        self.get(name)
            .map(|text| duration_ms(name, text))
            .transpose()
    }

    /// Refuses what no one looked at.
    ///
    /// # Errors
    /// 400 with the name of the parameter.
    pub fn all_known(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let known = self.known.borrow();
        match self
            .given
            .iter()
            .find(|(name, _)| !known.contains(name.as_str()))
        {
            Some((name, _)) => Err(Refusal::illegal_argument(format!(
                "request [{}] contains unrecognized parameter: [{name}] (or one this stand-in does not model)",
                request.path
            ))),
            None => Ok(()),
        }
    }
}

/// Milliseconds of a time value in a request.
///
/// # Errors
/// 400 when it is none.
pub fn duration_ms(name: &str, text: &str) -> Result<u64, Refusal> {
    settings::time_ms(text).and_then(|ms| u64::try_from(ms).ok()).ok_or_else(|| {
        Refusal::illegal_argument(format!(
            "failed to parse setting [{name}] with value [{text}] as a time value: unit is missing or unrecognized"
        ))
    })
}
