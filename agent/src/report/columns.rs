//! What a table shows of a category's documents, and in which order.

use std::cmp::Ordering;

use serde_json::Value as Json;

use crate::provider::Category;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Number,
    Bytes,
    /// A time without its milliseconds.
    Time,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) heading: &'static str,
    /// Pointers into the document; where there are several, their texts are joined by spaces.
    pointers: &'static [&'static str],
    form: Form,
}

/// By what the rows are sorted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    /// The order in words, for the title.
    pub(super) words: &'static str,
    /// Pointers to numbers, whose sum counts; among equals, and without any number, the texts count.
    pointers: &'static [&'static str],
    descending: bool,
}

/// How a category is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) columns: &'static [Column],
    pub(super) order: Order,
}

const fn column(heading: &'static str, pointers: &'static [&'static str]) -> Column {
    Column {
        heading,
        pointers,
        form: Form::Text,
    }
}

impl Column {
    const fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self.form, Form::Number | Form::Bytes)
    }

    /// The value of a document's column; a dash where nothing is known.
    pub(super) fn text(&self, document: &Json) -> String {
        let texts: Vec<String> = self
            .pointers
            .iter()
            .filter_map(|pointer| text(document.pointer(pointer)?, self.form))
            .collect();
        if texts.is_empty() {
            "–".to_owned()
        } else {
            texts.join(" ")
        }
    }
}

fn text(value: &Json, form: Form) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) if form == Form::Time => {
            let (seconds, _) = text.split_once('.').unwrap_or((text, ""));
            Some(seconds.replace('T', " "))
        }
        Json::String(text) => Some(text.clone()),
        Json::Number(number) if form == Form::Bytes => number.as_u64().map(bytes),
        Json::Array(items) => {
            let texts: Vec<String> = items.iter().filter_map(|item| text(item, form)).collect();
            Some(texts.join(" "))
        }
        other => Some(other.to_string()),
    }
}

/// A size in the largest unit that keeps it at 1 or above, with one decimal.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let Some(largest) = (0..UNITS.len()).rev().find(|n| bytes >> (10 * (n + 1)) > 0) else {
        return format!("{bytes} B");
    };
    let shift = 10 * (largest + 1);
    let tenths = (u128::from(bytes) * 10) >> shift;
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[largest])
}

impl Order {
    pub(super) fn sort(&self, documents: &mut [Json]) {
        documents.sort_by(|a, b| {
            let order = self.compare(a, b);
            if self.descending {
                order.reverse()
            } else {
                order
            }
        });
    }

    fn compare(&self, a: &Json, b: &Json) -> Ordering {
        let sum = |document: &Json| {
            self.pointers
                .iter()
                .filter_map(|pointer| number(document.pointer(pointer)?))
                .fold(None, |sum: Option<i64>, n| {
                    Some(sum.unwrap_or(0).saturating_add(n))
                })
        };
        let texts = |document: &Json| -> Vec<Option<String>> {
            let text_at = |pointer| text(document.pointer(pointer)?, Form::Text);
            self.pointers.iter().copied().map(text_at).collect()
        };
        sum(a).cmp(&sum(b)).then_with(|| texts(a).cmp(&texts(b)))
    }
}

/// A number, also one that is sent as text (a uid).
fn number(value: &Json) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

