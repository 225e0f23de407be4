//! The overlays of documents (`docs/protocol.md` section 7), each kept once.

use super::scan::{self, Unclear};
use crate::model::engine::Document;
use crate::model::json::{self, Json};
use std::collections::HashMap;

/// The number of an overlay.
pub type OverlayId = u32;

/// The overlay of documents that have none.
pub const NONE: OverlayId = 0;

/// One overlay.
#[derive(Debug)]
pub struct Overlay {
    /// The value of the document's member `wazuh`, as compact text; empty for none.
    pub text: Box<[u8]>,
    /// A document that has the overlay alone, for queries.
    pub document: Document,
}

/// All overlays that documents had.
#[derive(Debug)]
pub struct Overlays {
    all: Vec<Overlay>,
    by_text: HashMap<Box<[u8]>, OverlayId>,
    /// By `wazuh.agent.id`.
    by_agent: HashMap<String, Vec<OverlayId>>,
    /// As the last document had it, and its number.
    last: (Vec<u8>, OverlayId),
}

impl Default for Overlays {
    fn default() -> Overlays {
        Overlays {
            all: vec![Overlay {
                text: Box::default(),
                document: Document::new(0, 0, 0, b"{}".as_slice().into()),
            }],
            by_text: HashMap::from([(Box::default(), NONE)]),
            by_agent: HashMap::new(),
            last: (Vec::new(), NONE),
        }
    }
}

impl Overlays {
    /// The overlay of a source.
    ///
    /// # Errors
    /// [`Unclear`]
    pub fn of(&mut self, source: &[u8]) -> Result<OverlayId, Unclear> {
        // Where the daemon puts it; documents of one agent follow each other.
        if let Some(rest) = source.strip_prefix(b"{\"wazuh\":") {
            let (last, id) = &self.last;
            let behind = rest.get(last.len());
            if matches!(behind, Some(b',' | b'}')) && rest.starts_with(last) && !last.is_empty() {
                return Ok(*id);
            }
        }
        let text = match scan::member(source, b"wazuh")? {
            Some(found) => scan::value(found)?,
            None => b"",
        };
        let id = match self.by_text.get(text) {
            Some(known) => *known,
            None => self.intern(text, &json::parse(text).map_err(|_| Unclear)?),
        };
        self.last = (text.to_vec(), id);
        Ok(id)
    }

    /// The number of an overlay, given out if it has none yet.
    pub fn intern(&mut self, text: &[u8], overlay: &Json) -> OverlayId {
        if let Some(known) = self.by_text.get(text) {
            return *known;
        }
        let id = OverlayId::try_from(self.all.len()).unwrap_or(NONE);
        let compact = overlay.to_bytes();
        let source = [b"{\"wazuh\":", &*compact, b"}"].concat();
        let agent = overlay.get("agent").and_then(|agent| agent.get("id"));
        if let Some(agent) = agent.and_then(Json::scalar_text) {
            self.by_agent.entry(agent).or_default().push(id);
        }
        self.by_text.insert(text.into(), id);
        self.all.push(Overlay {
            text: compact.into(),
            document: Document::new(0, 0, 0, source.into()),
        });
        id
    }

    /// One of them.
    pub fn get(&self, id: OverlayId) -> &Overlay {
        &self.all[id as usize]
    }

    /// Those of an agent.
    pub fn of_agent(&self, agent: &str) -> &[OverlayId] {
        self.by_agent.get(agent).map_or(&[], Vec::as_slice)
    }

    /// All of them.
    pub fn ids(&self) -> impl Iterator<Item = OverlayId> + use<> {
        0..OverlayId::try_from(self.all.len()).unwrap_or(OverlayId::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_overlays_are_one() {
        let mut overlays = Overlays::default();
        let first = overlays
            .of(br#"{"wazuh":{"agent":{"id":"001"}},"a":1}"#)
            .unwrap();
        assert_eq!(
            overlays.of(br#"{"wazuh":{"agent":{"id":"001"}}}"#),
            Ok(first)
        );
        assert_eq!(
            overlays.of(br#"{"b":2,"wazuh":{"agent":{"id":"001"}}}"#),
            Ok(first)
        );
        let other = overlays
            .of(br#"{"wazuh":{"agent":{"id":"0011"}},"a":1}"#)
            .unwrap();
        assert_ne!(first, other);
        assert_eq!(overlays.of(br#"{"a":1}"#), Ok(NONE));
        assert_eq!(overlays.of_agent("001"), [first]);
        assert!(overlays.of_agent("1").is_empty());
        assert_eq!(&*overlays.get(other).text, br#"{"agent":{"id":"0011"}}"#);
    }

    #[test]
    fn an_overlay_that_goes_on_is_another() {
        let mut overlays = Overlays::default();
        let short = overlays.of(br#"{"wazuh":1,"a":1}"#).unwrap();
        assert_ne!(overlays.of(br#"{"wazuh":12,"a":1}"#), Ok(short));
    }
}
