//! `inventory-sync`, the program.

use std::process::ExitCode;

/// Frames are allocated by the threads that read them and freed by those that deliver them; the system's
/// allocator makes them wait for each other.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Before anything else: whoever asks for "the" provider of cryptography gets this one.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("inventory-sync: a provider of cryptography is installed already");
        return ExitCode::FAILURE;
    }
    inventory_sync::cli::run()
}
