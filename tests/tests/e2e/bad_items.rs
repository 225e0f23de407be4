//! Items that are wrong, and frames for which there is no room: the last rows of the table of bad input
//! (`docs/protocol.md` section 3.2) over real sockets. `docs/bad-input.md` says which test shows which row.

use inventory_sync_core::agent::Answer;
use inventory_sync_core::wire::{
    EndAck, FailedItem, Hello, Mode, Pair, Reason, Start, Status, encode_hello, encode_start,
};
use inventory_tests::World;
use inventory_tests::connection::Connection;
use inventory_tests::counts::{Counts, counted};
use inventory_tests::daemon::Daemon;
use inventory_tests::document::{Document, PACKAGES, packages};
use inventory_tests::forged::{self, RawItem};
use inventory_tests::peer::{Peer, Way};
use inventory_tests::session::{end, start};
use serde_json::json;

use crate::bad_input::{MODULE, check, check_retry_after, daemon, plain, until_announced};

/// An item that is wrong in one way, or in several: the first flaw in the order index, id, payload counts.
struct Flawed {
    what: &'static str,
    item: fn(RawItem<'static>) -> RawItem<'static>,
    reason: Reason,
    detail: &'static str,
}

const UNKNOWN_INDEX: &str =
    "the item's index belongs to no configured module: add it to a module, or correct the name";
const OTHER_INDEX: &str = "the session may not write the item's index: it is another module's, or the Full does not name it";
const NO_ID: &str = "the item has no id, or an empty one";

/// A row of [`FLAWED`].
const fn flawed(
    what: &'static str,
    item: fn(RawItem<'static>) -> RawItem<'static>,
    reason: Reason,
    detail: &'static str,
) -> Flawed {
    Flawed {
        what,
        item,
        reason,
        detail,
    }
}

/// An item of that index.
macro_rules! of_index {
    ($index:expr) => {
        |item| RawItem {
            index: Some($index),
            ..item
        }
    };
}

/// An item with that document.
macro_rules! of_data {
    ($data:expr) => {
        |item| RawItem {
            data: Some($data),
            ..item
        }
    };
}

#[rustfmt::skip]
const FLAWED: &[Flawed] = &[
    flawed("no index", |item| RawItem { index: None, ..item }, Reason::IndexNotAllowed, "the item names no index"),
    flawed("an empty index", of_index!(""), Reason::IndexNotAllowed, UNKNOWN_INDEX),
    flawed("an unknown index", of_index!("wazuh-states-inventory-packages-2"), Reason::IndexNotAllowed, UNKNOWN_INDEX),
    flawed("another module's index", of_index!("wazuh-states-fim-files"), Reason::IndexNotAllowed, OTHER_INDEX),
    flawed("no id", |item| RawItem { id: None, ..item }, Reason::InvalidPayload, NO_ID),
    flawed("an empty id", |item| RawItem { id: Some(""), ..item }, Reason::InvalidPayload, NO_ID),
    flawed("no document", |item| RawItem { data: None, ..item }, Reason::InvalidPayload, "an upsert without a document"),
    flawed("an empty document", of_data!(b""), Reason::InvalidPayload, "the document is not valid JSON"),
    flawed("no UTF-8", of_data!(b"{\"package\":{\"name\":\"\xff\"}}"), Reason::InvalidPayload, "the document is not valid UTF-8"),
    flawed("half a document", of_data!(b"{\"package\":"), Reason::InvalidPayload, "the document is not valid JSON"),
    flawed("a list", of_data!(b"[{}]"), Reason::InvalidPayload, "the document is not a JSON object"),
    flawed("a key twice", of_data!(b"{\"package\":{},\"package\":{}}"), Reason::InvalidPayload, "a key stands twice at the top of the document"),
    flawed("index and id and document", |item| RawItem { index: Some("*"), id: None, data: None, ..item }, Reason::IndexNotAllowed, UNKNOWN_INDEX),
    flawed("id and document", |item| RawItem { id: Some(""), data: Some(b"{"), ..item }, Reason::InvalidPayload, NO_ID),
    flawed("a delete without an index", |item| RawItem { operation: 1, index: None, ..item }, Reason::IndexNotAllowed, "the item names no index"),
    flawed("a delete without an id", |item| RawItem { operation: 1, id: None, ..item }, Reason::InvalidPayload, NO_ID),
];

#[tokio::test]
async fn a_wrong_item_is_set_aside_and_its_neighbours_are_delivered() {
    let world = World::new("wrong-item");
    let daemon = daemon(&world).await;
    let count = u32::try_from(FLAWED.len()).unwrap();
    // Even sequences are right, odd ones wrong. The first wrong rows come one by one, the others in a batch.
    let rows: &'static [Document] = packages(0..2 * count, "1").leak();
    let item = |seq: usize| {
        let right = RawItem::of(seq as u64, &rows[seq]);
        if seq.is_multiple_of(2) {
            right
        } else {
            (FLAWED[seq / 2].item)(right)
        }
    };
    let size = u64::from(2 * count);
    for (place, peer) in (0..).zip(Peer::ALL) {
        let agents = [2 * place + 1, 2 * place + 2];
        let mut two = peer.two(&world, &daemon, agents).await;
        for in_batch in [false, true] {
            let which = usize::from(in_batch);
            let what = format!("{peer:?}, in a batch: {in_batch}");
            let before = Counts::of(&daemon).await;
            let begin = peer.start(agents[which], size);
            let session = two.open_session(which, &begin).await;
            if in_batch {
                let items: Vec<_> = (0..rows.len()).map(item).collect();
                two.send(which, &forged::batch(session, &items)).await;
            } else {
                for seq in 0..rows.len() {
                    two.send(which, &forged::data(session, item(seq))).await;
                }
            }
            two.send(which, &end(session)).await;
            let ack = two.verdict(which, peer.is_base, &what).await;
            assert_eq!(ack.failed.len(), FLAWED.len(), "{what}: {ack:?}");
            for (place, (failed, flawed)) in ack.failed.iter().zip(FLAWED).enumerate() {
                let wanted = FailedItem {
                    seq: 2 * place as u64 + 1,
                    status: 0,
                    kind: String::new(),
                    reason: flawed.reason,
                    retryable: false,
                    detail: flawed.detail.to_owned(),
                };
                assert_eq!(failed, &wanted, "{what}, {}", flawed.what);
            }
            check_retry_after(&daemon, ack.retry_after_ms, &what);
            let detail = format!("{count} of {size} items were not stored");
            let wanted = EndAck {
                module: MODULE.to_owned(),
                retry_after_ms: ack.retry_after_ms,
                version: ack.version,
                failed: ack.failed.clone(),
                ..plain(session, Reason::PartiallyRejected, &detail)
            };
            assert_eq!(ack, wanted, "{what}");
            let grown = Counts::of(&daemon).await.since(&before);
            let wanted = [
                ("sessions_ended{Error,PartiallyRejected}", 1),
                ("items_failed", u64::from(count)),
            ];
            assert_eq!(grown, counted(&wanted), "{what}");
            let right: Vec<Document> = rows.iter().step_by(2).cloned().collect();
            check(&world, peer, agents[which], &right).await;
        }
        if peer.way == Way::Tls && !peer.is_base {
            a_flawed_item_of_a_full_keeps_what_was_there(&world, agents[0], rows).await;
        }
    }
    until_announced(&daemon, 0, "at the end").await;
    assert!(!daemon.kill_and_find_staged(), "nothing is left behind");
}

/// Set aside is not gone: a Full does not delete the document that it would have replaced.
async fn a_flawed_item_of_a_full_keeps_what_was_there(
    world: &World,
    agent: u64,
    rows: &[Document],
) {
    let mut connection = Connection::open(&world.endpoint(agent)).await.unwrap();
    let full = Start {
        mode: Some(Mode::Full),
        indices: vec![PACKAGES.to_owned()],
        ..start(agent, 1, agent << 32 | 2)
    };
    connection.send(&encode_start(&full)).await;
    let session = connection.start_ack().await.session;
    let flawed = RawItem {
        data: Some(b"{"),
        ..RawItem::of(0, &rows[2])
    };
    connection.send(&forged::data(session, flawed)).await;
    connection.send(&end(session)).await;
    let ack = connection.verdict().await;
    assert_eq!(ack.reason, Reason::PartiallyRejected, "{ack:?}");
    world.check(&[PACKAGES], agent, &rows[2..3]).await;
}

/// Frames so large that two fill a session's share, three an agent's, and four the daemon's.
fn large() -> Vec<Document> {
    let text = "x".repeat(30 << 10);
    let data = format!(r#"{{"package":{{"description":"{text}"}}}}"#);
    let rows = 0..3;
    rows.map(|number| Document::upsert(PACKAGES, &format!("large-{number}"), data.as_str()))
        .collect()
}

/// An agent on a connection of its own, and its open session.
struct Sender {
    connection: Connection,
    session: u64,
}

impl Sender {
    async fn open(world: &World, begin: &Start) -> Self {
        let endpoint = world.endpoint(begin.agent_id);
        let mut connection = Connection::open(&endpoint).await.unwrap();
        let session = connection.open_session(begin).await;
        Self {
            connection,
            session,
        }
    }

    async fn send(&mut self, seqs: std::ops::Range<u64>, rows: &[Document]) {
        for seq in seqs {
            let row = RawItem::of(seq, &rows[usize::try_from(seq).unwrap()]);
            let frame = forged::data(self.session, row);
            self.connection.send(&frame).await;
        }
    }

    /// The session's end, for want of room.
    async fn overloaded(mut self, daemon: &Daemon, (status, detail): (Status, &str), what: &str) {
        let ack = self.connection.end_ack().await;
        check_retry_after(daemon, ack.retry_after_ms, what);
        let wanted = EndAck {
            status,
            module: ack.module.clone(),
            retry_after_ms: ack.retry_after_ms,
            version: ack.version,
            ..plain(self.session, Reason::Overloaded, detail)
        };
        assert_eq!(ack, wanted, "{what}");
    }

    /// Ends the session, and gives back what it holds.
    async fn give_up(mut self) {
        let rows = large();
        let beyond = forged::data(self.session, RawItem::of(9, &rows[0]));
        self.connection.send(&beyond).await;
        let ack = self.connection.end_ack().await;
        assert_eq!(ack.reason, Reason::SequenceOutOfRange, "{ack:?}");
    }
}

#[tokio::test]
async fn a_frame_that_does_not_fit_into_the_quota_ends_its_session_or_waits() {
    let Some(world) = World::with_faults("quota") else {
        return;
    };
    let daemon = world
        .setup()
        .with("router.max_message_bytes", 40 << 10)
        .with("session.session_max_bytes", 64 << 10)
        .with("session.agent_max_bytes", 96 << 10)
        .with("session.global_max_bytes", 128 << 10)
        .start_ready()
        .await;
    let rows = large();
    for (first, peer) in [(1, Peer::ALL[0]), (11, Peer::ALL[1])] {
        let what = |what: &str| format!("{peer:?}, {what}");
        let before = Counts::of(&daemon).await;
        let open = async |agent| Sender::open(&world, &peer.start(agent, 3)).await;
        let mut one = open(first).await;
        one.send(0..3, &rows).await;
        let told = (peer.offline(), "too many bytes in this session");
        one.overloaded(&daemon, told, &what("a session's share"))
            .await;

        let mut one = open(first + 1).await;
        one.send(0..2, &rows).await;
        until_announced(&daemon, 3, &what("an agent's first session")).await;
        let of_fim = Start {
            module: "fim".to_owned(),
            ..peer.start(first + 1, 3)
        };
        let mut other = Sender::open(&world, &of_fim).await;
        other.send(0..2, &rows).await;
        let told = (peer.offline(), "too many bytes of this agent");
        other
            .overloaded(&daemon, told, &what("an agent's share"))
            .await;
        one.give_up().await;

        let mut one = Sender::open(&world, &peer.start(first + 2, 2)).await;
        one.send(0..2, &rows).await;
        let mut two = open(first + 3).await;
        two.send(0..2, &rows).await;
        daemon
            .until_status(&what("two sessions are staged"), |status| {
                (status["sessions"]["bytes"].as_u64() > Some(120_000)).then_some(())
            })
            .await;
        let mut three = open(first + 4).await;
        three.send(0..1, &rows).await;
        let told = (peer.offline(), "the staging area is full");
        three.overloaded(&daemon, told, &what("no room")).await;
        let grown = Counts::of(&daemon).await.since(&before);
        let wanted = [
            ("sessions_ended{Offline,Overloaded}", 3),
            ("sessions_ended{Error,SequenceOutOfRange}", 1),
        ];
        assert_eq!(grown, counted(&wanted), "{}", what("until here"));

        room_is_waited_for(&world, &daemon, peer, first + 5, one).await;
        two.give_up().await;
        check(&world, peer, first + 2, &rows[..2]).await;
        check(&world, peer, first + 5, &rows[..1]).await;
        for agent in [first, first + 1, first + 3, first + 4] {
            check(&world, peer, agent, &[]).await;
        }
    }
    until_announced(&daemon, 0, "at the end").await;
    assert!(!daemon.kill_and_find_staged(), "nothing is left behind");
}

/// While a session is on its way to a verdict, a frame that does not fit is passed over without a word: its gap is
/// asked for later.
async fn room_is_waited_for(
    world: &World,
    daemon: &Daemon,
    peer: Peer,
    agent: u64,
    mut complete: Sender,
) {
    let what = format!("{peer:?}, room is waited for");
    let rows = large();
    world
        .indexer
        .faults(&json!({"kind": "item_status", "status": 429, "path": "/_bulk"}));
    complete.connection.send(&end(complete.session)).await;
    daemon
        .until_status("a session is delivered", |status| {
            (status["sessions"]["delivering"].as_u64() == Some(1)).then_some(())
        })
        .await;
    let mut waiting = Sender::open(world, &peer.start(agent, 1)).await;
    waiting.send(0..1, &rows).await;
    waiting.connection.send(&end(waiting.session)).await;
    let bytes = daemon.status()["sessions"]["bytes"].clone();
    if peer.is_base {
        // A greeting behind it is answered first: the End was not.
        let hello = encode_hello(&Hello::default());
        waiting.connection.send(&hello).await;
        let told = waiting.connection.answer().await;
        assert!(matches!(told, Answer::Hello(_)), "{what}: {told:?}");
    } else {
        let asked = waiting.connection.req_ret().await;
        assert_eq!(asked.seq, [Pair { begin: 0, end: 0 }], "{what}");
    }
    assert_eq!(daemon.status()["sessions"]["bytes"], bytes, "{what}");
    world.indexer.heal();
    let ack = complete.connection.verdict().await;
    assert_eq!(ack.status, Status::Ok, "{what}: {ack:?}");
    waiting.send(0..1, &rows).await;
    let ack = waiting.connection.verdict().await;
    assert_eq!(
        (ack.status, ack.session),
        (Status::Ok, waiting.session),
        "{what}: {ack:?}"
    );
}
