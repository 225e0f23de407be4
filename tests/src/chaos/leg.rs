//! One leg: a cluster of its own, load, kills, and then the truth.
//!
//! ```text
//!  load clients ══▶ front ══▶ daemon ✝ daemon ✝ daemon … ══▶ Indexer (goes on)
//!       ✝ (sometimes)            └── at the lines of its log that the plan names
//!
//!  afterwards: every client ends with equal sets ─▶ as many documents as they left ─▶ clean stop ─▶ empty store
//! ```

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inventory_sync::config::StoreConfig;
use inventory_sync::store::Store;
use nix::sys::signal::{Signal, kill};
use nix::unistd::geteuid;
use tokio::sync::oneshot;

use super::agents::loads;
use super::front::Front;
use super::ground::{Ground, Server};
use super::load::Client;
use super::plan::{Means, Phase, Strike, Target, draw, generator, strikes};
use super::results::LegReport;
use super::scenario::{Scenario, Trouble};
use super::victim::{Order, Victim};
use super::watch::Underway;
use super::{Violation, patiently};
use crate::daemon::Setup;
use crate::indexer::{Access, Indexer};

/// Sessions that are stored before trouble begins.
const STORED_FIRST: u64 = 20;

/// Times of a daemon that dies often, in the order that they must have. What the stand-in applies late stays within
/// the bound, with room for a busy machine.
const STAND_IN_TIMES: &[(&str, u64)] = &[
    ("indexer.connect_timeout_ms", 500),
    ("indexer.request_timeout_ms", 500),
    ("indexer.request_deadline_ms", 700),
    ("indexer.late_write_bound_ms", 1_000),
    ("indexer.delivery_deadline_ms", 20_000),
    ("indexer.paused_index_deadline_ms", 3_000),
];

/// The same with a real one, which is nowhere near as quick.
const REAL_TIMES: &[(&str, u64)] = &[
    ("indexer.connect_timeout_ms", 1_000),
    ("indexer.request_timeout_ms", 2_000),
    ("indexer.request_deadline_ms", 2_500),
    ("indexer.late_write_bound_ms", 3_000),
    ("indexer.delivery_deadline_ms", 30_000),
    ("indexer.paused_index_deadline_ms", 5_000),
];

/// What is killed where.
#[derive(Clone, Debug)]
pub struct LegPlan {
    /// The campaign's.
    pub seed: u64,
    /// Its place in the campaign, from 0.
    pub number: u64,
    /// Kills of the daemon.
    pub kills: u64,
    /// A real Indexer instead of the stand-in.
    pub real: Option<Access>,
    /// How it is killed and started.
    pub server: Option<Server>,
    /// How often it is killed.
    pub server_kills: u64,
    /// Instead of kills: trouble, made by this administrator.
    pub scenario: Option<(Scenario, Access)>,
}

impl LegPlan {
    fn needs_small_queue(&self) -> bool {
        matches!(self.scenario, Some((Scenario::FullQueue, _)))
    }
}

/// What happened last, for those who wait.
pub type Notice<'a> = &'a (dyn Fn(&LegReport) + Sync);

/// Runs a leg.
///
/// # Errors
/// What the daemon, a client or the store did wrong; the leg's folder is kept.
pub async fn run(plan: &LegPlan, notice: Notice<'_>) -> Result<LegReport, Violation> {
    let name = format!("chaos-{}-{}", plan.seed, plan.number);
    let mut rng = generator(plan.seed, plan.number, "world");
    let slow_ms = draw(&mut rng, 2, 20);
    let ground = match &plan.real {
        Some(access) => Ground::real(&name, access.clone()),
        None => Ground::stand_in(&name, slow_ms),
    };
    let mut leg = Leg {
        folder: ground.world.folder().to_owned(),
        ground: Arc::new(ground),
        report: LegReport {
            leg: plan.number,
            ..LegReport::default()
        },
        history: Vec::new(),
        daemons: 0,
    };
    let began = Instant::now();
    let ending = leg.with_server(plan, notice).await;
    leg.report.seconds = began.elapsed().as_secs_f64();
    match ending {
        Ok(()) => Ok(std::mem::take(&mut leg.report)),
        Err(violation) => {
            leg.keep();
            Err(violation.at(plan, &leg.folder, &leg.history))
        }
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What the tests' support cannot get over; the way there is of interest all the same.
            self.keep();
            eprintln!("logs and store: {}", self.folder.display());
        }
    }
}

