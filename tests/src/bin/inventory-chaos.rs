//! `inventory-chaos`: the kill −9 campaign as a program; `cargo xtask chaos` builds and starts it.

use std::process::ExitCode;

use clap::Parser;
use inventory_tests::chaos::{Options, run};

fn main() -> ExitCode {
    run(&Options::parse())
}