const fn by(words: &'static str, pointers: &'static [&'static str]) -> Order {
    Order {
        words,
        pointers,
        descending: false,
    }
}

const fn largest(words: &'static str, pointers: &'static [&'static str]) -> Order {
    Order {
        words,
        pointers,
        descending: true,
    }
}

impl View {
    pub(super) const fn of(category: Category) -> Self {
        match category {
            Category::System => SYSTEM,
            Category::Hardware => HARDWARE,
            Category::Packages => PACKAGES,
            Category::Processes => PROCESSES,
            Category::Ports => PORTS,
            Category::Interfaces => INTERFACES,
            Category::Protocols => PROTOCOLS,
            Category::Networks => NETWORKS,
            Category::Users => USERS,
            Category::Groups => GROUPS,
        }
    }
}

const SYSTEM: View = View {
    columns: &[
        column("host", &["/host/hostname"]),
        column("system", &["/host/os/name", "/host/os/version"]),
        column(
            "kernel",
            &["/host/os/kernel/name", "/host/os/kernel/release"],
        ),
        column("architecture", &["/host/architecture"]),
    ],
    order: by("by name", &["/host/os/name"]),
};

const HARDWARE: View = View {
    columns: &[
        column("processor", &["/host/cpu/name"]),
        column("cores", &["/host/cpu/cores"]).form(Form::Number),
        column("MHz", &["/host/cpu/speed"]).form(Form::Number),
        column("memory", &["/host/memory/total"]).form(Form::Bytes),
        column("free", &["/host/memory/free"]).form(Form::Bytes),
        column("serial number", &["/host/serial_number"]),
    ],
    order: by("by serial number", &["/host/serial_number"]),
};

const PACKAGES: View = View {
    columns: &[
        column("name", &["/package/name"]),
        column("version", &["/package/version"]),
        column("size", &["/package/size"]).form(Form::Bytes),
        column("type", &["/package/type"]),
        column("description", &["/package/description"]),
    ],
    order: largest("largest first", &["/package/size"]),
};

const PROCESSES: View = View {
    columns: &[
        column("pid", &["/process/pid"]).form(Form::Number),
        column("name", &["/process/name"]),
        column("state", &["/process/state"]),
        column("started", &["/process/start"]).form(Form::Time),
        column("command", &["/process/command_line", "/process/args"]),
    ],
    order: largest(
        "most processor time first",
        &["/process/utime", "/process/stime"],
    ),
};

const PORTS: View = View {
    columns: &[
        column("protocol", &["/network/transport"]),
        column("address", &["/source/ip"]),
        column("port", &["/source/port"]).form(Form::Number),
        column("state", &["/interface/state"]),
        column("process", &["/process/name"]),
        column("pid", &["/process/pid"]).form(Form::Number),
    ],
    order: by("by port", &["/source/port"]),
};

const INTERFACES: View = View {
    columns: &[
        column("name", &["/interface/name"]),
        column("type", &["/interface/type"]),
        column("state", &["/interface/state"]),
        column("MAC", &["/host/mac"]),
        column("MTU", &["/interface/mtu"]).form(Form::Number),
        column("received", &["/host/network/ingress/bytes"]).form(Form::Bytes),
        column("sent", &["/host/network/egress/bytes"]).form(Form::Bytes),
    ],
    order: by("by name", &["/interface/name"]),
};

const PROTOCOLS: View = View {
    columns: &[
        column("interface", &["/interface/name"]),
        column("protocol", &["/network/type"]),
        column("gateway", &["/network/gateway"]),
        column("metric", &["/network/metric"]).form(Form::Number),
    ],
    order: by("by interface", &["/interface/name", "/network/type"]),
};

const NETWORKS: View = View {
    columns: &[
        column("interface", &["/interface/name"]),
        column("address", &["/network/ip"]),
        column("netmask", &["/network/netmask"]),
        column("broadcast", &["/network/broadcast"]),
    ],
    order: by("by interface", &["/interface/name", "/network/ip"]),
};

const USERS: View = View {
    columns: &[
        column("name", &["/user/name"]),
        column("uid", &["/user/id"]).form(Form::Number),
        column("shell", &["/user/shell"]),
        column("password", &["/user/password/status"]),
        column("groups", &["/user/groups"]),
    ],
    order: by("by uid", &["/user/id"]),
};

const GROUPS: View = View {
    columns: &[
        column("name", &["/group/name"]),
        column("gid", &["/group/id"]).form(Form::Number),
        column("users", &["/group/users"]),
    ],
    order: by("by gid", &["/group/id"]),
};

#[cfg(test)]
mod tests {
    use super::*;
    use inventory_sync_schemas::fields;
    use serde_json::json;

    #[test]
    fn sizes() {
        for (size, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (60416, "59.0 KiB"),
            (1_024_000, "1000.0 KiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn orders() {
        let mut documents = [json!({"user": {"id": "10"}}), json!({"user": {"id": "9"}})];
        USERS.order.sort(&mut documents);
        assert_eq!(documents[0]["user"]["id"], "9");
        let process = |utime, stime| json!({"process": {"utime": utime, "stime": stime}});
        let mut documents = [process(1, 1), process(0, 5), json!({})];
        PROCESSES.order.sort(&mut documents);
        assert_eq!(documents[0], process(0, 5));
        assert_eq!(documents[2], json!({}));
    }

    #[test]
    fn texts() {
        let text = |pointers, form, document| column("", pointers).form(form).text(&document);
        let document = json!({"a": {"b": ["x", "y"], "t": "2026-05-20T08:56:35.784Z", "n": null}});
        assert_eq!(text(&["/a/b", "/a/n"], Form::Text, document.clone()), "x y");
        assert_eq!(
            text(&["/a/t"], Form::Time, document.clone()),
            "2026-05-20 08:56:35"
        );
        assert_eq!(text(&["/a/n"], Form::Bytes, document), "–");
    }

    #[test]
    fn every_column_is_a_field() {
        for category in Category::ALL {
            let index = fields::index(category.index()).unwrap();
            let view = View::of(category);
            let pointers = view.columns.iter().flat_map(|column| column.pointers);
            for pointer in pointers.chain(view.order.pointers) {
                let path = pointer[1..].replace('/', ".");
                assert!(index.field(&path).is_some(), "{category}: {path}");
            }
        }
    }
}
