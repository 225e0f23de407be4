//! The benchmark in small: that it runs to its end, not how fast.

use clap::Parser;
use inventory_tests::bench::{Options, run};

#[tokio::test]
async fn a_quick_row_runs_to_its_end() {
    // Nothing here may become the folder of another test, or a row of captured sessions.
    let mut options = Options::parse_from(["bench", "--quick", "--row", "fleet"]);
    options.sessions = None;
    run(&options).await.unwrap();
}
