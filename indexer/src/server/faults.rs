//! Injected faults: `PUT /_inventory/faults` with one fault or a list of them.
//!
//! ```json
//! [{"kind": "status", "status": 429, "path": "/_bulk", "count": 3},
//!  {"kind": "item_status", "status": 429, "index": "wazuh-states-inventory-packages", "probability_percent": 30}]
//! ```
//!
//! | kind | what happens | its own members |
//! |---|---|---|
//! | `down` | the connection is closed without an answer; nothing is done | |
//! | `starting` | 503 `OpenSearch Security not initialized.`, text, before anybody is asked who they are | |
//! | `slow_ms` | the request is done and answered later | `ms` |
//! | `status` | the request is refused as a whole | `status`; `type`, `reason` |
//! | `item_status` | operations of bulk requests are refused one by one, the others done | `status`; `type`, `reason`, `index`, `probability_percent` |
//! | `drop_answer` | the request is done and the connection closed without an answer | |
//! | `delay_apply` | the connection is closed without an answer, and the request is done later | `ms` |
//! | `truncate_answer` | the request is done, and the connection closed in the middle of the answer's body | |
//! | `red` | the cluster is red; with `index` the shard of that index is missing | `index` |
//!
//! All but `red` take `path` (the request's path begins so), `every` (only each n-th of what it would hit) and
//! `count` (it ends after so many hits; those of `item_status` are operations). Several faults may hit one request.
//! `GET` shows what is left of them with their hits, `DELETE` heals.

use crate::model::engine::Refusal;
use crate::model::engine::refusal::kind as error;
use crate::model::json::{self, Json};

/// Error types that can be injected.
const ERROR_TYPES: &[&str] = &[
    error::VERSION_CONFLICT,
    error::INDEX_NOT_FOUND,
    error::INDEX_CLOSED,
    error::CLUSTER_BLOCK,
    error::MAPPER_PARSING,
    error::STRICT_MAPPING,
    error::ILLEGAL_ARGUMENT,
    error::VALIDATION,
    error::UNAVAILABLE_SHARDS,
    error::REJECTED_EXECUTION,
    "circuit_breaking_exception",
    "cluster_manager_not_discovered_exception",
    "exception",
    "no_shard_available_action_exception",
    "process_cluster_event_timeout_exception",
    "security_exception",
    "timeout_exception",
    "validation_exception",
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Down,
    Starting,
    Slow {
        ms: u64,
    },
    Status(Error),
    ItemStatus {
        error: Error,
        probability_percent: u64,
    },
    DropAnswer,
    DelayApply {
        ms: u64,
    },
    TruncateAnswer,
    Red,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Error {
    status: u16,
    kind: &'static str,
    reason: String,
}

impl Error {
    fn refusal(&self) -> Refusal {
        Refusal::new(self.status, self.kind, self.reason.as_str())
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    kind: Kind,
    /// What was asked for, for `GET`.
    stated: Json,
    path: String,
    index: Option<String>,
    every: u64,
    count: u64,
    seen: u64,
    hits: u64,
}

impl Fault {
    /// Whether it hits now what it could hit.
    fn strikes(&mut self) -> bool {
        self.seen += 1;
        if self.hits >= self.count || !self.seen.is_multiple_of(self.every) {
            return false;
        }
        self.hits += 1;
        true
    }
}

/// What is injected into one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Close without an answer.
    pub down: bool,
    /// Say that security is not initialised.
    pub starting: bool,
    /// Answer so much later.
    pub slow_ms: u64,
    /// Refuse the request.
    pub refuse: Option<Refusal>,
    /// Do it so much later, and close now.
    pub delay_apply_ms: Option<u64>,
    /// Do it, and close without an answer.
    pub drop_answer: bool,
    /// Do it, and close in the middle of the answer.
    pub truncate_answer: bool,
    /// How many faults struck.
    pub struck: u64,
}

/// The faults that are in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    faults: Vec<Fault>,
    /// State of the generator behind `probability_percent`: the same faults hit the same operations in each run.
    dice: u64,
}

