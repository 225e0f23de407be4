//! Peers that no correct code would be: they hold a certificate of their own, and say whatever they like.
//!
//! A hostile peer opens sessions, and then says in them, beside them and in those of others what no agent
//! says: absurd Starts, sequences beyond the size, Ends of sessions that are not its own, messages of a
//! manager, bytes that are no message, floods. Some never read. What they store under their own identity is
//! theirs; nothing of it may touch another agent (`docs/protocol.md` section 2).

use std::borrow::Cow;

use inventory_sync_core::id::{AgentId, ConnectionId, IndexId, NO_SESSION, Version};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{
    self, BatchBuilder, ChecksumModule, DataClean, DataContext, End, EndAck, Hello, Item, Mode,
    Operation, ReqRet, Start, StartAck, Status,
};

use crate::agent_node::agent_info;
use crate::choices::Draws;
use crate::content::{Content, DocKey};
use crate::network::{Packet, Way};
use crate::odd_json::NO_DOCUMENTS;
use crate::streams::Stream;
use crate::world::{Occurrence, World};

/// What is known of a session that a hostile peer opened.
#[derive(Debug, Clone, Copy)]
struct Opened {
    session: u64,
    module: usize,
}

/// A hostile peer.
#[derive(Debug)]
pub(crate) struct Hostile {
    pub(crate) id: AgentId,
    connection: Option<ConnectionId>,
    sessions: Vec<Opened>,
    /// Nonces of its Starts, with their modules, until they are answered.
    nonce: u64,
    module: usize,
    every_ms: u64,
    never_reads: bool,
    stream: Stream,
}

/// What may wait for a hostile peer that does not read, in bytes.
pub(crate) const HOSTILE_UNREAD_MAX: u64 = 4_000;

/// An id or name of so many characters is too long.
const TOO_LONG: usize = 600;

/// Sessions that a hostile peer remembers.
const SESSIONS_MAX: usize = 4;

impl Hostile {
    fn new(draws: &Draws, id: AgentId) -> Self {
        let mut stream = Stream::numbered(draws, "hostile-peer", id.0);
        Self {
            id,
            connection: None,
            sessions: Vec::new(),
            nonce: stream.bits(),
            module: 0,
            every_ms: *stream.pick(&[100, 500, 2_000]),
            never_reads: stream.chance(250_000),
            stream,
        }
    }

    fn pick_session(&mut self) -> Option<Opened> {
        if self.sessions.is_empty() {
            return None;
        }
        Some(*self.stream.pick(&self.sessions))
    }
}

impl World {
    /// The hostile peers of this world; their ids follow those of the agents.
    pub(crate) fn make_hostiles(&mut self) {
        let first = self.first_hostile();
        self.oracles.set_hostile_from(AgentId(first));
        for number in 0..u64::from(self.options.hostiles) {
            let hostile = Hostile::new(&self.draws, AgentId(first + number));
            if hostile.never_reads {
                self.network.condition_mut(hostile.id).deaf_until = Tick(u64::MAX);
            }
            self.hostiles.push(hostile);
        }
    }

    /// Hostile peers begin.
    pub(crate) fn begin_hostility(&mut self) {
        for hostile in 0..self.hostiles.len() {
            self.schedule.after(1, Occurrence::HostileTurn(hostile));
        }
    }

    /// From this id on peers are hostile.
    fn first_hostile(&self) -> u64 {
        u64::from(self.options.first_agent) + u64::from(self.options.agents)
    }

    /// Whether an agent id is a hostile peer's.
    pub(crate) fn is_hostile(&self, id: AgentId) -> bool {
        id.0 >= self.first_hostile()
    }

    /// A hostile peer does something; it goes on until the world is healed, or for ever.
    pub(crate) fn hostile_turn(&mut self, number: usize) {
        let hostile = &mut self.hostiles[number];
        let id = hostile.id;
        if self.healed && !self.broken.contains(&id) {
            if let Some(connection) = hostile.connection.take() {
                self.hang_up(connection);
            }
            return;
        }
        hostile.stream.episode();
        let most_ms = 2 * hostile.every_ms;
        if let Some(after_ms) = hostile.stream.sometime(1, most_ms) {
            self.schedule
                .after(after_ms, Occurrence::HostileTurn(number));
        }
        if self.hostiles[number].connection.is_none() {
            self.hostiles[number].connection = self.accept(id);
        }
        let Some(connection) = self.hostiles[number].connection else {
            return;
        };
        let frames = match self.hostiles[number].stream.below(40) {
            0 => self.flood(number),
            1 => {
                self.hostiles[number].connection = None;
                return self.hang_up(connection);
            }
            2..=13 => vec![self.hostile_start(number)],
            14..=27 => vec![self.hostile_data(number)],
            28..=32 => vec![self.hostile_end(number)],
            33..=35 => vec![self.wrong_direction(number)],
            36..=38 => vec![self.no_message(number)],
            _ => self.overheard(number).into_iter().collect(),
        };
        for frame in frames {
            self.send_frame(connection, Way::Up, &Packet::new(frame));
        }
    }

