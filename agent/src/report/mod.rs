//! An inventory for people (tables) and for programs (JSON).
//!
//! Both show the documents as they would be stored, not the rows they came from.

mod columns;

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Row, Table};
use serde_json::Value as Json;

use crate::inventory::{CategoryInventory, Inventory, State};
use columns::View;

/// Width of the tables, in characters, where there is no terminal that tells its own.
pub const DEFAULT_WIDTH: u16 = 120;

/// Problems shown per category; the others are counted.
const SHOWN_PROBLEMS: usize = 5;

/// How tables are laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Rows shown per category.
    pub limit: usize,
    /// Width in characters; `None` for that of the terminal, or [`DEFAULT_WIDTH`] without one.
    pub width: Option<u16>,
}

/// Writes every document as one element of an array: `{"index", "id", "document"}`, one per line.
///
/// # Errors
///
/// When `out` fails.
pub fn write_json(out: &mut impl Write, inventory: &Inventory) -> io::Result<()> {
    let mut separator = "[\n";
    for document in inventory.documents() {
        // Index and id are plain ASCII without quotes; the body is JSON already.
        write!(
            out,
            "{separator}{{\"index\":\"{}\",\"id\":\"{}\",\"document\":",
            document.index, document.id
        )?;
        out.write_all(&document.body)?;
        out.write_all(b"}")?;
        separator = ",\n";
    }
    out.write_all(if separator == ",\n" {
        b"\n]\n"
    } else {
        b"[]\n"
    })
}

/// Writes a summary of all categories, then for each its first documents and its problems.
///
/// # Errors
///
/// When `out` fails.
pub fn write_tables(out: &mut impl Write, inventory: &Inventory, layout: Layout) -> io::Result<()> {
    writeln!(out, "{}", summary(inventory, layout))?;
    for category in &inventory.categories {
        if layout.limit > 0 && !category.documents.is_empty() {
            write_category(out, category, layout)?;
        }
    }
    if inventory.categories.iter().any(|c| !c.problems.is_empty()) {
        writeln!(out, "\nProblems")?;
        for category in &inventory.categories {
            write_problems(out, category)?;
        }
    }
    Ok(())
}

fn summary(inventory: &Inventory, layout: Layout) -> Table {
    let mut table = empty_table(layout);
    table.set_header(["category", "documents", "state", "took", "index"]);
    for category in &inventory.categories {
        let documents = match category.state {
            // A count would say that there are none.
            State::Unavailable { .. } => "?".to_owned(),
            State::Complete | State::Incomplete => category.documents.len().to_string(),
        };
        table.add_row([
            Cell::new(category.category),
            Cell::new(documents).set_alignment(CellAlignment::Right),
            Cell::new(printable(&state(category))),
            Cell::new(took(category.took)).set_alignment(CellAlignment::Right),
            Cell::new(category.index),
        ]);
    }
    table
}

fn state(category: &CategoryInventory) -> String {
    let problems = category.problems.len() + category.problems_dropped;
    let problems = match problems {
        0 => String::new(),
        1 => ", 1 problem".to_owned(),
        n => format!(", {n} problems"),
    };
    match &category.state {
        State::Complete => format!("complete{problems}"),
        State::Incomplete => format!("incomplete{problems}"),
        State::Unavailable { reason } => format!("unavailable: {reason}"),
    }
}

fn took(took: Duration) -> String {
    format!("{} ms", took.as_millis())
}

fn write_category(
    out: &mut impl Write,
    category: &CategoryInventory,
    layout: Layout,
) -> io::Result<()> {
    let view = View::of(category.category);
    let mut documents: Vec<Json> = category
        .documents
        .iter()
        .filter_map(|document| serde_json::from_slice(&document.body).ok())
        .collect();
    view.order.sort(&mut documents);
    let shown = documents.len().min(layout.limit);
    let which = if documents.len() == shown {
        String::new()
    } else {
        format!(": {shown} of {}, {}", documents.len(), view.order.words)
    };
    writeln!(out, "\n{}{which}", category.category)?;
    let mut table = empty_table(layout);
    let header = |column: &columns::Column| align(Cell::new(column.heading), column);
    table.set_header(view.columns.iter().map(header));
    for document in &documents[..shown] {
        let cells = view
            .columns
            .iter()
            .map(|column| align(Cell::new(printable(&column.text(document))), column));
        let mut row = Row::from(cells.collect::<Vec<_>>());
        row.max_height(1);
        table.add_row(row);
    }
    writeln!(out, "{table}")
}

fn align(cell: Cell, column: &columns::Column) -> Cell {
    if column.is_number() {
        cell.set_alignment(CellAlignment::Right)
    } else {
        cell
    }
}

fn write_problems(out: &mut impl Write, category: &CategoryInventory) -> io::Result<()> {
    for problem in category.problems.iter().take(SHOWN_PROBLEMS) {
        let problem = printable(&problem.to_string());
        writeln!(out, "  {}: {problem}", category.category)?;
    }
    let total = category.problems.len() + category.problems_dropped;
    if total > SHOWN_PROBLEMS {
        let more = total - SHOWN_PROBLEMS;
        writeln!(out, "  {}: and {more} more", category.category)?;
    }
    Ok(())
}

fn empty_table(layout: Layout) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_truncation_indicator("…");
    match layout.width {
        Some(width) => {
            table.set_width(width);
        }
        None if table.width().is_none() => {
            table.set_width(DEFAULT_WIDTH);
        }
        None => {}
    }
    table
}

/// Text that cannot command the terminal: a process may be called anything, escape sequences included.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