impl Faults {
    /// Reads a fault or a list of them.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn parse(text: &[u8]) -> Result<Faults, String> {
        let parsed =
            json::parse(text).map_err(|error| format!("the faults are not JSON: {error}"))?;
        let list = match &parsed {
            Json::Array(list) => list.as_slice(),
            single => std::slice::from_ref(single),
        };
        Ok(Faults {
            faults: list.iter().map(parse).collect::<Result<_, _>>()?,
            dice: 0x5eed,
        })
    }

    /// The faults with their hits.
    pub fn json(&self) -> Json {
        let shown = self.faults.iter().map(|fault| {
            let mut members = fault.stated.members().unwrap_or_default().to_vec();
            members.push(("hits".to_owned(), Json::int(fault.hits)));
            Json::Object(members)
        });
        Json::Array(shown.collect())
    }

    /// What hits a request to this path.
    pub fn plan(&mut self, path: &str, body_bytes: usize) -> Plan {
        let mut plan = Plan::default();
        for fault in &mut self.faults {
            let for_requests = !matches!(fault.kind, Kind::ItemStatus { .. } | Kind::Red);
            if !for_requests || !path.starts_with(&fault.path) || !fault.strikes() {
                continue;
            }
            plan.struck += 1;
            match &fault.kind {
                Kind::Down => plan.down = true,
                Kind::Starting => plan.starting = true,
                Kind::Slow { ms } => plan.slow_ms += ms,
                Kind::Status(error) => {
                    let mut refusal = error.refusal();
                    refusal.reason = refusal.reason.replace("{bytes}", &body_bytes.to_string());
                    plan.refuse = Some(refusal);
                }
                Kind::DropAnswer => plan.drop_answer = true,
                Kind::DelayApply { ms } => plan.delay_apply_ms = Some(*ms),
                Kind::TruncateAnswer => plan.truncate_answer = true,
                Kind::ItemStatus { .. } | Kind::Red => {}
            }
        }
        plan
    }

    /// What hits one operation of a bulk request.
    pub fn item(&mut self, path: &str, index: &str) -> Option<Refusal> {
        for fault in &mut self.faults {
            let Kind::ItemStatus {
                error,
                probability_percent,
            } = &fault.kind
            else {
                continue;
            };
            let refusal = error.refusal();
            if !path.starts_with(&fault.path)
                || fault.index.as_deref().is_some_and(|wanted| wanted != index)
            {
                continue;
            }
            if *probability_percent < 100 {
                self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (self.dice ^ (self.dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                if (mixed >> 33) % 100 >= *probability_percent {
                    continue;
                }
            }
            if fault.strikes() {
                return Some(refusal);
            }
        }
        None
    }

    /// Whether the cluster is to be red.
    pub fn red(&self) -> bool {
        self.faults
            .iter()
            .any(|fault| fault.kind == Kind::Red && fault.index.is_none())
    }

    /// The indices whose shard is to be missing.
    pub fn missing_shards(&self) -> Vec<&str> {
        self.faults
            .iter()
            .filter(|fault| fault.kind == Kind::Red)
            .filter_map(|fault| fault.index.as_deref())
            .collect()
    }
}

fn parse(fault: &Json) -> Result<Fault, String> {
    let members = fault.members().ok_or("a fault is an object")?;
    let name = fault
        .get("kind")
        .and_then(Json::as_str)
        .ok_or("a fault needs its kind")?;
    let own: &[&str] = match name {
        "down" | "starting" | "drop_answer" | "truncate_answer" => &[],
        "slow_ms" | "delay_apply" => &["ms"],
        "status" => &["status", "type", "reason"],
        "item_status" => &["status", "type", "reason", "index", "probability_percent"],
        "red" => &["index"],
        other => return Err(format!("no fault of kind [{other}]")),
    };
    let common: &[&str] = if name == "red" {
        &["kind"]
    } else {
        &["kind", "path", "every", "count"]
    };
    if let Some((unknown, _)) = members
        .iter()
        .find(|(name, _)| !own.contains(&&**name) && !common.contains(&&**name))
    {
        return Err(format!(
            "a fault of kind [{name}] has no member [{unknown}]"
        ));
    }
    let number = |member: &str| -> Result<Option<u64>, String> {
        fault
            .get(member)
            .map(|value| {
                value
                    .as_int()
                    .and_then(|number| u64::try_from(number).ok())
                    .ok_or_else(|| {
                        format!("[{member}] of a fault is a number that is not negative")
                    })
            })
            .transpose()
    };
    let text = |member: &str| fault.get(member).and_then(Json::as_str).map(str::to_owned);
    let needed = |member: &str| {
        number(member)?.ok_or_else(|| format!("a fault of kind [{name}] needs [{member}]"))
    };
    let kind = match name {
        "down" => Kind::Down,
        "starting" => Kind::Starting,
        "slow_ms" => Kind::Slow { ms: needed("ms")? },
        "status" => Kind::Status(injected_error(
            needed("status")?,
            text("type"),
            text("reason"),
            false,
        )?),
        "item_status" => Kind::ItemStatus {
            error: injected_error(needed("status")?, text("type"), text("reason"), true)?,
            probability_percent: number("probability_percent")?.unwrap_or(100),
        },
        "drop_answer" => Kind::DropAnswer,
        "delay_apply" => Kind::DelayApply { ms: needed("ms")? },
        "truncate_answer" => Kind::TruncateAnswer,
        _ => Kind::Red,
    };
    Ok(Fault {
        kind,
        stated: fault.clone(),
        path: text("path").unwrap_or_default(),
        index: text("index"),
        every: number("every")?.unwrap_or(1).max(1),
        count: number("count")?.unwrap_or(u64::MAX),
        seen: 0,
        hits: 0,
    })
}

fn injected_error(
    status: u64,
    kind: Option<String>,
    reason: Option<String>,
    item: bool,
) -> Result<Error, String> {
    let status = u16::try_from(status)
        .ok()
        .filter(|status| (400..600).contains(status))
        .ok_or_else(|| format!("[{status}] is no status of an error"))?;
    let (usual_kind, usual_reason) = match status {
        400 => (error::MAPPER_PARSING, "failed to parse"),
        403 => (
            "security_exception",
            "no permissions for [indices:data/write/bulk] and User [name=stand-in]",
        ),
        404 => (error::INDEX_NOT_FOUND, "no such index"),
        409 => (error::VERSION_CONFLICT, "version conflict"),
        429 if item => (
            error::REJECTED_EXECUTION,
            "rejected execution of primary operation: the write queue is full",
        ),
        429 => (
            error::REJECTED_EXECUTION,
            "rejected execution of coordinating operation [coordinating_and_primary_bytes=0, replica_bytes=0, all_bytes=0, coordinating_operation_bytes={bytes}, max_coordinating_and_primary_bytes=53687091]",
        ),
        503 if item => (
            error::UNAVAILABLE_SHARDS,
            "primary shard is not active Timeout: [1m]",
        ),
        503 => (
            "cluster_manager_not_discovered_exception",
            "no cluster manager",
        ),
        _ => ("exception", "injected"),
    };
    let kind = match kind {
        None => usual_kind,
        Some(wanted) => ERROR_TYPES
            .iter()
            .find(|known| **known == wanted)
            .ok_or_else(|| {
                format!(
                    "no error of type [{wanted}] can be injected; known: {}",
                    ERROR_TYPES.join(", ")
                )
            })?,
    };
    Ok(Error {
        status,
        kind,
        reason: reason.unwrap_or_else(|| usual_reason.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_its_path_each_nth_time_and_ends() {
        let text = br#"{"kind":"status","status":503,"path":"/_bulk","every":2,"count":2}"#;
        let mut faults = Faults::parse(text).unwrap();
        assert_eq!(faults.plan("/_cluster/health", 0), Plan::default());
        let hit: Vec<bool> = (0..8)
            .map(|_| faults.plan("/_bulk", 0).refuse.is_some())
            .collect();
        assert_eq!(hit, [false, true, false, true, false, false, false, false]);
        assert!(
            String::from_utf8(faults.json().to_bytes())
                .unwrap()
                .contains("\"hits\":2")
        );
    }

    #[test]
    fn items_are_hit_by_index_and_by_the_same_dice() {
        let text = br#"[{"kind":"item_status","status":429,"index":"a","probability_percent":50}]"#;
        let throw = || {
            let mut faults = Faults::parse(text).unwrap();
            assert!((0..100).all(|_| faults.item("/_bulk", "b").is_none()));
            (0..100)
                .map(|_| faults.item("/_bulk", "a").is_some())
                .collect::<Vec<bool>>()
        };
        let hits = throw().into_iter().filter(|hit| *hit).count();
        assert!((25..75).contains(&hits), "{hits} of 100");
        assert_eq!(throw(), throw());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            (&b"{"[..], "not JSON"),
            (br#"{"kind":"bogus"}"#, "[bogus]"),
            (br#"{"kind":"status"}"#, "needs [status]"),
            (
                br#"{"kind":"status","status":200}"#,
                "no status of an error",
            ),
            (
                br#"{"kind":"status","status":500,"type":"bogus"}"#,
                "[bogus]",
            ),
            (br#"{"kind":"down","ms":5}"#, "no member [ms]"),
            (br#"{"kind":"slow_ms","ms":-5}"#, "not negative"),
            (br#"[1]"#, "an object"),
        ] {
            let fault = Faults::parse(text).unwrap_err();
            assert!(fault.contains(said), "{fault}");
        }
    }
}
