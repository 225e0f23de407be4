//! `inventory-bench`: the benchmark behind `cargo xtask bench`.

use std::process::ExitCode;

use clap::Parser;
use inventory_tests::bench::{self, BenchError, Options};

/// Returns when the process is asked to end.
async fn asked_to_end() -> BenchError {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = signal(SignalKind::terminate())
        .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    match signals {
        Ok((mut terminate, mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            BenchError::new("finish", "it was asked to end")
        }
        Err(error) => BenchError::new("wait for signals", error),
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ran = match runtime {
        // What was started ends with what is dropped: nothing is left behind by a signal.
        Ok(runtime) => runtime.block_on(async {
            tokio::select! {
                ran = bench::run(&options) => ran,
                asked = asked_to_end() => Err(asked),
            }
        }),
        Err(error) => Err(BenchError::new("start a runtime", error)),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("inventory-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
