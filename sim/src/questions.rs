//! Questions of the coordinator as they travel: production's requests, answered as text by the model of the
//! Indexer, and read as production reads.
//!
//! ```text
//!  request ──▶ out of reach │ arrives ──▶ refused whole │ done ──▶ answer ──▶ lost │ cut short │ read
//! ```

use inventory_indexer::model::api;
use inventory_sync_core::answer::{self, request};
use inventory_sync_core::coordinator::{
    CountOutcome, HealthOutcome, IndexOutcome, WriteOutcome, WriterCondition, WriterDocument,
    WriterOutcome,
};
use inventory_sync_core::id::IndexId;
use inventory_sync_core::manager::Unready;

use crate::faults::Fault;
use crate::indexer_node::{IndexerNode, WRITER_INDEX};
use crate::world::World;

/// What becomes of a question and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// The question never arrives.
    OutOfReach,
    /// It is answered, and nobody hears the answer.
    Lost,
    /// Half of the answer is heard.
    CutShort,
    /// It is answered.
    Sound,
}

/// The Indexer's own limit for a write, in milliseconds.
const WRITE_TIMEOUT_MS: u64 = 1_000;

impl World {
    /// What becomes of the next question.
    pub(crate) fn draw_exchange(&mut self) -> Exchange {
        let strikes = self.faults.strikes(Fault::ControlAnswerLost);
        if !self.indexer.reachable {
            Exchange::OutOfReach
        } else if !strikes {
            Exchange::Sound
        } else if self.faults.stream(Fault::ControlAnswerLost).chance(300_000) {
            Exchange::CutShort
        } else {
            Exchange::Lost
        }
    }

    /// Whether the Indexer does as it is asked, and its answer is heard whole.
    pub(crate) fn is_served(&self, exchange: Exchange) -> bool {
        exchange == Exchange::Sound && self.indexer.refuses.is_none()
    }

    /// Asks the Indexer; status and body, if something is heard.
    fn ask(&mut self, exchange: Exchange, request: &request::Request) -> Option<(u16, Vec<u8>)> {
        if exchange == Exchange::OutOfReach {
            return None;
        }
        let (status, mut body) = match self.indexer.refuses {
            Some(why) => refusal(why),
            None => self.answer(request),
        };
        match exchange {
            Exchange::OutOfReach | Exchange::Lost => None,
            Exchange::CutShort => {
                body.truncate(body.len() / 2);
                Some((status, body))
            }
            Exchange::Sound => Some((status, body)),
        }
    }

    fn answer(&mut self, request: &request::Request) -> (u16, Vec<u8>) {
        let now_ms = self.unix_ms();
        let target = request.target.as_str();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let asked = api::Request {
            method: request.method.name(),
            path,
            query,
            body: &request.body,
        };
        let response = api::handle(&mut self.indexer.model, now_ms, &asked);
        (response.status, response.body)
    }

    pub(crate) fn ask_health(&mut self, exchange: Exchange) -> HealthOutcome {
        let heard = self.ask(exchange, &request::health());
        let outcome = heard.map_or(
            HealthOutcome::Unready(Unready::Unreachable),
            |(status, body)| answer::health(status, &body),
        );
        // Operators are told what to repair.
        let why = match self.indexer.refuses {
            Some(why @ (Unready::Unauthorized | Unready::Forbidden)) => Some(why),
            Some(_) => Some(Unready::Initializing),
            None => None,
        };
        if exchange == Exchange::Sound
            && let Some(why) = why
            && outcome != HealthOutcome::Unready(why)
        {
            let expected = format!("the Indexer is not ready: {why:?}");
            self.oracles
                .fail("P-8 health", expected, format!("{outcome:?}"));
        }
        outcome
    }

    pub(crate) fn ask_for_writer_index(&mut self, exchange: Exchange) -> IndexOutcome {
        self.create(exchange, WRITER_INDEX, &request::create_writer_index())
    }

    pub(crate) fn ask_for_index(&mut self, exchange: Exchange, index: IndexId) -> IndexOutcome {
        let catalogue = &self.options.config.catalogue;
        let name = catalogue.index_name(index).to_owned();
        let request = request::create_index(catalogue, index);
        self.create(exchange, &name, &request)
    }

    fn create(
        &mut self,
        exchange: Exchange,
        name: &str,
        request: &request::Request,
    ) -> IndexOutcome {
        let was_there = self.indexer.model.get_index(name).is_some();
        let heard = self.ask(exchange, request);
        if !was_there {
            let (settings, red) = (IndexerNode::settings(&self.options), self.indexer.red);
            self.indexer.model.change_index(name, |index| {
                index.settings = settings;
                index.shard_missing = red;
            });
        }
        heard.map_or(IndexOutcome::Unknown, |(status, body)| {
            answer::index_created(status, &body)
        })
    }

    /// The cluster that the process asks for; what one has asked that is gone may arrive all the same.
    fn asking_cluster(&self) -> String {
        match &self.process {
            Some(process) => process.scheme.cluster().to_owned(),
            None => self.options.config.cluster.clone(),
        }
    }

    pub(crate) fn ask_for_writer(&mut self, exchange: Exchange) -> WriterOutcome {
        let request = request::read_writer(&self.asking_cluster());
        self.ask(exchange, &request)
            .map_or(WriterOutcome::Unknown, |(status, body)| {
                answer::writer_read(status, &body)
            })
    }

    pub(crate) fn ask_to_write_writer(
        &mut self,
        exchange: Exchange,
        condition: WriterCondition,
        document: &WriterDocument,
    ) -> WriteOutcome {
        let cluster = self.asking_cluster();
        let request = request::write_writer(&cluster, condition, document, WRITE_TIMEOUT_MS);
        let heard = self.ask(exchange, &request);
        if self
            .writer_document()
            .is_some_and(|stored| stored == *document)
        {
            self.writer_bound = self.writer_bound.max(Some(document.bound));
        }
        heard.map_or(WriteOutcome::Unknown, |(status, body)| {
            answer::writer_written(status, &body)
        })
    }

    /// Refreshes and counts each index alone, as production does.
    pub(crate) fn ask_to_count(&mut self, exchange: Exchange) -> CountOutcome {
        let now_ms = self.unix_ms();
        let mut documents = 0;
        if self.is_served(exchange) {
            self.indexer.model.refresh_all(now_ms);
        }
        let count = self.options.config.catalogue.indices().len();
        for index in (0_u16..).map(IndexId).take(count) {
            let cluster = self.asking_cluster();
            let request = request::count(&self.options.config.catalogue, index, &cluster);
            let counted = self
                .ask(exchange, &request)
                .map(|(status, body)| answer::counted(status, &body));
            match counted {
                Some(CountOutcome::Documents(counted)) => documents += counted,
                Some(CountOutcome::Unknown) | None => return CountOutcome::Unknown,
            }
        }
        CountOutcome::Documents(documents)
    }
}

/// How a node refuses everything: in plain text while it starts or does not know who asks.
fn refusal(why: Unready) -> (u16, Vec<u8>) {
    match why {
        Unready::Unauthorized => (401, b"Unauthorized".to_vec()),
        Unready::Forbidden => {
            let body = br#"{"error":{"root_cause":[],"type":"security_exception","reason":"no permissions"},"status":403}"#;
            (403, body.to_vec())
        }
        _ => (503, b"OpenSearch Security not initialized.".to_vec()),
    }
}
