//! Pulls from a server on loopback that answers as Prometheus does, limits included.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use tokio::sync::mpsc::{self, Receiver};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::*;
use crate::config::{HttpAuth, Tls};
use crate::sample::{Labels, ValueKind};

const STEP_MS: i64 = 15_000;

/// Answers a range query with the time as value, one series for each query.
struct Server {
    /// More points are refused with `status`.
    points_max: i64,
    status: u16,
    /// So many queries fail first.
    failures: AtomicU32,
    /// Points after this are not shown yet.
    visible_ms: Arc<AtomicI64>,
}

impl Respond for Server {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let form: BTreeMap<String, String> = form_urlencoded::parse(&request.body).into_owned().collect();
        let ms = |key: &str| (form[key].parse::<f64>().unwrap() * 1000.0) as i64;
        let (start, end, step) = (ms("start"), ms("end"), ms("step"));
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            return ResponseTemplate::new(503).set_body_string("overloaded");
        }
        if (end - start) / step + 1 > self.points_max {
            let refusal = serde_json::json!({"status": "error", "errorType": "execution",
                "error": "query processing would load too many samples into memory"});
            return ResponseTemplate::new(self.status).set_body_json(refusal);
        }
        let values: Vec<_> = (start..=end.min(self.visible_ms.load(Ordering::SeqCst)))
            .step_by(step as usize)
            .map(|at| serde_json::json!([at as f64 / 1000.0, (at / 1000).to_string()]))
            .collect();
        let series = serde_json::json!([{"metric": {"__name__": form["query"]}, "values": values}]);
        let data = serde_json::json!({"resultType": "matrix", "result": series});
        ResponseTemplate::new(200).set_body_json(serde_json::json!({"status": "success", "data": data}))
    }
}

async fn start(server: Server) -> (MockServer, Puller, Receiver<Batch>) {
    let mock = MockServer::start().await;
    let metadata = serde_json::json!({"status": "success", "data": {"mails": [{"type": "counter"}]}});
    Mock::given(path("/prom/api/v1/metadata"))
        .respond_with(ResponseTemplate::new(200).set_body_json(metadata))
        .mount(&mock)
        .await;
    Mock::given(method("POST")).and(path("/prom/api/v1/query_range")).respond_with(server).mount(&mock).await;
    let pull = PrometheusPull {
        url: format!("{}/prom/", mock.uri()).parse().unwrap(),
        auth: HttpAuth::None,
        tls: Tls::default(),
        selectors: vec!["mails".into(), "load".into()],
        backfill: 14 * DAY,
        step: Duration::from_millis(STEP_MS as u64),
        tail_lag: Some(Duration::from_secs(30)),
        timeout: Duration::from_secs(5),
        body_bytes_max: 1 << 20,
    };
    let (sender, batches) = mpsc::channel(100);
    let puller = Puller::new(pull, 15, sender, Arc::new(Metrics::new())).unwrap();
    (mock, puller, batches)
}

fn easy() -> Server {
    let visible_ms = Arc::new(AtomicI64::new(i64::MAX));
    Server { points_max: 11_000, status: 422, failures: AtomicU32::new(0), visible_ms }
}

/// The times of each series over all batches that wait, in the order in which they came.
fn times(batches: &mut Receiver<Batch>) -> BTreeMap<String, Vec<i64>> {
    let mut times = BTreeMap::<String, Vec<i64>>::new();
    while let Ok(batch) = batches.try_recv() {
        for (key, _, samples) in batch.iter() {
            let series = Labels::from_key(key).to_string();
            times.entry(series).or_default().extend(samples.iter().map(|s| s.at.0));
        }
    }
    times
}

async fn history_is_whole(server: Server) {
    let (_mock, mut puller, mut batches) = start(server).await;
    let to = Timestamp(1000 * STEP_MS);
    let next = puller.history(Timestamp(1), to, |_| {}).await.unwrap();
    assert_eq!(next, Timestamp(1001 * STEP_MS));
    let want: Vec<i64> = (1..=1000).map(|i| i * STEP_MS).collect();
    let times = times(&mut batches);
    assert_eq!((&times["mails"], &times["load"]), (&want, &want));
}

#[tokio::test]
async fn history_holds_every_step_once() {
    history_is_whole(easy()).await;
}

#[tokio::test]
async fn slices_shrink_until_the_server_takes_them() {
    history_is_whole(Server { points_max: 50, ..easy() }).await;
    history_is_whole(Server { points_max: 50, status: 400, ..easy() }).await;
}

#[tokio::test]
async fn a_server_out_of_breath_is_asked_again() {
    history_is_whole(Server { failures: AtomicU32::new(1), ..easy() }).await;
}

