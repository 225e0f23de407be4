//! The calls by which the world tells the recorder what travels. Without a recorder each is one test of a
//! pointer; none of them changes the world, and none touches the hash.

use inventory_sync_core::answer::BulkOutcome;
use inventory_sync_core::coordinator;
use inventory_sync_core::id::ConnectionId;
use inventory_sync_core::manager;
use inventory_sync_core::time::Tick;

use super::labels::{Describe, Line, asked, bulk_answered, bulk_sent, fate_remark, frame, told};
use super::recorder::{Film, Parcel, Recorder};
use crate::faults::Fault;
use crate::indexer_node::{Fate, Request};
use crate::network::{Packet, Travel, Way};
use crate::store::Scanned;
use crate::trace::{Link, Node, Trace, fold_of};
use crate::world::World;

impl World {
    /// Records from now on; should the run end in a panic, on this film.
    pub(crate) fn record(&mut self, film: &Film) {
        let recorder = Recorder::new(&self.options, self.now(), film.clone());
        self.faults.tell(recorder.struck());
        self.trace.record(recorder);
    }

    /// A frame leaves one end of a connection.
    pub(crate) fn record_frame(
        &mut self,
        connection: ConnectionId,
        way: Way,
        packet: &Packet,
        travels: &[Travel],
    ) {
        let (now, step) = (self.now(), self.trace.steps());
        if self.trace.recorder().is_none() {
            return;
        }
        let Some(agent) = self.network.get(connection).map(|found| found.agent) else {
            return;
        };
        let shard = Node::Shard(self.shard_of(agent));
        let Some(recorder) = self.trace.recorder() else {
            return;
        };
        let (from, to) = match way {
            Way::Up => (Node::Agent(agent.0), shard),
            Way::Down => (shard, Node::Agent(agent.0)),
        };
        let line = frame(packet, recorder.names(), agent);
        let parcel = |due, remark: &str| Parcel {
            link: Link::Frames(connection, way),
            from,
            to,
            due,
            digest: fold_of(packet.bytes()),
            line: line.clone(),
            remark: remark.to_owned(),
            lost: due.is_none(),
            inside: false,
        };
        if travels.is_empty() {
            recorder.sent(step, now, parcel(None, "lost"));
        }
        for (place, travel) in travels.iter().enumerate() {
            let at = match travel {
                Travel::Queued(at) | Travel::Alone(at, _) => *at,
            };
            let remark = if place > 0 { "a second time" } else { "" };
            recorder.sent(step, now, parcel(Some(at), remark));
        }
    }

    /// A bulk request leaves a shard.
    pub(crate) fn record_request(&mut self, key: u64, request: &Request) {
        let (now, step) = (self.now(), self.trace.steps());
        let Some(recorder) = self.trace.recorder() else {
            return;
        };
        let parcel = Parcel {
            link: Link::Bulk(key),
            from: Node::Shard(request.shard),
            to: Node::Indexer,
            due: None,
            digest: 0,
            line: bulk_sent(request.bulk, &request.parts, recorder.names()),
            remark: fate_remark(request.fate),
            lost: matches!(request.fate, Fate::Lost | Fate::NotSent),
            inside: false,
        };
        recorder.sent(step, now, parcel);
    }

    /// The Indexer answers a bulk request.
    pub(crate) fn record_answer(&mut self, key: u64, status: u16, outcome: &BulkOutcome) {
        if self.trace.recorder().is_none() {
            return;
        }
        let (now, step) = (self.now(), self.trace.steps());
        let Some(request) = self.indexer.requests.get(&key) else {
            return;
        };
        let (shard, garbled) = (request.shard, request.fate == Fate::Garbled);
        let line = bulk_answered(request.bulk, status, outcome);
        let line = match request.parts.first() {
            Some(part) => line.of(part.session),
            None => line,
        };
        let Some(recorder) = self.trace.recorder() else {
            return;
        };
        let parcel = Parcel {
            link: Link::BulkAnswer(key),
            from: Node::Indexer,
            to: Node::Shard(shard),
            due: None,
            digest: 0,
            line,
            remark: if garbled { "garbled" } else { "" }.to_owned(),
            lost: false,
            inside: false,
        };
        recorder.sent(step, now, parcel);
    }
}

impl World {
    /// An operation is answered and applied all the same, later.
    pub(crate) fn record_straggler(&mut self, key: u64, after_ms: u64) {
        let (now, step) = (self.now(), self.trace.steps());
        if let Some(recorder) = self.trace.recorder() {
            recorder.sent(
                step,
                now,
                Parcel {
                    link: Link::Bulk(key),
                    from: Node::Indexer,
                    to: Node::Indexer,
                    due: None,
                    digest: 0,
                    line: Line::new(
                        super::Class::Message,
                        "answered 503, applied later".to_owned(),
                    ),
                    remark: fate_remark(Fate::Late(after_ms)),
                    lost: false,
                    inside: false,
                },
            );
        }
    }
}

impl Trace {
    /// A frame reaches the other end of its connection.
    pub(crate) fn frame_arrived(
        &mut self,
        now: Tick,
        connection: ConnectionId,
        way: Way,
        packet: &Packet,
    ) {
        let step = self.steps();
        if let Some(recorder) = self.recorder() {
            let link = Link::Frames(connection, way);
            recorder.arrived(step, now, link, fold_of(packet.bytes()));
        }
    }

