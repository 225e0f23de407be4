//! `inventory-bench`: the benchmark behind `cargo xtask bench`.

use std::process::ExitCode;

use clap::Parser;
use inventory_tests::bench::{self, Options};

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ran = match runtime {
        Ok(runtime) => runtime.block_on(bench::run(&options)),
        Err(error) => Err(bench::BenchError::new("start a runtime", error)),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("inventory-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
