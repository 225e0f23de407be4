//! Delivery into a real OpenSearch, beside a loader that does nothing but post the same documents.
//!
//! ```text
//!  empty indices ─▶ daemon loads (A) ─▶ empty indices ─▶ loader posts what A stored (B) ─▶ again; medians compared,
//!                        │                                                              the first turn left out
//!                        └─▶ the last time: a second Full in which 1 % changed
//! ```

use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use serde_json::value::RawValue;

use super::loader;
use super::measure::mib;
use super::process::{Cpu, Process};
use super::rows::Over;
use super::stand::Stand;
use super::table::{grouped, table};
use super::{BenchError, Options, Ran, say};
use crate::daemon::Daemon;
use crate::indexer::{Access, Indexer};

/// The indices that are emptied and filled.
const INDICES: &str = "wazuh-states-*";

/// Documents on a page when they are read back.
const PAGE: u32 = 5_000;

/// How much is loaded, and how often.
struct Load {
    agents: u32,
    documents: u32,
    times: u32,
}

/// One delivery by the daemon.
struct Delivered {
    documents_per_second: f64,
    seconds: f64,
    cpu: Cpu,
    bulk_requests: f64,
    peak_mib: f64,
}

/// Measures, and answers the third table.
///
/// # Errors
/// No OpenSearch is named, or something did not end well.
pub async fn measure(options: &Options) -> Ran<String> {
    let access = Access::of_environment().ok_or_else(|| {
        BenchError::new(
            "measure an OpenSearch",
            "INVENTORY_TEST_INDEXER_URL and its companions name none",
        )
    })?;
    let admin = Indexer::real(admin(access.clone()));
    let load = match options.quick {
        true => Load {
            agents: 2,
            documents: 500,
            times: 1,
        },
        false => Load {
            agents: 20,
            documents: 5_000,
            times: 5,
        },
    };
    let (mut daemons, mut loaders) = (Vec::new(), Vec::new());
    let mut second = None;
    // The first turn is for a server that has compiled little yet; it is in no figure.
    for time in 0..=load.times {
        say(&format!("OpenSearch, {time} of {}: the daemon", load.times));
        let stand = Stand::with_opensearch(options, access.clone())?;
        clear(&admin).await?;
        // A cluster that has never been written: otherwise the daemon waits for what its predecessor may have sent.
        let setup = stand.setup("daemon", &format!("bench-{}-{time}", std::process::id()));
        let daemon = setup.start_ready().await;
        let delivered = deliver(&stand, &daemon, &load, 1).await?;
        let operations = stored(&admin).await?;
        if operations.len() as u64 != u64::from(load.agents) * u64::from(load.documents) {
            return Err(BenchError::new(
                "read back what was delivered",
                format!("there are {} documents", operations.len()),
            ));
        }
        if time == load.times {
            say("OpenSearch: a second Full, 1 % changed");
            second = Some(deliver(&stand, &daemon, &load, 2).await?);
        }
        drop(daemon);
        say(&format!("OpenSearch, {time} of {}: the loader", load.times));
        let bytes: usize = operations.iter().map(Vec::len).sum();
        let bodies = loader::bodies(&operations, body_bytes(bytes, delivered.bulk_requests));
        let names = clear(&admin).await?;
        for name in names {
            asked(&admin, "PUT", &format!("/{name}"), "").await?;
        }
        let took = loader::post(&stand.indexer, &bodies, 1).await?;
        if time > 0 {
            loaders.push(operations.len() as f64 / took.as_secs_f64());
            daemons.push(delivered);
        }
    }
    clear(&admin).await?;
    Ok(shown(&load, &daemons, &loaders, second.as_ref()))
}

/// As large as the daemon's were in the mean.
fn body_bytes(bytes: usize, requests: f64) -> usize {
    // A number of bytes of which a fraction does not matter.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive size"
    )]
    let mean = (bytes as f64 / requests.max(1.0)).ceil() as usize;
    mean.max(1)
}

