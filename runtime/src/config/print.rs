//! `--print-config`: the effective value of every setting and where it came from.

use std::fmt::Write as _;

use super::error::Origin;
use super::host::redacted_url;
use super::layers::{Settings, Value};
use super::settings::{self, Kind, PASSWORD_VARIABLE, SETTINGS};

impl Settings {
    /// The effective configuration as a file that would give it, each line with its source.
    /// The password is never part of it.
    #[must_use]
    pub fn print(&self) -> String {
        let mut out = String::new();
        let mut section = "";
        for setting in SETTINGS {
            let (of, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
            if of != section {
                self.print_further(section, &mut out);
                if !out.is_empty() {
                    out.push('\n');
                }
                let _ = writeln!(out, "[{of}]");
                section = of;
            }
            let (value, origin) = self.get(setting.key);
            match value {
                // Refused as a host, but it may hold a password all the same.
                Value::List(urls) if setting.key == "indexer.hosts" => {
                    let urls = urls.iter().map(|url| redacted_url(url)).collect();
                    line(&mut out, name, &Value::List(urls), origin);
                }
                _ => line(&mut out, name, value, origin),
            }
            if setting.key == "indexer.password_file" {
                let state = if self.password.is_some() {
                    format!("password = \"…\"  # environment {PASSWORD_VARIABLE}, not shown")
                } else {
                    "password is taken from that file, if there is one".to_owned()
                };
                let _ = writeln!(out, "# {state}");
            }
        }
        self.print_further(section, &mut out);
        out
    }

    /// Modules that only a file knows.
    fn print_further(&self, section: &str, out: &mut String) {
        for (key, value, origin) in self.all() {
            if let Some((of, name)) = key.split_once('.')
                && of == section
                && settings::setting(key).is_none()
            {
                line(out, name, value, origin);
            }
        }
    }
}

fn line(out: &mut String, name: &str, value: &Value, origin: &Origin) {
    let _ = match value {
        // A long list is one name a line.
        Value::List(list) if list.len() > 1 => {
            let _ = writeln!(out, "{name} = [  # {origin}");
            for item in list {
                let _ = writeln!(out, "  {},", quoted(item));
            }
            writeln!(out, "]")
        }
        Value::List(list) => {
            let list: String = list.iter().map(|item| quoted(item)).collect();
            writeln!(out, "{name} = [{list}]  # {origin}")
        }
        Value::Text(text) => writeln!(out, "{name} = {}  # {origin}", quoted(text)),
        Value::Integer(number) => writeln!(out, "{name} = {number}  # {origin}"),
        Value::Flag(flag) => writeln!(out, "{name} = {flag}  # {origin}"),
    };
}

/// A text as TOML writes it, whose escapes are not Rust's.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for each in text.chars() {
        match each {
            '"' | '\\' => out.extend(['\\', each]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04X}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// The table of settings as Markdown, for `docs/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from("| setting | default | range | meaning |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        let default = match setting.default {
            settings::Default::Text("") => "–".to_owned(),
            settings::Default::Text(text) => format!("`{text}`"),
            settings::Default::Integer(number) => number.to_string(),
            settings::Default::Flag(flag) => flag.to_string(),
            settings::Default::EmptyList => "none".to_owned(),
            settings::Default::ModuleIndices => "the module's family".to_owned(),
        };
        let range = match setting.kind {
            Kind::Integer { min, max } => format!("{min} to {max}"),
            Kind::Choice(of) => of.join(", "),
            Kind::Flag => "true, false".to_owned(),
            Kind::Text | Kind::Path | Kind::Listen | Kind::List => String::new(),
        };
        let _ = writeln!(
            out,
            "| `{}` | {default} | {range} | {} |",
            setting.key, setting.meaning
        );
    }
    out
}