#[tokio::test]
async fn a_refusal_that_a_smaller_slice_does_not_cure_is_told() {
    let (_mock, mut puller, _batches) = start(Server { points_max: 0, ..easy() }).await;
    let error = puller.history(Timestamp(0), Timestamp(STEP_MS), |_| {}).await.unwrap_err();
    let want = "status 422: execution: query processing would load too many samples into memory";
    assert_eq!(error.to_string(), want);
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_slice_is_one_batch_that_says_where_to_go_on() {
    let (_mock, mut puller, mut batches) = start(easy()).await;
    let mut seen = Vec::new();
    puller.history(Timestamp(0), Timestamp(299 * STEP_MS), |progress| seen.push(progress)).await.unwrap();
    let first = batches.recv().await.unwrap();
    assert_eq!(first.len(), 480);
    assert_eq!(first.position, Some(Position { next_offset: 240 * STEP_MS }));
    assert_eq!(&*first.source, puller.source().as_ref());
    let kinds: Vec<ValueKind> = first.iter().map(|(_, kind, _)| kind).collect();
    assert_eq!(kinds, [ValueKind::Counter, ValueKind::Unknown]);
    let last = seen.last().unwrap();
    assert_eq!((seen.len(), last.next, last.samples), (2, Timestamp(300 * STEP_MS), 600));
}

#[tokio::test]
async fn a_pull_begins_where_it_was_unless_that_is_long_ago() {
    let (_mock, puller, _batches) = start(easy()).await;
    let day_ms = DAY.as_millis() as i64;
    let now = Timestamp(100 * day_ms);
    let position = |next_offset| Some(Position { next_offset });
    assert_eq!(puller.begin(None, now), Timestamp(86 * day_ms));
    assert_eq!(puller.begin(position(99 * day_ms), now), Timestamp(99 * day_ms));
    assert_eq!(puller.begin(position(day_ms), now), Timestamp(86 * day_ms));
}

#[tokio::test]
async fn the_tail_follows_the_clock_at_its_lag() {
    let (_mock, puller, mut batches) = start(easy()).await;
    // Ten steps behind at first, then a step each 15 ms.
    let clock = Clock::scaled(Timestamp(12 * STEP_MS), 1000.0);
    let tail = tokio::spawn(puller.tail(Timestamp(0), clock));
    let mut times = Vec::new();
    while times.len() < 20 {
        let batch = batches.recv().await.unwrap();
        let latest = batch.latest().unwrap();
        assert!(clock.now().since(latest) >= 30_000, "{latest} is ahead of the lag");
        times.extend(batch.iter().next().unwrap().2.iter().map(|s| s.at.0));
    }
    let want: Vec<i64> = (0..times.len() as i64).map(|i| i * STEP_MS).collect();
    assert_eq!(times, want);
    drop(batches);
    tail.await.unwrap();
}

#[tokio::test]
async fn the_tail_asks_again_for_what_the_server_hides_for_a_while() {
    let server = easy();
    let visible_ms = server.visible_ms.clone();
    visible_ms.store(9 * STEP_MS, Ordering::SeqCst);
    let (_mock, puller, mut batches) = start(server).await;
    // Newest is step 10 at first; 10 ms later it is 11.
    let clock = Clock::scaled(Timestamp(12 * STEP_MS), 100.0);
    let tail = tokio::spawn(puller.tail(Timestamp(0), clock));
    let first = batches.recv().await.unwrap();
    assert_eq!(first.latest(), Some(Timestamp(9 * STEP_MS)));
    assert_eq!(first.position, Some(Position { next_offset: 10 * STEP_MS }));
    visible_ms.store(i64::MAX, Ordering::SeqCst);
    let second = batches.recv().await.unwrap();
    assert_eq!(second.iter().next().unwrap().2[0].at, Timestamp(10 * STEP_MS));
    drop(batches);
    tail.await.unwrap();
}

#[test]
fn slices_grow_and_shrink_towards_their_size() {
    assert_eq!(slice_after(240, 240, 1_000), 480);
    assert_eq!(slice_after(240, 240, SLICE_SAMPLES), 240);
    assert_eq!(slice_after(240, 240, 3 * SLICE_SAMPLES), 120);
    assert_eq!(slice_after(1, 1, 3 * SLICE_SAMPLES), 1);
    // A short rest at the end of history says nothing about the size of slices.
    assert_eq!(slice_after(3, 240, 10), 240);
    assert_eq!(slice_after(SLICE_STEPS_MAX, SLICE_STEPS_MAX, 0), SLICE_STEPS_MAX);
}

#[test]
fn credentials_in_a_url_do_not_show_in_the_source() {
    let url = "https://user:secret@metrics.example:9090/prom?token=x".parse().unwrap();
    assert_eq!(&*source_of(&url), "prometheus:https://metrics.example:9090/prom");
}

#[tokio::test]
async fn a_history_that_nobody_goes_on_with_ends_its_series() {
    let (_mock, mut puller, mut batches) = start(easy()).await;
    puller.pull.tail_lag = None;
    let to = Timestamp(3 * STEP_MS);
    puller.history(Timestamp(0), to, |_| {}).await.unwrap();
    let slice = batches.recv().await.unwrap();
    let end = batches.recv().await.unwrap();
    let key = |batch: &Batch| batch.iter().map(|(key, ..)| Labels::from_key(key)).collect::<Vec<_>>();
    assert_eq!(key(&end), key(&slice));
    for (_, _, samples) in end.iter() {
        let [sample] = samples else { panic!("{samples:?}") };
        assert!(crate::sample::is_stale_marker(sample.value) && sample.at > to);
    }
    assert!(batches.try_recv().is_err());
}
