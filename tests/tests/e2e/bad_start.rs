//! The table of refused Starts (`docs/protocol.md` section 3.1) over real sockets: each objection, in the
//! order in which they are raised, with every field of its answer; and that a refusal changes nothing.

use inventory_sync_core::agent::Answer;
use inventory_sync_core::wire::{Mode, NO_SESSION, Reason, Start, StartAck, Status, encode_start};
use inventory_tests::World;
use inventory_tests::connection::Connection;
use inventory_tests::counts::{Counts, counted};
use inventory_tests::daemon::Daemon;
use inventory_tests::document::{Document, PACKAGES, agent_info, packages};
use inventory_tests::forged::{self, RawItem};
use inventory_tests::peer::Peer;
use inventory_tests::session::{end, start};
use inventory_tests::wait::{LONG, until, within};
use serde_json::json;

/// What a Start is refused with.
struct Refused {
    what: &'static str,
    change: fn(&mut Start),
    reason: Reason,
    detail: &'static str,
}

const fn refused(
    what: &'static str,
    change: fn(&mut Start),
    reason: Reason,
    detail: &'static str,
) -> Refused {
    Refused {
        what,
        change,
        reason,
        detail,
    }
}

const MODE: &str = "this mode is not served";
const RANGE: &str = "id ranges are not served";
const INDEX: &str = "an index is not one of the module's";
const EMPTY: &str = "a session without items";
const SIZE: &str = "at most 4000000 items in a session";

/// Objections that the message alone gives, each beside what would be objected to later.
#[rustfmt::skip]
const REFUSED: &[Refused] = &[
    refused("another agent's id", |start| start.agent_id += 1_000, Reason::IdentityMismatch, "the connection belongs to agent AGENT"),
    refused("agent 0", |start| start.agent_id = 0, Reason::IdentityMismatch, "the connection belongs to agent AGENT"),
    refused("another agent's id and an unknown module", |start| { start.agent_id += 1; start.module.clear(); }, Reason::IdentityMismatch, "the connection belongs to agent AGENT"),
    refused("an unknown module", |start| start.module = "no-module".into(), Reason::InvalidMessage, "unknown module"),
    refused("a module in other letters", |start| start.module = "Syscollector".into(), Reason::InvalidMessage, "unknown module"),
    refused("no module, and another cluster", |start| { start.module.clear(); start.cluster_name = "elsewhere".into(); }, Reason::InvalidMessage, "unknown module"),
    refused("another cluster", |start| start.cluster_name = "elsewhere".into(), Reason::ClusterMismatch, "this is cluster CLUSTER"),
    refused("another cluster, and no mode", |start| { start.cluster_name = "elsewhere".into(); start.mode = None; }, Reason::ClusterMismatch, "this is cluster CLUSTER"),
    refused("an unknown mode", |start| start.mode = None, Reason::InvalidOperation, MODE),
    refused("Check", |start| start.mode = Some(Mode::Check), Reason::InvalidOperation, MODE),
    refused("MetadataDelta", |start| start.mode = Some(Mode::MetadataDelta), Reason::InvalidOperation, MODE),
    refused("MetadataCheck", |start| start.mode = Some(Mode::MetadataCheck), Reason::InvalidOperation, MODE),
    refused("GroupDelta", |start| start.mode = Some(Mode::GroupDelta), Reason::InvalidOperation, MODE),
    refused("GroupCheck, and another module's index", |start| { start.mode = Some(Mode::GroupCheck); start.indices = vec!["wazuh-states-sca".into()]; }, Reason::InvalidOperation, MODE),
    refused("the beginning of a range", |start| start.id_from = Some("a".into()), Reason::InvalidOperation, RANGE),
    refused("the end of a range", |start| start.id_to = Some("z".into()), Reason::InvalidOperation, RANGE),
    refused("another module's index", |start| start.indices = vec!["wazuh-states-sca".into()], Reason::IndexNotAllowed, INDEX),
    refused("an index of nobody beside one of ours", |start| start.indices = vec![PACKAGES.into(), "x".into()], Reason::IndexNotAllowed, INDEX),
    refused("all indices", |start| start.indices = vec!["wazuh-states-inventory-*".into()], Reason::IndexNotAllowed, INDEX),
    refused("an empty name, and no item", |start| { start.indices = vec![String::new()]; start.size = 0; }, Reason::IndexNotAllowed, INDEX),
    refused("a Delta of nothing", |start| start.size = 0, Reason::SizeInvalid, EMPTY),
    refused("a Full of nothing, of no index", |start| { start.mode = Some(Mode::Full); start.size = 0; }, Reason::SizeInvalid, EMPTY),
    refused("one item too many", |start| start.size = 4_000_001, Reason::SizeInvalid, SIZE),
    refused("a size that is 1 in 32 bits", |start| start.size = (1 << 32) + 1, Reason::SizeInvalid, SIZE),
    refused("the largest size", |start| start.size = u64::MAX, Reason::SizeInvalid, SIZE),
];

