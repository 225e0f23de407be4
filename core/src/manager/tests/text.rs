//! Events and commands as short lines.

use crate::answer::BulkOutcome;
use crate::document::{Class, Part, Run, Runs};
use crate::id::{NO_SESSION, Peer, SessionId, VERSION_STEP, Version};
use crate::manager::{Command, Event, Reply};
use crate::wire::{EndAck, StartAck};

/// Sessions by the order in which they were opened.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) opened: Vec<SessionId>,
}

impl Names {
    fn name(&self, id: SessionId) -> String {
        if id == NO_SESSION {
            return "no session".to_owned();
        }
        match self.opened.iter().position(|each| *each == id) {
            Some(place) => format!("s{}", place + 1),
            None => format!("session {id}"),
        }
    }

    pub(super) fn event(&self, event: &Event<u32>) -> String {
        match event {
            Event::Tick => "tick".to_owned(),
            Event::Start {
                peer,
                start,
                digest,
            } => format!(
                "{} Start {} of {} nonce {} bytes {}",
                who(*peer),
                start.mode.map_or("unknown", |mode| mode.name()),
                start.size,
                start.nonce,
                digest[0]
            ),
            Event::Items { peer, frame, .. } => format!(
                "{} Data {} {} ({} bytes)",
                who(*peer),
                self.name(frame.session),
                runs(&frame.sequences),
                frame.bytes
            ),
            Event::End { peer, session } => format!("{} End {}", who(*peer), self.name(*session)),
            Event::Staged { upto } => format!("staged upto {upto}"),
            Event::StageFailed { stage } => format!("stage {stage} failed"),
            Event::Planned { session, plan } => format!(
                "planned {}: {}",
                self.name(*session),
                plan.as_ref().map_or_else(
                    || "unreadable".to_owned(),
                    |plan| {
                        let upserts: u32 = plan.chunks.iter().map(|chunk| chunk.upserts).sum();
                        let deletes: u32 = plan.chunks.iter().map(|chunk| chunk.deletes).sum();
                        let aside = plan.failures.total;
                        format!("{upserts} upserts, {deletes} deletes, {aside} set aside")
                    }
                )
            ),
            Event::Listed { session, outcome } => {
                format!("listed {}: {outcome:?}", self.name(*session))
            }
            Event::Diffed { session, diff } => format!(
                "diffed {}: {}",
                self.name(*session),
                diff.as_ref().map_or_else(
                    || "unreadable".to_owned(),
                    |diff| {
                        let upserts: u32 = diff.chunks.iter().map(|chunk| chunk.upserts).sum();
                        format!("{upserts} upserts, {} removals", diff.removals)
                    }
                )
            ),
            Event::BulkDone { bulk, outcome } => format!("bulk {bulk}: {}", bulk_outcome(outcome)),
            Event::RefusalsJudged { session, held } => {
                format!("judged {}: held {held:?}", self.name(*session))
            }
            other => format!("{other:?}"),
        }
    }

    pub(super) fn command(&self, command: &Command<u32>) -> String {
        match command {
            Command::Reply { peer, message } => {
                format!("{} {}", who(*peer), self.reply(message))
            }
            Command::Open { session, agent, .. } => {
                format!("open {} of a{agent}", self.name(*session))
            }
            Command::Stage {
                stage,
                session,
                key,
                fresh,
                ..
            } => format!(
                "stage {stage}: {} key {key} fresh {}",
                self.name(*session),
                runs(&fresh.iter().copied().collect())
            ),
            Command::Discard { session } => format!("discard {}", self.name(*session)),
            Command::Plan {
                session,
                allowed,
                full,
            } => format!(
                "plan {} in {:?}{}",
                self.name(*session),
                allowed.iter().map(|index| index.0).collect::<Vec<_>>(),
                if *full { " as a Full" } else { "" }
            ),
            Command::Listing {
                session, indices, ..
            } => format!("list for {} in {indices:?}", self.name(*session)),
            Command::ListingCancelled { session } => {
                format!("cancel listing of {}", self.name(*session))
            }
            Command::Diff { session, .. } => format!("diff {}", self.name(*session)),
            Command::Bulk {
                bulk,
                deadline,
                parts,
                ..
            } => {
                let parts: Vec<String> = parts.iter().map(|part| self.part(part)).collect();
                format!("bulk {bulk} until {}: {}", deadline.0, parts.join(" + "))
            }
            Command::Refusals {
                session, tallies, ..
            } => format!("judge refusals of {}: {tallies:?}", self.name(*session)),
            Command::BoundWanted { beyond } => format!("bound wanted beyond {}", version(*beyond)),
            Command::Observe(observation) => {
                let text = format!("observe {observation:?}");
                self.opened.iter().fold(text, |text, id| {
                    text.replace(&format!("SessionId({id})"), &self.name(*id))
                })
            }
            other => format!("{other:?}"),
        }
    }

