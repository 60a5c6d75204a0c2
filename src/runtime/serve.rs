//! The service: everything started in the one right order, and ended in the reverse.
//!
//! Start: store and its lock -> newest snapshot, unless history is owed that can be had -> engine thread -> API -> history, or what was missed ->
//! live: the clock runs, actions go out. End: collectors and API -> queue drained -> last snapshot -> offsets
//! committed -> deliveries in flight.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::act::sinks::SinkError;
use crate::act::{self, Dispatcher, Outbox, Sinks};
use crate::api::handle::{Handle, Phase};
use crate::api::room::Room;
use crate::api::server;
use crate::clock::Clock;
use crate::config::Config;
use crate::durable::snapshot::SnapshotError;
use crate::durable::store::{Store, StoreError};
use crate::incident::event::Event;
use crate::runtime::collectors::{CollectError, Consumers, Live, Outfit};
use crate::runtime::engine_thread::{EngineThread, EngineThreadError, Inlets, Order};
use crate::runtime::history;
use crate::runtime::ledger::Ledger;
use crate::runtime::owed;
use crate::runtime::pulse::Pulse;
use crate::runtime::recover::{self, Start};
use crate::runtime::settings::settings_of;
use crate::runtime::snapshots::{Positions, Snapshots};
use crate::sample::{Batch, Timestamp};
use crate::telemetry::Metrics;

/// Questions that wait for the engine thread.
const ASKS_MAX: usize = 64;
/// How long a remote-write sender waits for a full queue before it is told to come back.
const QUEUE_PATIENCE: Duration = Duration::from_secs(5);
/// A broker or sink that does not answer holds up the end no longer than this.
const FAREWELL: Duration = Duration::from_secs(10);

/// What whoever started the service gets once it can be spoken to.
#[derive(Debug)]
pub struct Started {
    /// Where the API listens; the port is real where the configuration said 0.
    pub address: SocketAddr,
    /// Every event from here on, once it is on disk.
    pub events: broadcast::Receiver<Event>,
}

/// Why the service did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    // Not a `source`, or whoever prints the chain says it twice.
    #[error("cannot listen on {address}: {error}; give `listen` another port, or end what holds this one")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("{}", lines(.0))]
    Sinks(Vec<SinkError>),
    #[error(transparent)]
    Collect(#[from] CollectError),
    #[error("the engine ended: {0}")]
    Engine(#[from] EngineThreadError),
    #[error("the engine thread could not be started: {0}")]
    Thread(io::Error),
    #[error("the engine panicked; the next start reads on from the newest snapshot")]
    Panicked,
    #[error("the API ended: {0}")]
    Api(String),
}

fn lines(errors: &[SinkError]) -> String {
    errors.iter().map(SinkError::to_string).collect::<Vec<_>>().join("\n")
}

/// Serves until `stop`. `clock` is data time: scrapes, ticks, cool-downs and re-sends follow it, while snapshots
/// and network time-outs stay in wall time. Call it within a multi-threaded tokio runtime.
///
/// # Errors
/// Whatever keeps it from starting; later the disk, or a defect. What is on disk is consistent in any case.
pub async fn run(
    config: Config,
    clock: Clock,
    stop: CancellationToken,
    started: oneshot::Sender<Started>,
) -> Result<(), ServeError> {
    let mut service = Service::start(config, clock).await?;
    tracing::info!(address = %service.address, "listening");
    // Whoever started it need not wait for the address.
    let _ = started.send(Started { address: service.address, events: service.outbox.subscribe() });
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = service.work.go(&service.engine.orders, service.phase.clone()) => ended.map(|never| match never {}),
        ended = &mut service.engine.done => Err(gone(ended)),
        ended = &mut service.api => Err(ServeError::Api(format!("{ended:?}"))),
    };
    if let Err(error) = &ended {
        tracing::error!(%error, "stopping");
    }
    ended.and(service.end().await)
}

/// All that runs.
struct Service {
    address: SocketAddr,
    outbox: Arc<Outbox>,
    phase: watch::Receiver<Phase>,
    engine: EngineOut,
    api: JoinHandle<io::Result<()>>,
    api_stop: CancellationToken,
    work: Work,
}