/// What is compared with the nonces that the lane has seen: only current peers have some.
#[rustfmt::skip]
const REFUSED_BY_NONCE: &[Refused] = &[
    refused("the same nonce, another size", |start| start.size = 9, Reason::SessionExists, "the nonce is in use by another Start"),
    refused("the same nonce, no mode", |start| start.mode = None, Reason::SessionExists, "the nonce is in use by another Start"),
    refused("a lower counter", |start| start.nonce -= 1, Reason::SessionReplaced, "a Start with a higher counter came before"),
    refused("a lower counter, and no mode", |start| { start.nonce -= 4; start.mode = None; }, Reason::SessionReplaced, "a Start with a higher counter came before"),
];

/// A Delta of one item with the fifth nonce of the process.
fn delta(peer: Peer, agent: u64, size: u64) -> Start {
    let mut start = peer.start(agent, size);
    start.nonce = if peer.is_base { 0 } else { agent << 32 | 5 };
    start
}

/// The answer to a refused Start, every field of it.
fn check_refusal(
    daemon: &Daemon,
    what: &str,
    start: &Start,
    (status, reason, detail): (Status, Reason, &str),
    ack: &StartAck,
) {
    let least: u32 = daemon.setup.get("session.retry_after_ms").parse().unwrap();
    assert!(
        (least..=2 * least).contains(&ack.retry_after_ms),
        "{what}: come again after {} ms",
        ack.retry_after_ms
    );
    let wanted = StartAck {
        status,
        session: NO_SESSION,
        module: start.module.clone(),
        nonce: start.nonce,
        reason,
        detail: detail.to_owned(),
        retry_after_ms: ack.retry_after_ms,
        idle_timeout_ms: 0,
        max_items: ack.max_items,
        version: ack.version,
        resync: Vec::new(),
    };
    assert_eq!(ack, &wanted, "{what}");
}

#[tokio::test]
async fn each_objection_to_a_start_is_told_and_changes_nothing() {
    let world = World::new("bad-start");
    let own = nix::unistd::geteuid().as_raw();
    let setup = world.setup().with("router.relay_uids", own);
    let daemon = setup.start_ready().await;
    let rows = packages(0..2, "1");
    for (agent, peer) in (1..).zip(Peer::ALL) {
        let mut two = peer.two(&world, &daemon, [agent, agent + 100]).await;
        let session = two.open_session(0, &delta(peer, agent, 2)).await;
        two.send(0, &forged::data(session, RawItem::of(0, &rows[0])))
            .await;
        let by_nonce: &[Refused] = if peer.is_base { &[] } else { REFUSED_BY_NONCE };
        for (place, row) in REFUSED.iter().chain(by_nonce).enumerate() {
            let what = format!("{peer:?}, {}", row.what);
            let before = Counts::of(&daemon).await;
            let mut start = delta(peer, agent, 2);
            // A nonce of its own where the nonce is not the point.
            if place < REFUSED.len() && !peer.is_base {
                start.nonce += 1;
            }
            (row.change)(&mut start);
            let detail = row
                .detail
                .replace("AGENT", &agent.to_string())
                .replace("CLUSTER", &world.cluster);
            two.send(0, &encode_start(&start)).await;
            let Answer::StartAck(ack) = two.answer(0).await else {
                panic!("{what}: a StartAck was due");
            };
            let wanted = (Status::Error, row.reason, detail.as_str());
            check_refusal(&daemon, &what, &start, wanted, &ack);
            assert_eq!(ack.max_items, 4_000_000, "{what}");
            let grown = Counts::of(&daemon).await.since(&before);
            let refused = format!("starts_refused{{{}}}", row.reason.name());
            let is_security = row.reason == Reason::IdentityMismatch;
            let security = ("identity_mismatches", u64::from(is_security));
            assert_eq!(grown, counted(&[(&refused, 1), security]), "{what}");
        }
        // The session that was open all the while was not replaced.
        two.send(0, &forged::data(session, RawItem::of(1, &rows[1])))
            .await;
        two.send(0, &end(session)).await;
        let what = format!("{peer:?}, the open session");
        let ack = two.verdict(0, peer.is_base, &what).await;
        assert_eq!((ack.status, ack.session), (Status::Ok, session), "{what}");
        check(&world, peer, agent, &rows).await;
    }
    daemon
        .until_status("nothing is left", |status| {
            (status["sessions"]["items"] == json!(0)).then_some(())
        })
        .await;
}

