//! `inventory-sync`, the program.

use std::process::ExitCode;

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
