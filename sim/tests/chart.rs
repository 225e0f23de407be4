//! The page that shows a run: its data are whole, no text of a run can break out of it, and its script does
//! what it says.

use std::path::Path;
use std::process::Command;

use inventory_sim::chart::{
    Class, Lifeline, LifelineKind, Message, Moment, Passage, Phase, Recording, Session, Verdict,
    data, html,
};
use inventory_sim::{Conduct, Options, run};
use inventory_sync_core::id::SessionId;
use serde_json::Value;

fn recorded(seed: u64) -> Recording {
    let mut options = Options::drawn(seed);
    options.chaos_ms = options.chaos_ms.min(40_000);
    let conduct = Conduct {
        record: true,
        ..Conduct::default()
    };
    run(&options, conduct).recording.unwrap()
}

fn numbers(value: &Value) -> Vec<i64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|each| each.as_i64().unwrap())
        .collect()
}

#[test]
fn every_end_of_every_arrow_exists() {
    for seed in [1, 2, 42] {
        let recording = recorded(seed);
        let read: Value = serde_json::from_str(&data(&recording)).unwrap();
        let (moments, messages) = (&read["moments"], &read["messages"]);
        let count = recording.moments.len();
        for column in [
            "step", "at", "lifeline", "class", "label", "detail", "session", "agent", "module",
        ] {
            assert_eq!(moments[column].as_array().unwrap().len(), count, "{column}");
        }
        let lifelines = read["lifelines"].as_array().unwrap().len();
        let texts = read["texts"].as_array().unwrap().len();
        let place = |value: i64| usize::try_from(value).unwrap();
        let of = numbers(&moments["lifeline"]);
        let columns =
            ["from", "to", "left", "arrived", "label"].map(|name| numbers(&messages[name]));
        let [from, to, left, arrived, label] = &columns;
        assert!(!from.is_empty());
        for each in 0..from.len() {
            assert!(place(from[each]) < lifelines && place(to[each]) < lifelines);
            assert_eq!(of[place(left[each])], from[each]);
            assert!(arrived[each] == -1 || of[place(arrived[each])] == to[each]);
            assert!(place(label[each]) < texts);
        }
        let at: i64 = numbers(&moments["at"]).iter().sum();
        let last = recording.moments.last().unwrap().at_ms;
        assert_eq!(u64::try_from(at).unwrap(), last);
        let sessions = read["sessions"].as_array().unwrap();
        assert_eq!(sessions.len(), recording.sessions.len());
    }
}

/// A recording whose every text tries to leave the place where it stands.
fn hostile() -> Recording {
    let evil = "</script><script>alert(1)</script><!-- \u{2028}\u{2029} @model@ \"' & <b>";
    let moment = |step: u64, lifeline: usize| Moment {
        step,
        at_ms: step,
        lifeline,
        class: Class::Message,
        label: evil.to_owned(),
        detail: evil.to_owned(),
        session: Some(0),
        agent: Some(1),
        module: Some(0),
        arriving: None,
    };
    let lifeline = |kind, agent| Lifeline {
        name: evil.to_owned(),
        kind,
        agent,
    };
    Recording {
        title: evil.to_owned(),
        lifelines: vec![
            lifeline(LifelineKind::Agent, Some(1)),
            lifeline(LifelineKind::Shard, None),
        ],
        moments: vec![moment(1, 0), moment(2, 1)],
        messages: vec![Message {
            from: 0,
            to: 1,
            left: 0,
            arrived: Some(1),
            passage: Passage::Arrived,
            label: evil.to_owned(),
            remark: evil.to_owned(),
            faults: vec!["</script>"],
            inside: false,
            session: Some(0),
            agent: Some(1),
        }],
        phases: vec![Phase {
            name: "warm-up",
            from_ms: 0,
        }],
        sessions: vec![Session {
            id: SessionId(u64::MAX - 1),
            agent: 1,
            about: evil.to_owned(),
        }],
        verdict: Verdict {
            headline: evil.to_owned(),
            expected: evil.to_owned(),
            seen: evil.to_owned(),
            ..Verdict::default()
        },
        ..Recording::default()
    }
}

/// What stands in the page's data element.
fn embedded(page: &str) -> &str {
    let (_, rest) = page.split_once("id=\"recording\">").unwrap();
    rest.split_once("</script>").unwrap().0
}

#[test]
fn no_text_of_a_run_leaves_its_place() {
    let recording = hostile();
    let page = html(&recording);
    let plain = html(&Recording::default());
    let count = |text: &str, part: &str| text.matches(part).count();
    for part in ["<script", "</script", "<!--", "<title", "</title"] {
        assert_eq!(count(&page, part), count(&plain, part), "{part}");
    }
    let read: Value = serde_json::from_str(embedded(&page)).unwrap();
    let told: Value = serde_json::from_str(&data(&recording)).unwrap();
    assert_eq!(read, told);
    assert_eq!(read["title"].as_str().unwrap(), recording.title);
    // 64 bits do not fit into a number of JavaScript.
    assert_eq!(read["sessions"][0]["id"], "18446744073709551614");
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = html(&recorded(1));
    for part in [
        "http://",
        "https://",
        "src=",
        "href=",
        "@import",
        "url(",
        "fetch(",
        "innerHTML",
    ] {
        assert!(!page.contains(part), "{part}");
    }
    for place in [
        "@title@",
        "@style@",
        "@recording@",
        "@model@",
        "@drawing@",
        "@reader@",
    ] {
        assert!(!page.contains(place), "{place} was not filled in");
    }
}

/// The script without a page: what is shown, where, what a search finds, what a link says.
#[test]
fn the_script_does_what_it_says() {
    if Command::new("node").arg("--version").output().is_err() {
        eprintln!("skipped: there is no `node` here to run the script");
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = std::env::temp_dir().join(format!("inventory-sim-{}.json", std::process::id()));
    std::fs::write(&file, data(&recorded(42))).unwrap();
    let output = Command::new("node")
        .arg(folder.join("tests/chart_model.js"))
        .arg(folder.join("src/chart/page"))
        .arg(&file)
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