async fn check(world: &World, peer: Peer, agent: u64, rows: &[Document]) {
    let info = if peer.is_base {
        Default::default()
    } else {
        agent_info(agent)
    };
    world.check_with(&[PACKAGES], agent, &info, rows).await;
}

/// The answer to a Start on a connection of its own.
async fn answer(world: &World, start: &Start) -> (Connection, StartAck) {
    let endpoint = world.endpoint(start.agent_id);
    let mut connection = Connection::open(&endpoint).await.unwrap();
    connection.send(&encode_start(start)).await;
    let ack = connection.start_ack().await;
    (connection, ack)
}

/// A Start that must be refused now, whoever sends it.
async fn check_refused(
    world: &World,
    daemon: &Daemon,
    start: &Start,
    (status, reason, detail): (Status, Reason, &str),
) {
    for is_base in [false, true] {
        let what = format!("{detail}, to a base peer: {is_base}");
        let start = Start {
            protocol_version: if is_base { 0 } else { start.protocol_version },
            ..start.clone()
        };
        let before = Counts::of(daemon).await;
        let (_connection, ack) = answer(world, &start).await;
        let status = if is_base { Status::Error } else { status };
        check_refusal(daemon, &what, &start, (status, reason, detail), &ack);
        let grown = Counts::of(daemon).await.since(&before);
        let refused = format!("starts_refused{{{}}}", reason.name());
        assert_eq!(grown, counted(&[(&refused, 1)]), "{what}");
    }
}

/// A session of one item that is sent whole.
async fn complete(connection: &mut Connection, session: u64, row: &Document) {
    connection
        .send(&forged::data(session, RawItem::of(0, row)))
        .await;
    connection.send(&end(session)).await;
    let ack = connection.end_ack().await;
    assert_eq!(ack.status, Status::Processing, "{ack:?}");
}

/// A Start of version 2 without a nonce.
fn second(agent: u64, size: u64) -> Start {
    Start {
        protocol_version: 2,
        ..start(agent, size, 0)
    }
}

/// What the message is not at fault for: the version that is asked for, caps, a busy lane, an Indexer that is
/// not there, and a daemon that stops.
#[tokio::test]
async fn a_start_that_comes_at_a_bad_time_is_told_when_to_return() {
    let Some(world) = World::with_faults("bad-time") else {
        return;
    };
    let mut daemon = world
        .setup()
        .with("session.protocol_version_min", 2)
        .with("session.sessions_max", 4)
        .with("session.session_max_items", 50)
        .with("session.agent_max_items", 60)
        .with("session.global_max_items", 100)
        .start_ready()
        .await;
    let of_old = start(1, 1, 0);
    let (_, ack) = answer(&world, &of_old).await;
    let detail = "protocol version 2 or later";
    let refusal = (Status::Error, Reason::UnsupportedVersion, detail);
    check_refusal(&daemon, "version 1", &of_old, refusal, &ack);
    // A base peer is never below the minimum.
    let of_base = Start {
        protocol_version: 0,
        ..of_old
    };
    let (_, ack) = answer(&world, &of_base).await;
    assert_eq!(ack.status, Status::Ok, "{ack:?}");

    let one = caps_refuse(&world, &daemon).await;
    a_busy_lane_refuses(&world, &daemon, one).await;

    world.indexer.faults(&json!({"kind": "down"}));
    daemon.until_unready("no answer").await;
    let detail = "the Indexer is not available";
    let refusal = (Status::Offline, Reason::IndexerUnavailable, detail);
    check_refused(&world, &daemon, &second(1, 1), refusal).await;
    world.indexer.heal();
    daemon.until_ready().await;
    a_daemon_that_stops_refuses(&world, &mut daemon).await;
}

