//! Whose operations the next request carries (`docs/protocol.md` section 5, "The delivery deadline").

use super::harness::{Shard, frame, peer};
use super::{config, delta, plan};
use crate::config::Config;
use crate::id::SessionId;
use crate::manager::{ConnectionKind, Event};
use crate::wire::Start;

/// Sessions of so many operations each, of agents 1, 2, 3 …, planned at once; a request takes so many.
fn crowd(sessions: &[u32], bulk_operations_max: u32) -> Shard {
    let mut shard = Shard::ready(Config {
        bulk_operations_max,
        linger_ms: 100,
        ..config()
    });
    let mut opened = Vec::new();
    for (agent, operations) in (1..).zip(sessions) {
        if agent > 1 {
            shard.open(agent, ConnectionKind::Agent);
        }
        let id = shard.session(Start {
            agent_id: agent,
            ..delta(u64::from(*operations), 0)
        });
        shard.items(peer(agent, agent), frame(id, 0, operations - 1, 100));
        shard.staged();
        shard.say(Event::End {
            peer: peer(agent, agent),
            session: id,
        });
        opened.push(id);
    }
    for (id, operations) in opened.iter().zip(sessions) {
        shard.planned(*id, plan(*operations, 0));
    }
    shard.pass(100);
    shard
}

/// Stores everything, and tells whose operations each request carried, by the number of their agents.
fn turns(mut shard: Shard) -> String {
    let mut told = Vec::new();
    while told.len() < shard.bulks().len() {
        let (_, parts) = shard.last_bulk();
        let agents = parts.iter().map(|part| part.agent.0.to_string());
        told.push(agents.collect::<Vec<_>>().join("+"));
        shard.store();
        shard.pass(100);
    }
    assert_eq!(shard.manager.pending(), None, "all have their verdicts");
    told.join(" ")
}

#[test]
fn what_was_begun_first_goes_on_with_every_second_request() {
    assert_eq!(turns(crowd(&[4, 4, 4], 1)), "1 2 1 3 1 2 1 3 2 3 2 3");
    assert_eq!(turns(crowd(&[5, 1, 1, 1], 1)), "1 2 1 3 1 4 1 1");
}

/// Small sessions wait for no large one: there is room for several of them, and they are not begun, but sent.
#[test]
fn small_sessions_have_every_other_request() {
    assert_eq!(turns(crowd(&[20, 2, 2, 2, 2], 5)), "1 2+3+4 1 5+4+1 1 1");
}

/// However many large sessions there are, the first ends as if there were one more.
#[test]
fn first_of_a_crowd_ends() {
    let crowd_of = |sessions: usize| {
        let mut shard = crowd(&vec![10; sessions], 1);
        let (_, parts) = shard.last_bulk();
        let first: SessionId = parts[0].session;
        let mut requests = 0;
        while shard.verdict(first).is_none() {
            shard.store();
            shard.pass(100);
            requests += 1;
        }
        requests
    };
    assert_eq!(crowd_of(3), 19);
    assert_eq!(crowd_of(40), 19);
}