/// The engine thread as seen from outside.
struct EngineOut {
    orders: mpsc::Sender<Order>,
    done: oneshot::Receiver<Result<(), EngineThreadError>>,
}

impl Service {
    /// Up to the API, which answers from here on; nothing is collected yet.
    async fn start(config: Config, clock: Clock) -> Result<Self, ServeError> {
        let metrics = Arc::new(Metrics::new());
        let store = Store::open(&config.data_dir)?;
        let outbox = Arc::new(Outbox::open(store, act::outbox::Settings::of(&config))?);
        let sinks = Sinks::build(&config.sinks, &config.egress_allow).map_err(ServeError::Sinks)?;
        let start = recover::start(&config.data_dir, settings_of(&config))?;
        if let Some(at) = start.since {
            let file = std::fs::metadata(recover::snapshot_path(&config.data_dir));
            metrics.snapshot(at, file.map_or(0, |file| file.len()));
        }
        let cannot_listen = |error| ServeError::Listen { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;

        let (batches, batches_out) = mpsc::channel(config.limits.queue_batches_max);
        let outfit = Outfit { clock, batches: batches.clone(), metrics: Arc::clone(&metrics) };
        let start = owed::collect(start, &config, &outfit, settings_of(&config)).await?;
        let (asks, asks_out) = mpsc::channel(ASKS_MAX);
        let (shown, phase) = watch::channel(start.phase());
        let (durable, durable_seen) = watch::channel(start.positions.clone());
        watch_queues(&metrics, &batches, &asks);
        let room = Room::new(config.limits.queue_bytes_max);
        let used = room.clone();
        metrics.queue("remote_write_kib", room.kib_max(), move || used.kib_used());

        let handle = Handle {
            batches,
            asks,
            room,
            outbox: Arc::clone(&outbox),
            phase: phase.clone(),
            metrics: Arc::clone(&metrics),
            clock,
            queue_patience: QUEUE_PATIENCE,
        };
        let api_stop = CancellationToken::new();
        let router = server::router(handle, config.auth.as_ref(), config.remote_write.clone());
        let api = tokio::spawn(server::serve(listener, router, api_stop.clone()));

        let work = Work {
            positions: start.positions.clone(),
            since: start.since,
            outfit,
            dispatcher: Some(Dispatcher::new(Arc::clone(&outbox), sinks, clock, Arc::clone(&metrics))),
            durable: durable_seen,
            live: None,
            commits: None,
            deliveries: None,
            stop: CancellationToken::new(),
            config,
        };
        let thread = engine_thread(start, &work, Arc::clone(&outbox), durable, shown);
        let engine = spawn(thread, |orders| Inlets { batches: batches_out, asks: asks_out, orders })?;
        Ok(Service { address, outbox, phase, engine, api, api_stop, work })
    }

    /// Ends what runs, in the order that loses nothing.
    async fn end(mut self) -> Result<(), ServeError> {
        if let Some(live) = self.work.live.take() {
            live.stop().await;
        }
        self.api_stop.cancel();
        if !self.api.is_finished() {
            // Its own time to drain is shorter; how it ended matters no more.
            let _ = timeout(FAREWELL, &mut self.api).await;
        }
        let _ = self.engine.orders.send(Order::Stop).await;
        let ended = match self.engine.done.try_recv() {
            Err(oneshot::error::TryRecvError::Closed) => Ok(()),
            Err(oneshot::error::TryRecvError::Empty) => self.engine.done.await.unwrap_or(Ok(())),
            Ok(ended) => ended,
        };
        self.work.stop.cancel();
        for task in [self.work.commits.take(), self.work.deliveries.take()].into_iter().flatten() {
            if timeout(FAREWELL, task).await.is_err() {
                tracing::warn!("the end was not waited for; what is missing is done after the next start");
            }
        }
        tracing::info!("stopped");
        Ok(ended?)
    }
}

fn engine_thread(
    start: Start,
    work: &Work,
    outbox: Arc<Outbox>,
    durable: watch::Sender<Positions>,
    shown: watch::Sender<Phase>,
) -> EngineThread {
    let (config, Outfit { clock, metrics, .. }) = (&work.config, &work.outfit);
    let phase = start.phase();
    let path = recover::snapshot_path(&config.data_dir);
    EngineThread {
        engine: start.engine,
        ledger: Ledger::new(outbox, Arc::clone(metrics), phase == Phase::WarmingUp),
        snapshots: Snapshots::new(path, config.limits.snapshot_interval, durable, Arc::clone(metrics)),
        positions: start.positions,
        pulse: Pulse::new(Duration::from_secs(config.step_seconds.into())),
        clock: *clock,
        phase,
        reached: start.since.unwrap_or(Timestamp::MIN),
        shown,
        metrics: Arc::clone(metrics),
        measured_at: Instant::now(),
    }
}

fn spawn(
    thread: EngineThread,
    inlets: impl FnOnce(mpsc::Receiver<Order>) -> Inlets,
) -> Result<EngineOut, ServeError> {
    let (orders, orders_out) = mpsc::channel(4);
    let (ended, done) = oneshot::channel();
    let (inlets, runtime) = (inlets(orders_out), tokio::runtime::Handle::current());
    let run = move || {
        // A panic drops `ended` unsent, which tells as much.
        let _ = ended.send(thread.run(inlets, &runtime));
    };
    std::thread::Builder::new().name("engine".into()).spawn(run).map_err(ServeError::Thread)?;
    Ok(EngineOut { orders, done })
}

fn gone(ended: Result<Result<(), EngineThreadError>, oneshot::error::RecvError>) -> ServeError {
    match ended {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) | Err(_) => ServeError::Panicked,
    }
}