/// Fills every cap; what is left is agent 1's connection, and three open sessions.
async fn caps_refuse(world: &World, daemon: &Daemon) -> Connection {
    let overloaded = |detail| (Status::Offline, Reason::Overloaded, detail);
    let fim = |agent, size| Start {
        module: "fim".to_owned(),
        ..second(agent, size)
    };
    let accepted = async |agent, size| {
        let (connection, ack) = answer(world, &second(agent, size)).await;
        assert_eq!(ack.status, Status::Ok, "agent {agent}: {ack:?}");
        assert_eq!(ack.max_items, 50, "agent {agent}");
        (connection, ack.session)
    };
    let (one, _) = accepted(1, 50).await;
    let of_agent = overloaded("too many items announced by this agent");
    check_refused(world, daemon, &fim(1, 11), of_agent).await;
    let (_two, _) = accepted(2, 40).await;
    let of_all = overloaded("too many items announced");
    check_refused(world, daemon, &second(3, 11), of_all).await;
    let (_three, _) = accepted(3, 5).await;
    let (mut four, session) = accepted(4, 1).await;
    check_refused(
        world,
        daemon,
        &second(5, 1),
        overloaded("too many sessions"),
    )
    .await;
    // A session that ends makes room.
    let row = &packages(0..1, "1")[0];
    let beyond = forged::data(session, RawItem::of(1, row));
    four.send(&beyond).await;
    let ack = four.end_ack().await;
    assert_eq!(ack.reason, Reason::SequenceOutOfRange, "{ack:?}");
    one
}

/// One session is delivered and cannot be, one waits behind it.
async fn a_busy_lane_refuses(world: &World, daemon: &Daemon, mut one: Connection) {
    let full_queue = json!({"kind": "item_status", "status": 429, "path": "/_bulk"});
    world.indexer.faults(&full_queue);
    let rows = packages(0..2, "1");
    let mut sessions = Vec::new();
    one.send(&encode_start(&second(1, 1))).await;
    let replaced = one.end_ack().await;
    assert_eq!(replaced.reason, Reason::SessionReplaced, "{replaced:?}");
    sessions.push(one.start_ack().await.session);
    complete(&mut one, sessions[0], &rows[0]).await;
    sessions.push(one.open_session(&second(1, 1)).await);
    complete(&mut one, sessions[1], &rows[1]).await;
    let detail = "two sessions wait for their verdict";
    let refusal = (Status::Offline, Reason::AgentBusy, detail);
    check_refused(world, daemon, &second(1, 1), refusal).await;
    world.indexer.heal();
    for session in sessions {
        let ack = one.end_ack().await;
        assert_eq!((ack.status, ack.session), (Status::Ok, session), "{ack:?}");
    }
    world.check(&[PACKAGES], 1, &rows).await;
}

/// It answers everything before it ends: while a request is out, a Start is refused.
async fn a_daemon_that_stops_refuses(world: &World, daemon: &mut Daemon) {
    let slow = json!({"kind": "slow_ms", "ms": 1_200, "path": "/_bulk"});
    world.indexer.faults(&slow);
    let rows = packages(0..1, "2");
    let (mut one, ack) = answer(world, &second(1, 1)).await;
    complete(&mut one, ack.session, &rows[0]).await;
    let (mut five, _) = answer(world, &second(5, 1)).await;
    until("a request is out", LONG, async || {
        (daemon.metric("inventory_sync_bulks_in_flight").await > 0.5).then_some(())
    })
    .await;
    daemon.terminate();
    let begin = second(5, 1);
    let ack = within("a Start is refused for the stop", LONG, async {
        loop {
            five.send(&encode_start(&begin)).await;
            let ack = loop {
                // The sessions before it end on the way: replaced, or stopped.
                if let Answer::StartAck(ack) = five.answer().await {
                    break ack;
                }
            };
            if ack.status != Status::Ok {
                break ack;
            }
        }
    })
    .await;
    let detail = "the manager is stopping";
    let refusal = (Status::Offline, Reason::ShuttingDown, detail);
    check_refusal(daemon, "stopping", &begin, refusal, &ack);
    let verdict = one.end_ack().await;
    assert_eq!(verdict.status, Status::Ok, "{verdict:?}");
    assert!(daemon.ended().await.success());
}
