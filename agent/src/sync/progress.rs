//! What happens, as it happens: a bar on a terminal, lines elsewhere.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::link::Address;

/// Between two lines about rows that went out.
const SENT_LINE_EVERY: Duration = Duration::from_secs(2);

/// How often a spinner turns.
const SPINNER_TICK: Duration = Duration::from_millis(100);

/// Something worth telling.
#[derive(Debug)]
pub enum Step<'a> {
    /// The machine is read.
    Scanning,
    /// The machine was read.
    Scanned {
        /// Documents that are brought.
        documents: usize,
        /// Indices that are replaced.
        indices: usize,
        /// How long it took.
        took: Duration,
    },
    /// A connection is made.
    Connecting {
        /// To whom.
        to: &'a Address,
    },
    /// It was made.
    Connected,
    /// The manager opened a session.
    Opened {
        /// Which.
        session: u64,
    },
    /// Rows went out.
    Sent {
        /// How many of this session so far.
        items: u64,
    },
    /// The manager asks for rows again.
    SentAgain {
        /// How many.
        items: u64,
    },
    /// The manager has everything and delivers it.
    Processing,
    /// A session ended without a verdict, and there will be another.
    Retrying {
        /// Why.
        why: &'a str,
        /// Not before this has passed.
        after: Duration,
    },
    /// A sentence for people.
    Note(&'a str),
}

/// Who watches.
pub trait Progress {
    /// Something happened.
    fn step(&mut self, step: &Step<'_>);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn step(&mut self, _: &Step<'_>) {}
}

/// One line for each step on standard error.
#[derive(Debug, Default)]
pub struct Plain {
    documents: u64,
    last_sent: Option<Instant>,
}

impl Progress for Plain {
    fn step(&mut self, step: &Step<'_>) {
        if let Step::Scanned { documents, .. } = step {
            self.documents = *documents as u64;
        }
        if let Step::Sent { items } = step
            && *items < self.documents
            && self
                .last_sent
                .replace(Instant::now())
                .is_some_and(|last| last.elapsed() < SENT_LINE_EVERY)
        {
            return;
        }
        // Whoever closed standard error does not want to know.
        let _ = writeln!(io::stderr(), "{}", line(step, self.documents));
    }
}

/// A line that moves on standard error, above it what is worth keeping.
#[derive(Debug)]
pub struct Terminal {
    bar: ProgressBar,
    documents: u64,
}

impl Default for Terminal {
    fn default() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
            .with_style(ProgressStyle::default_spinner());
        bar.enable_steady_tick(SPINNER_TICK);
        Self { bar, documents: 0 }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Terminal {
    fn step(&mut self, step: &Step<'_>) {
        let text = line(step, self.documents);
        match step {
            Step::Scanned { documents, .. } => {
                self.documents = *documents as u64;
                self.keep(&text);
            }
            Step::Opened { .. } => {
                self.bar.set_length(self.documents);
                self.bar.set_position(0);
                if let Ok(style) = ProgressStyle::with_template(
                    "{spinner} sending {bar:40} {pos} of {len} documents",
                ) {
                    self.bar.set_style(style);
                }
            }
            Step::Sent { items } => {
                self.bar.set_position(*items);
                if *items >= self.documents {
                    self.spin("waiting for the verdict");
                }
            }
            Step::Connected | Step::SentAgain { .. } | Step::Retrying { .. } | Step::Note(_) => {
                self.keep(&text);
            }
            Step::Scanning | Step::Connecting { .. } | Step::Processing => self.spin(&text),
        }
    }
}

impl Terminal {
    fn keep(&self, text: &str) {
        self.bar.println(text);
    }

    fn spin(&self, text: &str) {
        self.bar.set_style(ProgressStyle::default_spinner());
        self.bar.set_message(text.to_owned());
    }
}

/// A step in words.
fn line(step: &Step<'_>, documents: u64) -> String {
    match step {
        Step::Scanning => "scanning this machine".to_owned(),
        Step::Scanned {
            documents,
            indices,
            took,
        } => format!(
            "scanned: {documents} documents for {indices} indices, in {} ms",
            took.as_millis()
        ),
        Step::Connecting { to } => format!("connecting to {to}"),
        Step::Connected => "connected: TLS 1.3, both sides with certificates".to_owned(),
        Step::Opened { session } => format!("session {session:016x} is open, sending"),
        Step::Sent { items } => format!("sent {items} of {documents} documents"),
        Step::SentAgain { items } => format!("the manager asks again for {items} documents"),
        Step::Processing => {
            "the manager has everything and delivers it; waiting for the verdict".to_owned()
        }
        Step::Retrying { why, after } => {
            format!("{why}; next attempt in {:.1} s", after.as_secs_f64())
        }
        Step::Note(text) => (*text).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_a_sentence() {
        let address: Address = "127.0.0.1:1517".parse().unwrap();
        let steps = [
            Step::Scanning,
            Step::Scanned {
                documents: 423,
                indices: 10,
                took: Duration::from_millis(310),
            },
            Step::Connecting { to: &address },
            Step::Connected,
            Step::Opened { session: 0xabc },
            Step::Sent { items: 100 },
            Step::SentAgain { items: 7 },
            Step::Processing,
            Step::Retrying {
                why: "the manager answered Offline/IndexerUnavailable",
                after: Duration::from_millis(1_250),
            },
            Step::Note("a note"),
        ];
        let text: Vec<_> = steps.iter().map(|step| line(step, 423)).collect();
        insta::assert_snapshot!(text.join("\n"), @"
        scanning this machine
        scanned: 423 documents for 10 indices, in 310 ms
        connecting to 127.0.0.1:1517
        connected: TLS 1.3, both sides with certificates
        session 0000000000000abc is open, sending
        sent 100 of 423 documents
        the manager asks again for 7 documents
        the manager has everything and delivers it; waiting for the verdict
        the manager answered Offline/IndexerUnavailable; next attempt in 1.2 s
        a note
        ");
    }
}
