//! The thread that owns the engine: one input after the other, and between two of them questions and snapshots.
//!
//! ```text
//! batches (bounded) --+
//! the clock, a beat --+--> Engine::step -> events -> ledger (on disk) -> next input
//! questions, orders --+                                   |
//!                                                 snapshot at a barrier
//! ```
//!
//! Nothing locks the engine. A full queue of batches makes every sender wait, which is the back-pressure.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

use crate::api::handle::{Ask, Phase};
use crate::clock::Clock;
use crate::durable::snapshot::{Snapshot, SnapshotError};
use crate::durable::store::StoreError;
use crate::engine::{Command, Engine, EngineState, Input};
use crate::incident::Verdict;
use crate::incident::event::EventKind;
use crate::runtime::ledger::Ledger;
use crate::runtime::pulse::Pulse;
use crate::runtime::snapshots::{Positions, Snapshots};
use crate::sample::{Batch, Timestamp};
use crate::telemetry::{EngineGauges, Metrics, Stage};

/// Between two looks at the engine's counts where nothing ticks.
const MEASURE: Duration = Duration::from_secs(5);

/// What the runtime tells the thread.
#[derive(Debug)]
pub enum Order {
    /// History or what was missed has been handed over: from here on the clock runs and actions are due.
    GoLive,
    /// Take what is in the queue, write a last snapshot, end.
    Stop,
}

/// Where everything comes in that the thread waits for.
pub struct Inlets {
    pub batches: mpsc::Receiver<Batch>,
    pub asks: mpsc::Receiver<Ask>,
    pub orders: mpsc::Receiver<Order>,
}

/// Why the thread ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum EngineThreadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("last snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
}

/// The engine and what surrounds it on its thread.
pub struct EngineThread {
    pub engine: Engine,
    pub ledger: Ledger,
    pub snapshots: Snapshots,
    pub positions: Positions,
    pub pulse: Pulse,
    pub clock: Clock,
    pub phase: Phase,
    /// Data time that the engine has reached.
    pub reached: Timestamp,
    /// Where others see the phase.
    pub shown: watch::Sender<Phase>,
    pub metrics: Arc<Metrics>,
    /// When the engine was last asked for its counts without a tick.
    pub measured_at: Instant,
}

enum Next {
    Batch(Batch),
    Beat,
    Snapshot,
    Measure,
    Ask(Ask),
    Order(Option<Order>),
}

impl EngineThread {
    /// Runs until `Order::Stop`, or until nobody is left who could give it.
    ///
    /// # Errors
    /// The disk failed for longer than it was waited for. What is on disk is consistent.
    pub fn run(mut self, mut inlets: Inlets, runtime: &Handle) -> Result<(), EngineThreadError> {
        loop {
            match runtime.block_on(self.next(&mut inlets)) {
                Next::Batch(batch) => self.take(batch)?,
                Next::Beat => {
                    let due = self.pulse.fall_due(self.clock.now(), inlets.batches.len());
                    self.tell_time(due)?;
                }
                Next::Snapshot => {
                    let snapshot = self.barrier();
                    self.snapshots.begin(runtime, snapshot);
                }
                Next::Measure => {
                    self.measured_at = Instant::now();
                    self.measure();
                }
                Next::Ask(ask) => self.answer(ask)?,
                Next::Order(Some(Order::GoLive)) => {
                    self.go_live(&mut inlets.batches)?;
                    let snapshot = self.barrier();
                    self.snapshots.begin(runtime, snapshot);
                }
                Next::Order(Some(Order::Stop) | None) => return self.stop(inlets, runtime),
            }
        }
    }

    /// Branches are tried in random order, so none can starve the others.
    async fn next(&mut self, inlets: &mut Inlets) -> Next {
        tokio::select! {
            order = inlets.orders.recv() => Next::Order(order),
            Some(ask) = inlets.asks.recv() => Next::Ask(ask),
            Some(batch) = inlets.batches.recv() => Next::Batch(batch),
            () = self.pulse.beat(&self.clock), if self.phase == Phase::Live => Next::Beat,
            // Not by ticks alone: what is dropped shows also where nothing ticks, which it may be the reason for.
            () = sleep_until((self.measured_at + MEASURE).into()) => Next::Measure,
            // Half-read history is no state to come back to.
            () = self.snapshots.due(), if self.phase != Phase::WarmingUp => Next::Snapshot,
        }
    }

    fn take(&mut self, batch: Batch) -> Result<(), EngineThreadError> {
        if let Some(position) = batch.position {
            self.positions.insert(batch.source.to_string(), position);
        }
        if !batch.is_empty() {
            self.metrics.accepted(batch.len());
            self.engine.bound(self.clock.now());
            self.step(Input::Samples(batch))?;
        }
        let due = self.pulse.batch_done();
        self.tell_time(due)
    }