    /// A frame would arrive now, but its connection is no more.
    pub(crate) fn frame_vanished(&mut self, now: Tick, connection: ConnectionId, way: Way) {
        if let Some(recorder) = self.recorder() {
            recorder.vanished(now, Link::Frames(connection, way));
        }
    }

    /// What has just arrived is left unread.
    pub(crate) fn held(&mut self) {
        if let Some(recorder) = self.recorder() {
            recorder.held();
        }
    }

    /// What is next on a link has arrived.
    pub(crate) fn arrived(&mut self, now: Tick, link: Link) {
        let step = self.steps();
        if let Some(recorder) = self.recorder() {
            recorder.arrived(step, now, link, 0);
        }
    }

    /// The coordinator's request leaves.
    pub(crate) fn control_sent(&mut self, now: Tick, life: u32, command: &coordinator::Command) {
        if let Some(request) = asked(command) {
            let link = Link::Control(life, request);
            self.sent(now, link, (Node::Coordinator, Node::Indexer), command);
        }
    }

    /// The coordinator's request reaches the Indexer.
    pub(crate) fn control_arrived(&mut self, now: Tick, life: u32, command: &coordinator::Command) {
        if let Some(request) = asked(command) {
            self.arrived(now, Link::Control(life, request));
        }
    }

    /// The Indexer's answer to the coordinator leaves.
    pub(crate) fn control_answer_sent(&mut self, now: Tick, life: u32, event: &coordinator::Event) {
        if let Some(request) = told(event) {
            let link = Link::ControlAnswer(life, request);
            self.sent(now, link, (Node::Indexer, Node::Coordinator), event);
        }
    }

    /// The Indexer's answer reaches the coordinator.
    pub(crate) fn control_answered(&mut self, now: Tick, life: u32, event: &coordinator::Event) {
        if let Some(request) = told(event) {
            self.arrived(now, Link::ControlAnswer(life, request));
        }
    }

    /// The coordinator tells a shard something.
    pub(crate) fn shard_mailed(
        &mut self,
        now: Tick,
        (life, shard): (u32, u16),
        event: &manager::Event<Scanned>,
    ) {
        let link = Link::ShardMail(life, shard);
        self.sent(now, link, (Node::Coordinator, Node::Shard(shard)), event);
    }

    /// A shard tells the coordinator something.
    pub(crate) fn coordinator_mailed(&mut self, now: Tick, life: u32, event: &coordinator::Event) {
        let Some(speaker) = self.recorder().and_then(|recorder| recorder.speaker()) else {
            return;
        };
        let ends = (speaker, Node::Coordinator);
        self.sent(now, Link::CoordinatorMail(life), ends, event);
    }

    fn sent(&mut self, now: Tick, link: Link, (from, to): (Node, Node), what: &dyn Describe) {
        let step = self.steps();
        let Some(recorder) = self.recorder() else {
            return;
        };
        let line = what
            .describe(recorder.names())
            .unwrap_or_else(|| Line::new(super::Class::Routine, String::new()));
        let parcel = Parcel {
            link,
            from,
            to,
            due: None,
            digest: 0,
            line,
            remark: String::new(),
            lost: false,
            inside: matches!(link, Link::ShardMail(..) | Link::CoordinatorMail(_)),
        };
        recorder.sent(step, now, parcel);
    }

    /// A step is over.
    pub(crate) fn settle(&mut self) {
        if let Some(recorder) = self.recorder() {
            recorder.settle();
        }
    }

    /// A phase begins.
    pub(crate) fn phase(&mut self, now: Tick, name: &'static str) {
        if let Some(recorder) = self.recorder() {
            recorder.phase(now, name);
            if name == "healed" {
                recorder.healed(now);
            }
        }
    }

    /// A node's process is gone.
    pub(crate) fn down(&mut self, now: Tick, node: Node) {
        if let Some(recorder) = self.recorder() {
            recorder.down(now, node);
        }
    }

    /// A node's process is there again.
    pub(crate) fn up(&mut self, now: Tick, node: Node) {
        if let Some(recorder) = self.recorder() {
            recorder.up(now, node);
        }
    }

    /// The manager's process is gone, with all its machines.
    pub(crate) fn manager_down(&mut self, now: Tick) {
        if let Some(recorder) = self.recorder() {
            for node in recorder.manager() {
                recorder.down(now, node);
            }
        }
    }

    /// The manager's process is there again.
    pub(crate) fn manager_up(&mut self, now: Tick) {
        if let Some(recorder) = self.recorder() {
            for node in recorder.manager() {
                recorder.up(now, node);
            }
        }
    }

    /// A fault begins to last.
    pub(crate) fn fault_lasts(&mut self, now: Tick, fault: Fault) {
        if let Some(recorder) = self.recorder() {
            recorder.fault_lasts(now, fault);
        }
    }

    /// A lasting fault is over.
    pub(crate) fn fault_over(&mut self, now: Tick, fault: Fault) {
        if let Some(recorder) = self.recorder() {
            recorder.fault_over(now, fault);
        }
    }
}