    /// A hostile peer hears something: it remembers its sessions.
    pub(crate) fn hostile_hears(&mut self, connection: ConnectionId, packet: &Packet) {
        let Some(hostile) = self
            .hostiles
            .iter_mut()
            .find(|hostile| hostile.connection == Some(connection))
        else {
            return;
        };
        if let Ok(wire::Message::StartAck(ack)) = wire::decode(packet.bytes())
            && ack.status == Status::Ok
        {
            let module = self.options.config.catalogue.module(&ack.module);
            if hostile.sessions.len() >= SESSIONS_MAX {
                hostile.sessions.remove(0);
            }
            hostile.sessions.push(Opened {
                session: ack.session,
                module: module.map_or(0, |module| usize::from(module.0)),
            });
        }
    }

    /// A hostile peer's connection has ended.
    pub(crate) fn hostile_loses(&mut self, connection: ConnectionId) {
        for hostile in &mut self.hostiles {
            if hostile.connection == Some(connection) {
                hostile.connection = None;
            }
        }
    }

    /// A Start that is in order but for one or two of its fields, or wholly.
    fn hostile_start(&mut self, number: usize) -> Vec<u8> {
        let now_ms = self.unix_ms();
        let catalogue = &self.options.config.catalogue;
        let hostile = &mut self.hostiles[number];
        let modules = catalogue.modules();
        let stream = &mut hostile.stream;
        hostile.module = usize::try_from(stream.below(modules.len() as u64)).unwrap_or(0);
        hostile.nonce = match stream.below(8) {
            0 => 0,
            1 => hostile.nonce,
            2 => hostile.nonce.wrapping_sub(1),
            3 => stream.bits(),
            _ => hostile.nonce.wrapping_add(1),
        };
        let module = &modules[hostile.module];
        let is_full = stream.chance(300_000);
        let names = module.indices.iter();
        let names = names.map(|index| catalogue.index_name(*index).to_owned());
        let mut start = Start {
            mode: Some(if is_full { Mode::Full } else { Mode::Delta }),
            size: stream.between(1, 6),
            module: module.name.clone(),
            agent_id: hostile.id.0,
            protocol_version: *stream.pick(&[0, 1, 1, 1, 7, u16::MAX]),
            nonce: hostile.nonce,
            indices: names.collect(),
            agent: Some(agent_info(hostile.id)),
            ..Start::default()
        };
        if stream.chance(500_000) {
            spoil_start(&mut start, stream, now_ms);
        }
        wire::encode_start(&start)
    }

