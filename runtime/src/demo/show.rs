//! What is shown: texts, questions and tables.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value as Json, json};

use super::act::Work;
use super::place::{Place, Ports, shell_word};
use super::program::{DAEMON, INDEXER};
use super::sync::Synced;
use crate::admin::Status;

/// Width of tables where no terminal tells its own.
const WIDTH: u16 = 100;

/// Hits that a table shows.
const ROWS: u64 = 10;

/// Shells that let nobody in, or do one thing and end.
const NO_LOGIN_SHELLS: [&str; 9] = [
    "/usr/sbin/nologin",
    "/sbin/nologin",
    "/usr/bin/nologin",
    "/bin/nologin",
    "/bin/false",
    "/usr/bin/false",
    "/bin/sync",
    "/sbin/halt",
    "/sbin/shutdown",
];

/// A question to the documents.
pub(super) struct Question {
    /// As a person asks it.
    pub(super) text: String,
    /// The index that knows.
    pub(super) index: &'static str,
    /// As the Indexer is asked.
    pub(super) query: Json,
    /// Columns: a heading and the field.
    pub(super) columns: &'static [(&'static str, &'static str)],
}

const PORT_COLUMNS: &[(&str, &str)] = &[
    ("transport", "network.transport"),
    ("address", "source.ip"),
    ("port", "source.port"),
    ("process", "process.name"),
    ("pid", "process.pid"),
];

/// The three questions. Agent 001 is this machine.
pub(super) fn questions() -> [Question; 3] {
    let ours = json!({"term": {"wazuh.agent.id": "001"}});
    [
        Question {
            text: "What listens on all addresses?".to_owned(),
            index: "wazuh-states-inventory-ports",
            query: json!({
                "query": {"bool": {"filter": [
                    ours,
                    {"terms": {"source.ip": ["0.0.0.0", "::"]}},
                    {"term": {"destination.port": 0}},
                ]}},
                "sort": [{"source.port": "asc"}],
                "size": ROWS,
            }),
            columns: PORT_COLUMNS,
        },
        Question {
            text: "Which packages are the largest?".to_owned(),
            index: "wazuh-states-inventory-packages",
            query: json!({
                "query": {"bool": {"filter": [ours, {"exists": {"field": "package.size"}}]}},
                "sort": [{"package.size": "desc"}],
                "size": 5,
            }),
            columns: &[
                ("package", "package.name"),
                ("version", "package.version"),
                ("bytes", "package.size"),
            ],
        },
        Question {
            text: "Which users can log in?".to_owned(),
            index: "wazuh-states-inventory-users",
            query: json!({
                "query": {"bool": {
                    "filter": [ours, {"exists": {"field": "user.shell"}}],
                    "must_not": [{"terms": {"user.shell": NO_LOGIN_SHELLS}}],
                }},
                "sort": [{"user.name": "asc"}],
                "size": ROWS,
            }),
            columns: &[
                ("user", "user.name"),
                ("id", "user.id"),
                ("shell", "user.shell"),
                ("home", "user.home"),
                ("password", "user.password.status"),
            ],
        },
    ]
}

/// The question that finds the change.
pub(super) fn who_listens(port: u16) -> Question {
    Question {
        text: format!("What listens on port {port}?"),
        index: "wazuh-states-inventory-ports",
        query: json!({
            "query": {"bool": {"filter": [
                {"term": {"wazuh.agent.id": "001"}},
                {"term": {"source.port": port}},
            ]}},
            "size": ROWS,
        }),
        columns: PORT_COLUMNS,
    }
}

/// Says it, on standard output. A reader that has seen enough (`| head`) does not end the demonstration.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Begins a step.
pub(super) fn heading(text: &str) {
    say(&format!("\n── {text}"));
}

/// What will happen, before anything does.
pub(super) fn introduction(dir: &Path) -> String {
    format!(
        "\ninventory-sync: agent, daemon and a stand-in for the Indexer on this machine.\n\n  \
         writes    {dir} only (mode 0700)\n  \
         ports     three on 127.0.0.1, named when they are opened\n  \
         reads     this machine's packages, processes, ports, users and the like; nothing leaves it\n  \
         takes     less than a minute; daemon and stand-in go on running until --stop\n\n",
        dir = dir.display()
    )
}

/// A question and the search it becomes.
pub(super) fn asked(question: &Question) -> String {
    format!(
        "{}\n  POST /{}/_search\n  {}",
        question.text, question.index, question.query
    )
}