struct Leg {
    ground: Arc<Ground>,
    folder: PathBuf,
    report: LegReport,
    /// The kills so far, as sentences.
    history: Vec<String>,
    daemons: u64,
}

impl Leg {
    /// Keeps logs and store for people to look into.
    fn keep(&mut self) {
        if let Some(ground) = Arc::get_mut(&mut self.ground) {
            ground.world.keep();
        }
    }

    /// With the server that the scenario needs, and afterwards the usual one again.
    async fn with_server(&mut self, plan: &LegPlan, notice: Notice<'_>) -> Result<(), Violation> {
        let Some(server) = plan.server.as_ref().filter(|_| plan.needs_small_queue()) else {
            return self.go(plan, notice).await;
        };
        server.kill()?;
        server.restart_with_small_queue()?;
        let ending = self.go(plan, notice).await;
        server.kill()?;
        server.restart()?;
        ending
    }

    async fn go(&mut self, plan: &LegPlan, notice: Notice<'_>) -> Result<(), Violation> {
        self.ground.world.install_templates();
        self.ground.heal().await?;
        let setup = self.setup(plan);
        let front = Front::open().await?;
        let mut victim = self.start(&setup, &front).await?;
        let mut clients = self.clients(plan, &setup, &front);
        if let Some((scenario, administrator)) = &plan.scenario {
            let administrator = Indexer::real(administrator.clone());
            self.trouble(*scenario, administrator, &setup, &victim)
                .await?;
        }
        let means = Means {
            clients: clients.len(),
            has_faults: self.ground.is_stand_in(),
            server_kills: plan.server.as_ref().map_or(0, |_| plan.server_kills),
        };
        for strike in strikes(plan.seed, plan.number, plan.kills, means) {
            let before: u64 = clients.iter().map(|client| client.done().kills).sum();
            self.history.push(strike.to_string());
            victim = self
                .strike(plan, &setup, &front, victim, &mut clients, strike)
                .await?;
            let after: u64 = clients.iter().map(|client| client.done().kills).sum();
            self.report.client_kills += after - before;
            self.report.comparisons = clients.iter().map(|client| client.done().generations).sum();
            self.report.documents = clients.iter().map(|client| client.done().verified).sum();
            notice(&self.report);
        }
        self.ground.heal().await?;
        self.finish(&mut victim, &mut clients).await?;
        notice(&self.report);
        self.stop(victim, &setup, &front).await
    }

    fn clients(&self, plan: &LegPlan, setup: &Setup, front: &Front) -> Vec<Client> {
        let certs = self.ground.world.pki.folder();
        loads(plan, front.port(), &setup.socket(), certs)
            .into_iter()
            .map(|load| Client::start(self.ground.world.commands(), self.folder.clone(), load))
            .collect()
    }

    /// Trouble in the middle of the load.
    async fn trouble(
        &mut self,
        scenario: Scenario,
        administrator: Indexer,
        setup: &Setup,
        victim: &Victim,
    ) -> Result<(), Violation> {
        patiently("a part of the load is stored", || {
            let underway = victim.underway();
            Ok((underway.stored >= STORED_FIRST).then_some(()))
        })
        .await?;
        let trouble = Trouble {
            administrator: &administrator,
            ground: &self.ground,
        };
        self.report.scenario = Some(scenario.name().to_owned());
        self.report.seen = trouble.run(scenario, setup, victim).await?;
        Ok(())
    }

