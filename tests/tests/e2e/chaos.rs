//! One leg of the kill −9 campaign: `cargo xtask chaos` runs forty.

use std::process::Command;

use inventory_tests::chaos::LegReport;
use inventory_tests::chaos::Phase;

#[test]
fn twenty_kills_lose_nothing_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("legs.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_inventory-chaos"))
        .args(["--kills", "20", "--seed", "4", "--state"])
        .arg(&state)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}\n{complaint}");
    let leg = std::fs::read_to_string(&state).unwrap();
    let leg: LegReport = serde_json::from_str(&leg).unwrap();
    assert_eq!(leg.daemon_kills, 20);
    for phase in Phase::ALL {
        assert!(leg.under_way.get(&phase) > Some(&0), "{phase}: {leg:?}");
    }
    assert!(leg.comparisons >= 3 && leg.documents > 0, "{leg:?}");
    assert!(
        printed.contains("kills while it was under way"),
        "{printed}"
    );
}