/// The answer, as wide as `width` or the terminal. An empty one is an answer.
pub(super) fn table(question: &Question, hits: &[Json], width: Option<u16>) -> String {
    if hits.is_empty() {
        return "  nothing: no document answers this".to_owned();
    }
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(question.columns.iter().map(|(heading, _)| *heading));
    if let Some(width) = width.or_else(|| table.width().is_none().then_some(WIDTH)) {
        table.set_width(width);
    }
    for hit in hits {
        table.add_row(question.columns.iter().map(|(_, field)| cell(hit, field)));
    }
    table.to_string()
}

/// A field as people read it. Documents come from outside: control characters could move the cursor.
fn cell(hit: &Json, field: &str) -> String {
    let value = field
        .split('.')
        .try_fold(hit, |value, name| value.get(name));
    let text = match value {
        None | Some(Json::Null) => "–".to_owned(),
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(values)) => {
            let texts: Vec<_> = values.iter().map(cell_text).collect();
            texts.join(", ")
        }
        Some(other) => other.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn cell_text(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// What a sync brought and what was written for it.
pub(super) fn synced(synced: &Synced, work: Work) -> String {
    let mut text = format!(
        "{} of {} documents are stored, after {:.1} s",
        synced.stored,
        synced.documents,
        synced.took.as_secs_f64(),
    );
    if work.unchanged > 0 {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            ": {} were unchanged and not written again, {} were written or deleted\n(the change, and the \
             processes that came and went meanwhile: the agent itself is one)",
            work.unchanged, work.written,
        );
    }
    if synced.left_out > 0 {
        let _ = write!(
            text,
            "\n{} categories could not be read completely and were left out; `sudo` reads more, and \
             `inventory-agent scan` says why",
            synced.left_out
        );
    }
    text
}

/// What takes the Indexer away.
pub(super) fn down(place: &Place, ports: Ports) -> String {
    format!(
        "while the session is delivered, the Indexer stops answering:\n  {} -X PUT \
         https://127.0.0.1:{}/_inventory/faults -d '{{\"kind\": \"down\"}}'",
        curl(place),
        ports.indexer
    )
}

/// `inventory-sync status` during the outage.
pub(super) fn seen_by_the_operator(status: &Status) -> String {
    let mut text = "what the operator sees, `inventory-sync status`:".to_owned();
    for line in status.to_string().trim_end().lines() {
        text.push_str("\n  │ ");
        text.push_str(line);
    }
    text
}

/// How the outage ended.
pub(super) fn survived(synced: &Synced, count: u64) -> String {
    let how = match synced.attempts_before {
        0 => {
            "The agent sent them once; the daemon kept them until the Indexer had them.".to_owned()
        }
        n => format!(
            "It took the agent {} sessions: the daemon refused what it could not vouch for.",
            n + 1
        ),
    };
    format!(
        "the verdict is Ok after {:.1} s: {} of {} documents are stored, and a count of agent 002's documents \
         says {count}.\n{how}",
        synced.took.as_secs_f64(),
        synced.stored,
        synced.documents
    )
}

fn curl(place: &Place) -> String {
    format!("curl -K {}", shown(&place.curl_config()))
}

fn shown(path: &Path) -> String {
    shell_word(&path.to_string_lossy())
}

/// What can be done now.
pub(super) fn where_to_look(place: &Place, ports: Ports, program: &Path) -> String {
    let curl = curl(place);
    let Ports {
        indexer, metrics, ..
    } = ports;
    let url = format!("https://127.0.0.1:{indexer}");
    let program = shown(program);
    let config = shown(&place.config());
    let dir = shown(place.dir());
    format!(
        r#"
── Daemon and stand-in go on running. Where to look:

  documents    {curl} '{url}/wazuh-states-inventory-packages/_search?size=1&pretty'
               {curl} '{url}/wazuh-states-inventory-*/_count'
  status       {program} --config {config} status
  check        {program} --config {config} check
  metrics      curl http://127.0.0.1:{metrics}/metrics     and /healthz
  logs         {daemon}
               {stand_in}
  sync again   {again}
  break it     {curl} -X PUT {url}/_inventory/faults -d '{{"kind": "down"}}'
  heal it      {curl} -X DELETE {url}/_inventory/faults

  stop         {program} demo --dir {dir} --stop
  and remove   {program} demo --dir {dir} --clean
"#,
        daemon = shown(&place.log(DAEMON)),
        stand_in = shown(&place.log(INDEXER)),
        again = shown(&place.sync_script()),
    )
}
