//! `inventory-sim`: runs, hunts, replays and shrinks worlds; see `sim/README.md`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