    fn tell_time(&mut self, due: Option<Timestamp>) -> Result<(), EngineThreadError> {
        due.map_or(Ok(()), |now| self.step(Input::Clock(now)))
    }

    fn step(&mut self, input: Input) -> Result<(), EngineThreadError> {
        let mut events = Vec::new();
        let ticks_before = self.engine.ticks();
        let started = Instant::now();
        self.engine.step(input, &mut events);
        let took = started.elapsed();
        let ticked = self.engine.ticks() > ticks_before;
        self.metrics.observe(if ticked { Stage::Tick } else { Stage::Accept }, took);
        if ticked {
            self.measure();
        }
        self.ledger.record(&events)?;
        // What scrapes led to cannot be read again: an incident that opens must not hang on the next interval.
        if events.iter().any(|event| event.event == EventKind::Opened) {
            self.snapshots.hurry();
        }
        self.settle()
    }

    /// Once all that the store knows has been lived through again, what the engine doesn't know of it was found in
    /// samples that are lost. It goes on where the engine knows its series, and ends when they are seen to be calm;
    /// only what nobody can look after any more is closed.
    fn settle(&mut self) -> Result<(), EngineThreadError> {
        if self.ledger.is_settled(self.reached) {
            for case in self.ledger.lost(&self.open())? {
                if self.engine.take_back(&case.incident, case.accepted) {
                    tracing::info!(
                        incident = case.incident.id,
                        "open before the stop, and taken back: its samples were lost"
                    );
                }
            }
            self.ledger.settle(self.clock.now(), &self.open())?;
        }
        Ok(())
    }

    fn open(&self) -> BTreeSet<String> {
        self.engine.incidents().into_iter().map(|incident| incident.id).collect()
    }

    fn measure(&mut self) {
        let stats = self.engine.stats();
        self.reached = stats.tick_at.unwrap_or(self.reached);
        self.metrics.engine(EngineGauges {
            series: stats.series,
            lanes: stats.lanes,
            entities: stats.entities,
            waiting: stats.waiting,
            incidents_open: stats.open_incidents,
            thresholds: stats.thresholds,
            ticks: stats.ticks,
            ticks_skipped: stats.ticks_skipped,
            tick_at: stats.tick_at,
        });
        for (reason, count) in &stats.dropped {
            self.metrics.dropped_in_all("engine", reason, *count);
        }
        for (bound, count) in stats.not_followed {
            self.metrics.dropped_in_all("incidents", bound, count);
        }
        for brown_out in &stats.brown_outs {
            self.metrics.brown_out(&brown_out.users, brown_out.accepted_seconds, brown_out.used_seconds);
        }
        for (verdict, count) in Verdict::ALL.into_iter().zip(stats.verdicts) {
            self.metrics.feedback_in_all(verdict.name(), count);
        }
    }

    fn answer(&mut self, ask: Ask) -> Result<(), EngineThreadError> {
        // Whoever asked may have gone; then nobody misses the answer.
        match ask {
            Ask::Series { select, limit, reply } => {
                let _ = reply.send(self.engine.series(&|labels| select.has(labels), limit));
            }
            Ask::Command { command, reply } => {
                let is_known = self.engine.can_obey(&command);
                if is_known && matches!(command, Command::Feedback { .. }) {
                    // Only a snapshot knows of it.
                    self.snapshots.hurry();
                    tracing::info!(?command, "what people say of an incident");
                }
                self.step(Input::Command(command))?;
                self.measure();
                let _ = reply.send(is_known);
            }
        }
        Ok(())
    }

    /// What was handed over before the order stands in the queue; it belongs to the past.
    fn go_live(&mut self, batches: &mut mpsc::Receiver<Batch>) -> Result<(), EngineThreadError> {
        for _ in 0..batches.len() {
            let Ok(batch) = batches.try_recv() else { break };
            self.take(batch)?;
        }
        self.ledger.go_live()?;
        self.settle()?;
        self.phase = Phase::Live;
        self.shown.send_replace(Phase::Live);
        Ok(())
    }

    /// State and positions of this instant; every event of earlier inputs is in the store.
    fn barrier(&self) -> Snapshot<EngineState> {
        Snapshot { at: self.reached, positions: self.positions.clone(), state: self.engine.save() }
    }

    fn stop(mut self, mut inlets: Inlets, runtime: &Handle) -> Result<(), EngineThreadError> {
        self.shown.send_replace(Phase::Stopping);
        // Nothing more comes in; what is in already was acknowledged.
        inlets.batches.close();
        while let Some(batch) = inlets.batches.blocking_recv() {
            self.take(batch)?;
        }
        if self.phase == Phase::WarmingUp {
            return Ok(());
        }
        let last = self.barrier();
        Ok(runtime.block_on(self.snapshots.finish(last))?)
    }
}
