//! What is brought: the indices whose scan completed, in parts that fit a session.

use crate::inventory::{CategoryInventory, Document, Inventory, State};

use super::packing::DOCUMENT_BYTES_MAX;
use super::report::LeftOut;

/// The indices of an inventory that a Full may name, and those that it may not.
#[derive(Debug)]
pub(super) struct Selection<'a> {
    /// In the inventory's order.
    pub(super) indices: Vec<IndexContent<'a>>,
    left_out: Vec<LeftOut>,
}

/// The whole content of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexContent<'a> {
    /// Its exact name.
    pub(super) name: &'static str,
    /// Ascending by id.
    pub(super) documents: &'a [Document],
}

impl<'a> Selection<'a> {
    pub(super) fn of(inventory: &'a Inventory) -> Self {
        let mut selection = Self {
            indices: Vec::new(),
            left_out: Vec::new(),
        };
        for category in &inventory.categories {
            match reason_against(category) {
                None => selection.indices.push(IndexContent {
                    name: category.index,
                    documents: &category.documents,
                }),
                Some(reason) => selection.left_out.push(LeftOut {
                    index: category.index.to_owned(),
                    reason,
                }),
            }
        }
        selection
    }

    pub(super) fn documents(&self) -> usize {
        self.indices.iter().map(|index| index.documents.len()).sum()
    }

    pub(super) fn left_out(&self) -> Vec<LeftOut> {
        self.left_out.clone()
    }

    pub(super) fn whole(&self) -> Part<'a> {
        Part::new(self.indices.clone())
    }
}

/// Why a Full may not name this category's index: what it does not carry would be deleted.
fn reason_against(category: &CategoryInventory) -> Option<String> {
    match &category.state {
        State::Unavailable { reason } => Some(format!("it could not be read: {reason}")),
        State::Incomplete => Some("it could be read in part only".to_owned()),
        State::Complete => category
            .documents
            .iter()
            .find(|document| document.body.len() > DOCUMENT_BYTES_MAX)
            .map(|document| {
                format!(
                    "its document {} has {} bytes, and no message holds more than {DOCUMENT_BYTES_MAX}",
                    document.id,
                    document.body.len()
                )
            }),
    }
}

/// What one session brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part<'a> {
    indices: Vec<IndexContent<'a>>,
    /// The documents by their number in the session.
    rows: Vec<&'a Document>,
}

impl<'a> Part<'a> {
    fn new(indices: Vec<IndexContent<'a>>) -> Self {
        let rows = indices.iter().flat_map(|index| index.documents).collect();
        Self { indices, rows }
    }

    /// The exact names of its indices.
    pub(super) fn names(&self) -> Vec<String> {
        self.indices
            .iter()
            .map(|index| index.name.to_owned())
            .collect()
    }

    /// The documents by their number in the session.
    pub(super) fn rows(&self) -> &[&'a Document] {
        &self.rows
    }

    /// Groups of whole indices with at most `max_items` documents each, in order, and the names of the
    /// indices that are too large alone.
    pub(super) fn split(&self, max_items: u64) -> (Vec<Self>, Vec<&'static str>) {
        let mut groups: Vec<Vec<IndexContent<'a>>> = Vec::new();
        let mut too_large = Vec::new();
        let mut room = 0;
        for index in &self.indices {
            let count = index.documents.len() as u64;
            if count > max_items {
                too_large.push(index.name);
            } else if let Some(group) = groups.last_mut().filter(|_| count <= room) {
                group.push(*index);
                room -= count;
            } else {
                groups.push(vec![*index]);
                room = max_items - count;
            }
        }
        (groups.into_iter().map(Self::new).collect(), too_large)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::provider::Category;

    fn document(category: Category, n: usize) -> Document {
        Document {
            id: format!("{n:040x}"),
            index: category.index(),
            body: b"{}".to_vec(),
            checksum: String::new(),
        }
    }

    fn category(category: Category, count: usize, state: State) -> CategoryInventory {
        CategoryInventory {
            category,
            index: category.index(),
            state,
            documents: (0..count).map(|n| document(category, n)).collect(),
            problems: Vec::new(),
            problems_dropped: 0,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn only_complete_indices_are_named_and_the_others_are_told() {
        let mut huge = category(Category::Users, 1, State::Complete);
        huge.documents[0].body = vec![b' '; DOCUMENT_BYTES_MAX + 1];
        let unread = State::Unavailable {
            reason: "no such file".to_owned(),
        };
        let inventory = Inventory {
            categories: vec![
                category(Category::System, 1, State::Complete),
                category(Category::Packages, 0, unread),
                category(Category::Ports, 3, State::Incomplete),
                category(Category::Groups, 0, State::Complete),
                huge,
            ],
        };
        let selection = Selection::of(&inventory);
        assert_eq!(
            selection.whole().names(),
            [
                "wazuh-states-inventory-system",
                "wazuh-states-inventory-groups"
            ]
        );
        assert_eq!(selection.documents(), 1);
        let left_out = selection.left_out();
        assert_eq!(left_out.len(), 3);
        assert!(left_out[0].reason.contains("no such file"));
        assert!(left_out[1].reason.contains("in part"));
        assert!(left_out[2].reason.contains("bytes"));
    }

    #[test]
    fn a_split_keeps_indices_whole_and_in_order() {
        let inventory = Inventory {
            categories: vec![
                category(Category::System, 1, State::Complete),
                category(Category::Packages, 9, State::Complete),
                category(Category::Processes, 4, State::Complete),
                category(Category::Ports, 2, State::Complete),
                category(Category::Users, 0, State::Complete),
            ],
        };
        let whole = Selection::of(&inventory).whole();
        let (parts, too_large) = whole.split(6);
        let sizes: Vec<_> = parts.iter().map(|part| part.rows().len()).collect();
        assert_eq!(sizes, [5, 2]);
        assert_eq!(parts[1].names().len(), 2);
        assert_eq!(too_large, ["wazuh-states-inventory-packages"]);

        let (parts, too_large) = whole.split(16);
        assert_eq!((parts, too_large), (vec![whole.clone()], vec![]));
    }
}