    /// Items in its own session, beyond its size, in others' sessions, in none.
    fn hostile_data(&mut self, number: usize) -> Vec<u8> {
        let theirs = self.others_session(number);
        let catalogue = &self.options.config.catalogue;
        let hostile = &mut self.hostiles[number];
        let own = hostile.pick_session();
        let stream = &mut hostile.stream;
        let session = match stream.below(10) {
            0 => stream.bits(),
            1 => NO_SESSION.0,
            2 | 3 => theirs,
            _ => own.map_or(0, |own| own.session),
        };
        let module = own.map_or(0, |own| own.module);
        let indices = &catalogue.modules()[module].indices;
        let index: IndexId = *stream.pick(indices);
        let document = u32::try_from(stream.below(8)).unwrap_or(0);
        let key = DocKey::new(hostile.id, index, document);
        let payload = Content(1 << 53 | stream.below(64) << 8 | u64::from(document)).payload();
        let id = match stream.below(10) {
            0 => String::new(),
            1 => "x".repeat(TOO_LONG),
            _ => key.id(),
        };
        let name: Cow<'_, str> = match stream.below(10) {
            0 => "no-such-index".into(),
            1 => "x".repeat(TOO_LONG).into(),
            2 => catalogue.index_name(IndexId(0)).into(),
            _ => catalogue.index_name(index).into(),
        };
        let data: Option<&[u8]> = match stream.below(10) {
            0 => None,
            1..=4 => Some(*stream.pick(NO_DOCUMENTS)),
            _ => Some(&payload),
        };
        let seq = match stream.below(12) {
            0 => u64::MAX,
            1 => u64::from(u32::MAX),
            2 => 6,
            _ => stream.below(6),
        };
        let item = Item {
            seq,
            operation: if stream.chance(200_000) {
                Operation::Delete
            } else {
                Operation::Upsert
            },
            id: &id,
            index: &name,
            data,
            version: stream.below(2) * stream.bits(),
        };
        if stream.chance(500_000) {
            return wire::encode_data(session, &item);
        }
        let mut batch = BatchBuilder::new(session, 16_384);
        for _ in 0..stream.below(4) {
            // What does not fit is left out.
            let _ = batch.push(&item);
        }
        batch.finish()
    }

    fn hostile_end(&mut self, number: usize) -> Vec<u8> {
        let theirs = self.others_session(number);
        let hostile = &mut self.hostiles[number];
        let own = hostile.pick_session().map_or(0, |own| own.session);
        let stream = &mut hostile.stream;
        let session = match stream.below(6) {
            0 => stream.bits(),
            1 => NO_SESSION.0,
            2 => theirs,
            _ => own,
        };
        wire::encode_end(&End { session })
    }

    /// The session of some agent, which a hostile peer cannot know, but might.
    fn others_session(&mut self, number: usize) -> u64 {
        let lanes = self.agents.iter().flat_map(|node| &node.lanes);
        let sessions: Vec<u64> = lanes
            .filter_map(|lane| lane.machine.session_id())
            .map(|session| session.0)
            .collect();
        if sessions.is_empty() {
            return 0;
        }
        *self.hostiles[number].stream.pick(&sessions)
    }

    /// What only a manager says, and what is not built yet.
    fn wrong_direction(&mut self, number: usize) -> Vec<u8> {
        let session = self.others_session(number);
        let hostile = &mut self.hostiles[number];
        let own = hostile.pick_session().map_or(0, |own| own.session);
        match hostile.stream.below(7) {
            0 => wire::encode_start_ack(&StartAck {
                session,
                ..StartAck::default()
            }),
            1 => wire::encode_end_ack(&EndAck {
                session,
                ..EndAck::default()
            }),
            2 => wire::encode_req_ret(&ReqRet {
                session,
                ..ReqRet::default()
            }),
            3 => wire::encode_data_clean(&DataClean {
                session: own,
                ..DataClean::default()
            }),
            4 => wire::encode_data_context(&DataContext {
                session: own,
                ..DataContext::default()
            }),
            5 => wire::encode_checksum_module(&ChecksumModule {
                session: own,
                ..ChecksumModule::default()
            }),
            _ => wire::encode_hello(&Hello {
                protocol_version: u16::MAX,
                agent_id: u64::MAX,
                agent_name: "\u{0}".repeat(300),
                agent_version: String::new(),
                features: u64::MAX,
            }),
        }
    }

    /// Bytes at random, or a message of which some are changed.
    fn no_message(&mut self, number: usize) -> Vec<u8> {
        let frame = self.hostile_start(number);
        let stream = &mut self.hostiles[number].stream;
        if stream.chance(500_000) {
            let count = stream.below(64);
            return (0..count).map(|_| low_byte(stream.bits())).collect();
        }
        // The root, and the tables near it: never the text at the end, which would be a sound message.
        let mut bytes = frame;
        let place = usize::try_from(stream.below(4)).unwrap_or(0);
        if let Some(byte) = bytes.get_mut(place) {
            *byte = low_byte(stream.bits());
        }
        bytes
    }

    /// A frame of an agent, word for word.
    fn overheard(&mut self, number: usize) -> Option<Vec<u8>> {
        let session = self.others_session(number);
        let victims: Vec<u64> = self.agents.iter().map(|node| node.id.0).collect();
        let hostile = &mut self.hostiles[number];
        let victim = *hostile.stream.pick(&victims);
        let catalogue = &self.options.config.catalogue;
        let module = catalogue.modules().first()?;
        Some(if hostile.stream.chance(500_000) {
            wire::encode_end(&End { session })
        } else {
            wire::encode_start(&Start {
                mode: Some(Mode::Full),
                module: module.name.clone(),
                agent_id: victim,
                protocol_version: 1,
                nonce: hostile.stream.bits(),
                indices: vec![catalogue.index_name(*module.indices.first()?).to_owned()],
                ..Start::default()
            })
        })
    }

    /// A lot at once.
    fn flood(&mut self, number: usize) -> Vec<Vec<u8>> {
        let count = self.hostiles[number].stream.between(20, 100);
        (0..count)
            .map(|place| match place % 4 {
                0 => self.hostile_start(number),
                1 | 2 => self.hostile_data(number),
                _ => self.hostile_end(number),
            })
            .collect()
    }
}

fn low_byte(bits: u64) -> u8 {
    bits.to_le_bytes()[0]
}

/// One field of a Start says what no agent says.
fn spoil_start(start: &mut Start, stream: &mut Stream, now_ms: u64) {
    match stream.below(14) {
        0 => start.mode = None,
        1 => start.mode = Some(Mode::Check),
        2 => start.size = u64::MAX,
        3 => start.size = 0,
        4 => start.module = "no-such-module".to_owned(),
        5 => start.agent_id = stream.below(3),
        6 => start.indices = vec!["no-such-index".to_owned(); 200],
        7 => start.indices.extend(start.indices.clone()),
        8 => start.cluster_name = "another-cluster".to_owned(),
        9 => {
            let soon = Version::from_unix_ms(now_ms + stream.between(0, 48 * 3_600_000)).0;
            start.version_floor = *stream.pick(&[u64::MAX, 1 << 62, soon, soon]);
        }
        10 => start.id_from = Some("a".to_owned()),
        11 => start.global_version = u64::MAX,
        12 => start.size = u64::from(u32::MAX),
        _ => start.agent = None,
    }
}
