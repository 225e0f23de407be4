//! Which agents report what in a leg.

use std::path::Path;

use super::leg::LegPlan;
use super::load::Load;
use super::plan::{draw, generator};

/// The load: deltas over TLS, deltas through a relay, Fulls of several frames over TLS.
#[must_use]
pub fn loads(plan: &LegPlan, port: u16, socket: &Path, certs: &Path) -> Vec<Load> {
    let mut rng = generator(plan.seed, plan.number, "load");
    let tls = [
        "--to".to_owned(),
        format!("tls://localhost:{}", port),
        "--certs".to_owned(),
        certs.display().to_string(),
    ];
    let unix = [
        "--to".to_owned(),
        format!("unix:{}", socket.display()),
        "--connections".to_owned(),
        "2".to_owned(),
    ];
    let harm = |loss: u64, duplicates: u64, cut: u64, crash: u64| {
        format!(
            "--answer-timeout-ms 1000 --frame-bytes 8192 --shuffle --loss {loss} --duplicates {duplicates} --cut {cut} --crash {crash}"
        )
    };
    let mut load = |name, to: &[String], shape: &str, harm: String| {
        let words = format!("{shape} {harm}");
        let words = words.split_whitespace().map(str::to_owned);
        Load {
            name,
            arguments: to.iter().cloned().chain(words).collect(),
            // Generations count on from here.
            seed: draw(&mut rng, 1, u64::from(u32::MAX)) << 16,
        }
    };
    vec![
        load(
            "deltas",
            &tls,
            "--agents 8 --first-agent 1 --documents 60 --rounds 6 --later delta --changed-percent 20 \
             --deleted-percent 10",
            harm(1, 5, 5, 0),
        ),
        load(
            "relay",
            &unix,
            "--agents 8 --first-agent 101 --documents 60 --rounds 6 --later delta --changed-percent 20 \
             --deleted-percent 10",
            harm(1, 5, 0, 5),
        ),
        load(
            "fulls",
            &tls,
            "--agents 4 --first-agent 201 --documents 700 --rounds 3 --later full --changed-percent 10 \
             --deleted-percent 10",
            harm(2, 5, 5, 5),
        ),
    ]
}