fn admin(access: Access) -> Access {
    let variable = |name: &str| std::env::var(format!("INVENTORY_TEST_INDEXER_ADMIN_{name}")).ok();
    match variable("USER").zip(variable("PASSWORD")) {
        Some(user) => Access {
            user: Some(user),
            certificate: None,
            ..access
        },
        None => access,
    }
}

async fn asked(indexer: &Indexer, method: &str, path: &str, body: &str) -> Ran<String> {
    let (status, text) = indexer.ask(method, path, body).await;
    if (200..300).contains(&status) {
        return Ok(text);
    }
    Err(BenchError::new(
        format!("ask {method} {path}"),
        format!("{status}: {text}"),
    ))
}

/// Removes the indices; their names.
async fn clear(admin: &Indexer) -> Ran<Vec<String>> {
    let text = asked(
        admin,
        "GET",
        &format!("/_cat/indices/{INDICES}?format=json&h=index"),
        "",
    )
    .await?;
    let rows: Vec<Value> =
        serde_json::from_str(&text).map_err(|error| BenchError::new("list the indices", error))?;
    let names: Vec<String> = rows
        .iter()
        .filter_map(|row| row["index"].as_str().map(str::to_owned))
        .collect();
    for name in &names {
        asked(admin, "DELETE", &format!("/{name}"), "").await?;
    }
    Ok(names)
}

async fn deliver(stand: &Stand, daemon: &Daemon, load: &Load, round: u32) -> Ran<Delivered> {
    let process = Process::of(daemon.pid())?;
    let state = daemon.setup.folder.join("agents").display().to_string();
    let content = [
        "--documents",
        &load.documents.to_string(),
        "--document-bytes",
        "540",
        "--mode",
        "full",
        "--later",
        "full",
        "--changed-percent",
        "1",
        "--rounds",
        &round.to_string(),
        "--state",
        &state,
        "--verify",
        "none",
    ]
    .map(str::to_owned);
    let requests = daemon.metric("inventory_sync_bulk_requests_total").await;
    let before = process.cpu()?;
    let report = stand.load(daemon, Over::Tls, load.agents, &content).await?;
    let seconds = report["seconds"].as_f64().unwrap_or_default().max(0.001);
    let documents = f64::from(load.agents) * f64::from(load.documents);
    Ok(Delivered {
        documents_per_second: documents / seconds,
        seconds,
        cpu: process.cpu()?.since(before),
        bulk_requests: daemon.metric("inventory_sync_bulk_requests_total").await - requests,
        peak_mib: mib(process.memory()?.1),
    })
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(rename = "_scroll_id")]
    scroll: String,
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_version")]
    version: u64,
    #[serde(borrow, rename = "_source")]
    source: &'a RawValue,
}

impl Hit<'_> {
    /// The lines that store it, as the daemon writes them.
    fn operation(&self) -> Vec<u8> {
        let (index, id) = (json!(self.index), json!(self.id));
        format!(
            "{{\"index\":{{\"_index\":{index},\"_id\":{id},\"version\":{},\"version_type\":\"external_gte\"}}}}\n{}\n",
            self.version,
            self.source.get()
        )
        .into_bytes()
    }
}

/// Every document as an operation that stores it.
async fn stored(admin: &Indexer) -> Ran<Vec<Vec<u8>>> {
    asked(admin, "POST", &format!("/{INDICES}/_refresh"), "").await?;
    let query = json!({"size": PAGE, "sort": ["_doc"], "version": true}).to_string();
    let mut text = asked(
        admin,
        "POST",
        &format!("/{INDICES}/_search?scroll=1m"),
        &query,
    )
    .await?;
    let mut operations = Vec::new();
    loop {
        let page: Page<'_> = serde_json::from_str(&text)
            .map_err(|error| BenchError::new("read documents back", error))?;
        if page.hits.hits.is_empty() {
            asked(
                admin,
                "DELETE",
                "/_search/scroll",
                &json!({"scroll_id": [page.scroll]}).to_string(),
            )
            .await?;
            return Ok(operations);
        }
        operations.extend(page.hits.hits.iter().map(Hit::operation));
        let next = json!({"scroll": "1m", "scroll_id": page.scroll}).to_string();
        text = asked(admin, "POST", "/_search/scroll", &next).await?;
    }
}