    fn part(&self, part: &Part) -> String {
        let class = match part.class {
            Class::Upsert => "upserts",
            Class::Delete => "deletes",
            Class::Removal => "removals",
        };
        format!(
            "{} {class} {} at {}",
            self.name(part.session),
            runs(&part.ordinals),
            version(part.version)
        )
    }

    fn reply(&self, reply: &Reply) -> String {
        match reply {
            Reply::StartAck(ack) => self.start_ack(ack),
            Reply::EndAck(ack) => self.end_ack(ack),
            Reply::ReqRet(request) => {
                let asked: Vec<String> = request
                    .seq
                    .iter()
                    .map(|pair| format!("{}-{}", pair.begin, pair.end))
                    .collect();
                let session = self.name(SessionId(request.session));
                format!("ReqRet {session} {}", asked.join(","))
            }
            Reply::Hello(hello) => format!("Hello version {}", hello.protocol_version),
        }
    }

    fn start_ack(&self, ack: &StartAck) -> String {
        format!(
            "StartAck {}/{} {} nonce {}{}",
            ack.status,
            ack.reason,
            self.name(SessionId(ack.session)),
            ack.nonce,
            detail(&ack.detail)
        )
    }

    fn end_ack(&self, ack: &EndAck) -> String {
        let failed: Vec<String> = ack
            .failed
            .iter()
            .map(|item| format!("{} {}", item.seq, item.reason))
            .collect();
        format!(
            "EndAck {}/{} {}{}{}{}",
            ack.status,
            ack.reason,
            self.name(SessionId(ack.session)),
            detail(&ack.detail),
            if failed.is_empty() {
                String::new()
            } else {
                format!(" failed [{}]", failed.join(", "))
            },
            if ack.failed_more { " and more" } else { "" }
        )
    }
}

fn who(peer: Peer) -> String {
    format!("a{}@c{}", peer.agent, peer.connection)
}

fn detail(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(" {detail:?}")
    }
}

fn version(version: Version) -> String {
    match version.0 % VERSION_STEP {
        0 => format!("v{}", version.unix_ms()),
        rest => format!("v{}+{rest}", version.unix_ms()),
    }
}

pub(super) fn runs(runs: &Runs) -> String {
    let each: Vec<String> = runs.as_slice().iter().map(Run::to_string).collect();
    each.join(",")
}

fn bulk_outcome(outcome: &BulkOutcome) -> String {
    let BulkOutcome::Answered { parts } = outcome else {
        return format!("{outcome:?}");
    };
    let sets = |sets: &[(crate::id::IndexId, Runs)]| {
        sets.iter().flat_map(|(_, set)| set.iter()).count() as u64
    };
    let each: Vec<String> = parts
        .iter()
        .map(|part| {
            let stored: u64 = part.stored.iter().map(|(_, count)| count).sum();
            let counts = [
                ("stored", stored),
                ("overloaded", sets(&part.overloaded)),
                ("blocked", sets(&part.blocked)),
                ("missing", sets(&part.missing)),
                ("forbidden", sets(&part.forbidden)),
                ("unknown", part.unknown.count()),
                ("refused", sets(&part.refused)),
                ("conflicts", part.conflicts.count()),
            ];
            let said: Vec<String> = counts
                .iter()
                .filter(|(_, count)| *count > 0)
                .map(|(name, count)| format!("{count} {name}"))
                .collect();
            said.join(", ")
        })
        .collect();
    each.join(" + ")
}