    fn setup(&self, plan: &LegPlan) -> Setup {
        let mut rng = generator(plan.seed, plan.number, "setup");
        let setup = self
            .ground
            .world
            .hurried()
            .with("router.relay_uids", geteuid())
            .with("session.shards", draw(&mut rng, 1, 2))
            .with("indexer.concurrency_max", draw(&mut rng, 1, 2))
            .with("indexer.bulk_operations_max", draw(&mut rng, 50, 600))
            .with("session.idle_timeout_ms", 2_000);
        let times = if self.ground.is_stand_in() {
            STAND_IN_TIMES
        } else {
            REAL_TIMES
        };
        let setup = setup.with_all(times);
        match &plan.scenario {
            Some((scenario, _)) => scenario.tune(setup),
            None => setup,
        }
    }

    async fn start(&mut self, setup: &Setup, front: &Front) -> Result<Victim, Violation> {
        let victim = Victim::start(setup, self.daemons)?;
        self.daemons += 1;
        let address = patiently("a daemon listens", || match victim.address() {
            None if victim.is_over() => Err(ended_by_itself(&victim)),
            address => Ok(address),
        })
        .await?;
        // It listens for metrics and on the Unix socket, too, when it says so.
        front.lead_to(Some(SocketAddr::from(([127, 0, 0, 1], address.port()))));
        Ok(victim)
    }

    /// One kill, and the trouble beside it, in which the next daemon starts.
    async fn strike(
        &mut self,
        plan: &LegPlan,
        setup: &Setup,
        front: &Front,
        victim: Victim,
        clients: &mut [Client],
        strike: Strike,
    ) -> Result<Victim, Violation> {
        let ground = Arc::clone(&self.ground);
        let troubling = async {
            match strike.trouble {
                Some(trouble) => ground.trouble(trouble).await,
                None => Ok(()),
            }
        };
        let killing = self.kill(plan, setup, front, victim, clients, strike);
        let (killed, troubled) = tokio::join!(killing, troubling);
        troubled?;
        self.report.troubles += u64::from(strike.trouble.is_some());
        killed
    }

    /// Gives the order, waits for the kill, and starts again what was killed.
    async fn kill(
        &mut self,
        plan: &LegPlan,
        setup: &Setup,
        front: &Front,
        victim: Victim,
        clients: &mut [Client],
        strike: Strike,
    ) -> Result<Victim, Violation> {
        let (done, struck) = oneshot::channel();
        victim.order(Order {
            phase: strike.phase,
            nth: strike.nth,
            delay: Duration::from_micros(strike.delay_us),
            act: act(plan, &victim, clients, strike.target),
            done,
        });
        let struck = wait_for_strike(struck, &victim, clients, strike).await?;
        if strike.target == Target::Server
            && let Some(server) = plan.server.clone()
        {
            tokio::task::spawn_blocking(move || server.restart())
                .await
                .map_err(|error| Violation::new(error.to_string()))??;
            self.report.server_kills += 1;
        }
        if !strike.target.is_daemon() {
            return Ok(victim);
        }
        front.lead_to(None);
        let underway = self.bury(victim)?;
        self.report.daemon_kills += 1;
        *self.report.aimed.entry(strike.phase).or_default() += 1;
        let phases = underway.phases(struck);
        for phase in &phases {
            *self.report.under_way.entry(*phase).or_default() += 1;
        }
        if let Some(last) = self.history.last_mut() {
            let names: Vec<String> = phases.iter().map(Phase::to_string).collect();
            last.push_str(&format!(
                " → daemon {} in {}",
                self.daemons - 1,
                names.join(", ")
            ));
        }
        if let Some(ms) = strike.again_after_ms {
            let starting = Victim::start(setup, self.daemons)?;
            self.daemons += 1;
            tokio::time::sleep(Duration::from_millis(ms)).await;
            kill(starting.pid(), Signal::SIGKILL)?;
            self.bury(starting)?;
            self.report.startup_kills += 1;
        }
        self.start(setup, front).await
    }

    /// Takes the end of a daemon that was killed.
    fn bury(&mut self, victim: Victim) -> Result<Underway, Violation> {
        let (status, underway) = victim.bury()?;
        if status.signal() != Some(9) {
            return Err(Violation::new(format!("the daemon ended with {status}")));
        }
        self.count(&underway);
        Ok(underway)
    }

