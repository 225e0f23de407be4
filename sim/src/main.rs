//! `inventory-sim`: runs, hunts, replays and shrinks worlds; see `sim/README.md`.

mod cli;

/// A world is many small things that live for a moment: the system's allocator takes a seventh of a run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