/// The value in the middle.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn shown(
    load: &Load,
    daemons: &[Delivered],
    loaders: &[f64],
    second: Option<&Delivered>,
) -> String {
    let mut shown = table(&[
        "into OpenSearch",
        "documents/s, median",
        "all",
        "requests",
        "CPU s of the daemon",
        "of one core %",
        "peak MiB",
    ]);
    let all = |values: Vec<f64>| {
        let texts: Vec<String> = values.into_iter().map(grouped).collect();
        texts.join(", ")
    };
    let rate = median(daemons.iter().map(|each| each.documents_per_second));
    let plain = median(loaders.iter().copied());
    let mut add = |name: &str, each: &[&Delivered]| {
        let of = |value: fn(&Delivered) -> f64| median(each.iter().map(|each| value(each)));
        shown.add_row([
            name.to_owned(),
            grouped(of(|each| each.documents_per_second)),
            all(each.iter().map(|each| each.documents_per_second).collect()),
            grouped(of(|each| each.bulk_requests)),
            format!("{:.2}", of(|each| each.cpu.total())),
            format!("{:.1}", of(|each| 100.0 * each.cpu.total() / each.seconds)),
            format!("{:.1}", of(|each| each.peak_mib)),
        ]);
    };
    add(
        "first Full, through the daemon",
        &daemons.iter().collect::<Vec<_>>(),
    );
    if let Some(second) = second {
        add("second Full, 1 % changed", &[second]);
    }
    let none = String::new;
    shown.add_row([
        "plain loader".to_owned(),
        grouped(plain),
        all(loaders.to_vec()),
        none(),
        none(),
        none(),
        none(),
    ]);
    let mut text = format!(
        "{shown}\n\n{} agents with {} documents of 540 bytes, {} times each in turn. Daemon to loader: {:.1} %.",
        load.agents,
        load.documents,
        load.times,
        100.0 * rate / plain.max(0.001)
    );
    if let Some(second) = second {
        text.push_str(&format!(
            " The second Full is {:.1} times as fast as the first.",
            second.documents_per_second / rate.max(0.001)
        ));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_that_of_medians() {
        let delivered = |rate: f64| Delivered {
            documents_per_second: rate,
            seconds: 2.0,
            cpu: Cpu {
                user: 0.3,
                system: 0.1,
            },
            bulk_requests: 7.0,
            peak_mib: 50.0,
        };
        let load = Load {
            agents: 1,
            documents: 2,
            times: 3,
        };
        let daemons = [delivered(90.0), delivered(10.0), delivered(95.0)];
        let text = shown(
            &load,
            &daemons,
            &[100.0, 500.0, 50.0],
            Some(&delivered(900.0)),
        );
        assert!(text.contains("Daemon to loader: 90.0 %"), "{text}");
        assert!(
            text.contains("10.0 times as fast") && text.contains("20.0"),
            "{text}"
        );
    }

    #[test]
    fn a_hit_becomes_the_lines_that_store_it() {
        let page = r#"{"_scroll_id":"s","hits":{"hits":[{"_index":"i","_id":"a\"b","_version":7,"_source":{"x": 1}}]}}"#;
        let page: Page<'_> = serde_json::from_str(page).unwrap();
        let lines = String::from_utf8(page.hits.hits[0].operation()).unwrap();
        let wanted =
            r#"{"index":{"_index":"i","_id":"a\"b","version":7,"version_type":"external_gte"}}"#;
        assert_eq!(lines, format!("{wanted}\n{{\"x\": 1}}\n"));
        assert_eq!(body_bytes(100, 3.0), 34);
    }
}