fn watch_queues<A: Send + 'static>(metrics: &Metrics, batches: &mpsc::Sender<Batch>, asks: &mpsc::Sender<A>) {
    fn length<T: Send + 'static>(queue: &mpsc::Sender<T>) -> impl Fn() -> usize + Send + Sync + use<T> {
        // Weak, so that the metrics keep no queue alive.
        let queue = queue.downgrade();
        move || queue.upgrade().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }
    metrics.queue("batches", batches.max_capacity(), length(batches));
    metrics.queue("asks", asks.max_capacity(), length(asks));
}

/// What brings samples in and sends actions out.
struct Work {
    config: Config,
    positions: Positions,
    /// Tick of the snapshot.
    since: Option<Timestamp>,
    outfit: Outfit,
    dispatcher: Option<Dispatcher>,
    durable: watch::Receiver<Positions>,
    live: Option<Live>,
    commits: Option<JoinHandle<()>>,
    deliveries: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Work {
    /// Brings the engine to the present and lets it act; then there is nothing left to do here.
    async fn go(
        &mut self,
        orders: &mpsc::Sender<Order>,
        mut phase: watch::Receiver<Phase>,
    ) -> Result<Infallible, ServeError> {
        // What was missed is read from Kafka, Prometheus and files at once, and the ticks put it in order. History is read
        // from one kind of source at a time: it may reach back months, and nothing could wait for that long. Today's
        // samples come after both: beside the past they would make it late.
        let catching_up = *phase.borrow() == Phase::CatchingUp;
        let consumers = if catching_up { Some(self.consume()?) } else { None };
        let tails = history::read(&self.config, &self.outfit, &self.positions, self.since).await;
        let tails = tails.map_err(CollectError::from)?;
        let consumers = consumers.map_or_else(|| self.consume(), Ok)?;
        consumers.catch_up().await;
        // An error here and below says that the engine thread ended, which `run` hears of by itself.
        let _ = orders.send(Order::GoLive).await;
        let _ = phase.wait_for(|phase| *phase == Phase::Live).await;
        let live = self.live.insert(Live::start(&self.config, &self.outfit));
        live.follow(tails, self.config.step_seconds, &self.outfit)?;
        tracing::info!("live");
        if let Some(dispatcher) = self.dispatcher.take() {
            self.deliveries = Some(tokio::spawn(dispatcher.run(self.stop.clone())));
        }
        std::future::pending().await
    }

    /// Joins the groups of Kafka, and commits from here on what becomes durable.
    fn consume(&mut self) -> Result<Arc<Consumers>, CollectError> {
        let consumers = Arc::new(Consumers::start(&self.config, &self.outfit, self.positions.clone())?);
        let (durable, metrics) = (self.durable.clone(), Arc::clone(&self.outfit.metrics));
        self.commits = Some(tokio::spawn(Arc::clone(&consumers).commit_durable(durable, metrics)));
        Ok(consumers)
    }
}
