//! What an agent's machine is told and what it asks. Each comes with the place of its module.

use inventory_sync_core::agent::{Answer, Command, Event, Message, Observation, Outcome, Stale};

use super::frames::{end_ack, message_line, req_ret, start, start_ack};
use super::{Describe, Line, many, run_text};
use crate::chart::recorder::Names;
use crate::chart::recording::Class;
use crate::network::Packet;

fn news(label: impl Into<String>) -> Line {
    Line::new(Class::News, label.into())
}

fn decision(label: impl Into<String>) -> Line {
    Line::new(Class::Decision, label.into())
}

fn routine(label: impl Into<String>) -> Line {
    Line::new(Class::Routine, label.into())
}

impl Describe for (usize, &Event<Packet>) {
    fn describe(&self, names: &Names) -> Option<Line> {
        let line = match self.1 {
            Event::Tick => Line::new(Class::Timer, "a timer is due".to_owned()),
            Event::Connected { .. } => news("connected"),
            Event::Disconnected { .. } => news("disconnected"),
            Event::ConnectFailed => news("cannot connect"),
            Event::Received { answer, .. } => match answer {
                // Whose answer it is follows from the frame that brought it.
                Answer::StartAck(ack) => start_ack(ack, 0),
                Answer::EndAck(ack) => end_ack(ack),
                Answer::ReqRet(request) => req_ret(request),
                Answer::Hello(_) => message_line("Hello".to_owned()),
            },
            Event::Sync { job } => news(format!(
                "job {} of {}: {} of {}",
                job.id,
                names.module(self.0),
                job.mode,
                many(u64::from(job.size), "row")
            )),
            Event::Loaded { frames, .. } => {
                news(format!("loaded {}", many(frames.len() as u64, "frame")))
            }
            Event::LoadFailed { .. } => news("rows cannot be read"),
            Event::Committed { job } => news(format!("job {job}: the verdict is durable")),
            Event::CommitFailed { job } => news(format!("job {job}: the verdict cannot be kept")),
            Event::Describe { .. } => news("describes itself anew"),
            Event::Stop => news("is asked to stop"),
            Event::Reset => news("begins anew"),
        };
        Some(Line {
            module: Some(self.0),
            ..line
        })
    }

    fn detail(&self) -> String {
        format!("{:?}", self.1)
    }
}

impl Describe for (usize, &Command<Packet>) {
    fn describe(&self, names: &Names) -> Option<Line> {
        let line = match self.1 {
            Command::Send { message, .. } => match message {
                Message::Start(message) => start(message),
                Message::Data(packet) => {
                    super::frame(packet, names, inventory_sync_core::id::AgentId(0))
                }
                Message::End(end) => message_line("End".to_owned())
                    .of(inventory_sync_core::id::SessionId(end.session)),
                Message::Hello(_) => message_line("Hello".to_owned()),
            },
            Command::Load { session, run, .. } => {
                decision(format!("loads rows {}", run_text(*run))).of(*session)
            }
            Command::Commit {
                acknowledgement, ..
            } => {
                let failed = match acknowledgement.failed.len() {
                    0 => String::new(),
                    count => format!(", {count} failed"),
                };
                decision(format!(
                    "keeps the verdict: {}{failed}",
                    many(u64::from(acknowledgement.upto), "row")
                ))
                .of(acknowledgement.session)
            }
            Command::RollBack {
                cause, retry_at, ..
            } => decision(match retry_at {
                Some(at) => format!("rolls back: {cause}; again in {}", names.until(*at)),
                None => format!("rolls back: {cause}"),
            }),
            Command::Finished { job, outcome } => {
                let module = names.module(self.0);
                decision(format!(
                    "job {job} of {module} ends: {}",
                    outcome_text(outcome)
                ))
            }
            Command::Reconnect { .. } => decision("connects"),
            Command::Remember { .. } => routine("remembers the manager's version"),
            Command::Resync { indices } => {
                decision(format!("owes a Full of {}", indices.join(", ")))
            }
            Command::Observe(observation) => observed(observation),
            Command::Stopped => decision("stopped"),
        };
        Some(Line {
            module: Some(self.0),
            ..line
        })
    }

    fn detail(&self) -> String {
        format!("{:?}", self.1)
    }
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Acknowledged => "acknowledged".to_owned(),
        Outcome::PartiallyAcknowledged {
            acknowledged,
            retryable,
            quarantined,
            unlisted,
        } => {
            let counts = [
                (*acknowledged, "acknowledged"),
                (*retryable, "to be offered again"),
                (*quarantined, "quarantined"),
                (*unlisted, "unlisted"),
            ];
            let texts: Vec<String> = counts
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
            texts.join(", ")
        }
        Outcome::Refused { cause } => format!("refused: {cause}"),
        Outcome::TooLarge { max_items } => format!("too large, at most {max_items}"),
        Outcome::GaveUp { .. } => "given up".to_owned(),
        Outcome::LoadFailed => "rows cannot be read".to_owned(),
        Outcome::CommitFailed => "the verdict cannot be kept".to_owned(),
        Outcome::Stopped => "stopped".to_owned(),
        Outcome::Reset => "begun anew".to_owned(),
        Outcome::Busy => "busy".to_owned(),
    }
}

fn observed(observation: &Observation) -> Line {
    match observation {
        Observation::EndRepeated => decision("no answer: End again"),
        Observation::Stale(stale) => decision(format!(
            "ignores it: {}",
            match stale {
                Stale::Connection => "an old connection",
                Stale::StartAck => "a StartAck nobody waits for",
                Stale::EndAck => "an answer nobody waits for",
                Stale::ReqRet => "a ReqRet nobody waits for",
                Stale::Loaded => "rows nobody waits for",
                Stale::Commit => "a commit nobody waits for",
                Stale::Job => "a job that is under way",
            }
        )),
        Observation::Started { repeated, .. } if *repeated > 0 => decision(format!(
            "no answer: Start again, the {}. time",
            repeated + 1
        )),
        Observation::Started { .. } => routine("counts a Start"),
        Observation::Opened { .. } => routine("counts an open session"),
        Observation::Requested { .. } => routine("counts rows to send again"),
        Observation::Processing => routine("counts a Processing"),
        Observation::Greeted { .. } => routine("counts a Hello"),
    }
}
