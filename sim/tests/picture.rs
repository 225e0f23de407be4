//! The picture in the README is a run of today's code. `INVENTORY_UPDATE=1 cargo test -p inventory-sim --test
//! picture` draws it anew.

use std::path::Path;

use inventory_sim::chart::picture;
use inventory_sim::{Action, Conduct, Ending, Fate, Options, run};

const TITLE: &str = "A lost frame, an overloaded Indexer and a lost verdict: nothing is lost, nothing is stored twice";

#[test]
fn the_picture_is_of_todays_code() {
    let mut options = Options::calm(11);
    options.agents = 1;
    options.change_every_ms = 0;
    options.warm_up_ms = 14_000;
    options.chaos_ms = 1_000;
    options.frame_bytes_max = 700;
    let mut script: Vec<_> = (1..=4)
        .map(|document| {
            let put = Action::Put {
                agent: 0,
                index: 0,
                document,
                content: u64::from(document),
            };
            (5_000, put)
        })
        .collect();
    let lost = |to_manager, after| Action::LoseFrames {
        agent: 0,
        to_manager,
        after,
        count: 1,
    };
    script.extend([
        (5_005, lost(true, 2)),
        (5_005, lost(false, 3)),
        (5_005, Action::Fates(vec![Fate::Refused(429)])),
        (
            5_010,
            Action::Delta {
                agent: 0,
                module: 0,
            },
        ),
    ]);
    let conduct = Conduct {
        record: true,
        script,
        ..Conduct::default()
    };
    let report = run(&options, conduct);
    assert_eq!(report.ending, Ending::Sound);
    let recording = report.recording.unwrap();
    let drawn = picture(&recording, 6_010..recording.phases[1].from_ms, TITLE);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/session.svg");
    if std::env::var_os("INVENTORY_UPDATE").is_some() {
        std::fs::write(&file, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == drawn,
        "docs/session.svg is not what the simulator draws now; INVENTORY_UPDATE=1 draws it anew"
    );
}