    fn count(&mut self, underway: &Underway) {
        self.report.opened += underway.opened;
        self.report.stored += underway.stored;
        self.report.not_stored += underway.not_stored;
    }

    /// Every client ends with equal sets, and nothing else is there.
    async fn finish(
        &mut self,
        victim: &mut Victim,
        clients: &mut [Client],
    ) -> Result<(), Violation> {
        for client in clients.iter() {
            client.finish();
        }
        patiently("every load client ends", || {
            if victim.is_over() {
                return Err(ended_by_itself(victim));
            }
            Ok(clients.iter().all(Client::is_over).then_some(()))
        })
        .await?;
        let mut left = 0;
        (self.report.comparisons, self.report.documents) = (0, 0);
        for client in clients {
            let done = client.end()?;
            left += done.left;
            self.report.comparisons += done.generations;
            self.report.documents += done.verified;
        }
        let found = self.ground.documents().await?;
        if found != left {
            return Err(Violation::new(format!(
                "{found} documents of the cluster are in the Indexer, the agents left {left}"
            )));
        }
        Ok(())
    }

    /// A clean end, and a store without anything staged.
    async fn stop(
        &mut self,
        mut victim: Victim,
        setup: &Setup,
        front: &Front,
    ) -> Result<(), Violation> {
        front.lead_to(None);
        victim.terminate()?;
        let status = patiently("the daemon ends", || Ok(victim.ended()?)).await?;
        let (log, underway) = (victim.log.clone(), victim.underway());
        drop(victim);
        self.count(&underway);
        let log = std::fs::read_to_string(log)?;
        if !status.success() || !log.contains("every request was answered") {
            let last = log.lines().last().unwrap_or_default();
            return Err(Violation::new(format!(
                "the daemon's stop was not clean: {status}: {last}"
            )));
        }
        let store = Store::open(&StoreConfig {
            path: setup.get("store.path").into(),
            write_buffer_bytes: 8 << 20,
        });
        let store = store.map_err(|error| Violation::new(error.to_string()))?;
        match store.is_empty() {
            Ok(true) => Ok(()),
            Ok(false) => Err(Violation::new(
                "staged frames are left in the store after all sessions have ended",
            )),
            Err(error) => Err(Violation::new(error.to_string())),
        }
    }
}

/// What makes the kill.
fn act(
    plan: &LegPlan,
    victim: &Victim,
    clients: &[Client],
    target: Target,
) -> Box<dyn FnOnce() + Send> {
    let pid = victim.pid();
    let server = plan.server.clone();
    let killer = match target {
        Target::Client(client) | Target::Both(client) => Some(clients[client].killer()),
        Target::Daemon | Target::Server => None,
    };
    Box::new(move || {
        if target.is_daemon() {
            // One that has ended by itself is noticed by its exit status.
            let _ = kill(pid, Signal::SIGKILL);
        }
        if let Some(killer) = killer {
            killer.kill();
        }
        if target == Target::Server
            && let Some(server) = server
        {
            // Without the server the restart says what is wrong.
            let _ = server.kill();
        }
    })
}

async fn wait_for_strike(
    mut struck: oneshot::Receiver<Instant>,
    victim: &Victim,
    clients: &mut [Client],
    strike: Strike,
) -> Result<Instant, Violation> {
    patiently(&format!("{strike}"), || {
        if let Ok(struck) = struck.try_recv() {
            return Ok(Some(struck));
        }
        if victim.is_over() {
            return Err(ended_by_itself(victim));
        }
        if let Some(client) = clients.iter_mut().find(|client| client.is_over()) {
            client.end()?;
            let name = client.name();
            return Err(Violation::new(format!(
                "load client {name} ended too early"
            )));
        }
        Ok(None)
    })
    .await
}

fn ended_by_itself(victim: &Victim) -> Violation {
    let log = std::fs::read_to_string(&victim.log).unwrap_or_default();
    let last = log.lines().last().unwrap_or("without a word");
    Violation::new(format!("the daemon ended by itself: {last}"))
}
