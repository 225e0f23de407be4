//! The normaliser: a row becomes the document of its index.
//!
//! ```text
//!   Row ──▶ id        sha1 of the table and the key, escaped        (id)
//!       ──▶ checksum  sha1 of the columns that are not volatile     (checksum)
//!       ──▶ body      path ← column, typed by the field table       (render), then checked (check)
//! ```
//!
//! What maps to what stands in one place only, the field table of `inventory_sync_schemas`: this module
//! knows no path and no column by name, and it never writes what the manager owns (`wazuh.*`).

mod check;
mod checksum;
mod id;
mod render;

pub use check::{Misfit, check};
pub use checksum::{checksum, columns_json};
pub use id::{id, key};
pub use render::{Rendered, render};

/// Lowercase hexadecimal.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
