//! Scrapes of a server on loopback: what becomes of good pages, bad ones and silence.

use tokio::sync::mpsc;
use wiremock::matchers::{header_exists, header_regex, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::collect::prometheus::test_job;
use crate::sample::Labels;

/// A batch as `series value` lines, sorted; the duration is left out, as it differs each time.
fn rows(batch: &Batch) -> Vec<String> {
    let mut rows: Vec<String> = batch
        .iter()
        .map(|(key, _, samples)| format!("{} {}", Labels::from_key(key), samples[0].value))
        .filter(|row| !row.starts_with("scrape_duration_seconds"))
        .collect();
    rows.sort();
    rows
}

/// The first batch that a job with one target gives, a data second being a wall millisecond or more.
async fn first_batch(job: ScrapeJob) -> Batch {
    let (sender, mut batches) = mpsc::channel(4);
    let clock = Clock::scaled(Timestamp(0), 20.0);
    let metrics = Arc::new(Metrics::new());
    let scraper = Scraper { job, step_seconds: 15, clock, batches: sender, metrics };
    let stop = CancellationToken::new();
    let run = tokio::spawn(scraper.run(stop.clone()));
    let batch = batches.recv().await.unwrap();
    stop.cancel();
    run.await.unwrap().unwrap();
    batch
}

async fn serve(answer: ResponseTemplate) -> (MockServer, ScrapeJob) {
    let server = MockServer::start().await;
    Mock::given(path("/metrics"))
        .and(header_exists("x-prometheus-scrape-timeout-seconds"))
        .and(header_regex("accept", "^application/openmetrics-text;.*text/plain"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let job = test_job("mail", &[&server.address().to_string()]);
    (server, job)
}

async fn check(answer: ResponseTemplate, change: impl FnOnce(&mut ScrapeJob), want: &[&str]) {
    let (server, mut job) = serve(answer).await;
    change(&mut job);
    let instance = format!(r#"instance="{}","#, server.address());
    let rows: Vec<String> = rows(&first_batch(job).await).iter().map(|r| r.replace(&instance, "")).collect();
    assert_eq!(rows, want);
}

#[tokio::test]
async fn a_page_comes_with_what_the_scrape_says_about_itself() {
    let page = ResponseTemplate::new(200).set_body_string("load1 0.5\n");
    let want = [r#"load1{job="mail"} 0.5"#, r#"scrape_samples_scraped{job="mail"} 1"#, r#"up{job="mail"} 1"#];
    check(page, |_| {}, &want).await;
}

#[tokio::test]
async fn the_content_type_chooses_the_format() {
    let page = "m_total 1 7.5\n# EOF\n";
    let answer = ResponseTemplate::new(200).set_body_raw(page, "application/openmetrics-text; version=1.0.0");
    let (_server, job) = serve(answer).await;
    let batch = first_batch(job).await;
    let at = batch.iter().map(|(_, _, samples)| samples[0].at).next();
    assert_eq!(at, Some(Timestamp(7500)));
}

const DOWN: [&str; 2] = [r#"scrape_samples_scraped{job="mail"} 0"#, r#"up{job="mail"} 0"#];

#[tokio::test]
async fn a_target_that_fails_is_down_and_gives_nothing_else() {
    check(ResponseTemplate::new(500).set_body_string("load1 1\n"), |_| {}, &DOWN).await;
    check(ResponseTemplate::new(200).set_body_string("<html>"), |_| {}, &DOWN).await;
    check(ResponseTemplate::new(302).insert_header("location", "/metrics"), |_| {}, &DOWN).await;
}

#[tokio::test]
async fn limits_bound_a_page() {
    let page = ResponseTemplate::new(200).set_body_string("a 1\nb 2\nc 3\n");
    check(page.clone(), |job| job.samples_max = 2, &DOWN).await;
    check(page.clone(), |job| job.body_bytes_max = 11, &DOWN).await;
    check(page.set_delay(Duration::from_secs(5)), |job| job.timeout = Duration::from_millis(50), &DOWN).await;
}

#[tokio::test]
async fn a_closed_port_is_down() {
    let job = test_job("mail", &["127.0.0.1:1"]);
    assert_eq!(rows(&first_batch(job).await).len(), 2);
}

#[tokio::test]
async fn one_scrape_at_a_time_and_its_slots_are_even() {
    let page = ResponseTemplate::new(200).set_body_string("a 1\n").set_delay(Duration::from_millis(120));
    let (server, mut job) = serve(page).await;
    // A scrape takes 2.4 intervals of this clock.
    job.interval = Duration::from_secs(1);
    let (sender, mut batches) = mpsc::channel(1);
    let clock = Clock::scaled(Timestamp(0), 20.0);
    let metrics = Arc::new(Metrics::new());
    let scraper = Scraper { job, step_seconds: 1, clock, batches: sender, metrics };
    let run = tokio::spawn(scraper.run(CancellationToken::new()));
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(batches.recv().await.unwrap().latest().unwrap());
    }
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= 2_400), "{times:?}");
    drop(batches);
    run.await.unwrap().unwrap();
    drop(server);
}

#[test]
fn a_timer_is_late_by_wall_time_and_by_a_hundredth_at_most() {
    assert_eq!(hair_ms(15_000, 1.0), 10);
    assert_eq!(hair_ms(500, 1.0), 5);
    assert_eq!(hair_ms(60_000, 120.0), 600);
}

#[test]
fn a_slot_is_the_next_one_of_its_target() {
    assert_eq!(next_slot(Timestamp(0), 1000, 250), Timestamp(250));
    assert_eq!(next_slot(Timestamp(250), 1000, 250), Timestamp(1250));
    assert_eq!(next_slot(Timestamp(999), 1000, 250), Timestamp(1250));
}

#[test]
fn only_a_job_slower_than_the_engine_may_be_late() {
    let lateness_ms = |interval_seconds, step_seconds| {
        let mut job = test_job("mail", &[]);
        job.interval = Duration::from_secs(interval_seconds);
        let (batches, _) = mpsc::channel(1);
        let (clock, metrics) = (Clock::wall(), Arc::new(Metrics::new()));
        Scraper { job, step_seconds, clock, batches, metrics }.lateness_ms()
    };
    assert_eq!(lateness_ms(15, 15), 0);
    assert_eq!(lateness_ms(45, 15), 0);
    assert_eq!(lateness_ms(60, 15), 500);
}

#[tokio::test]
async fn a_scrape_that_panics_is_a_target_that_is_down_and_is_scraped_again() {
    let (_server, job) = serve(ResponseTemplate::new(200).set_body_string("load1 0.5\n")).await;
    let (sender, mut batches) = mpsc::channel(4);
    let (metrics, clock) = (Arc::new(Metrics::new()), Clock::scaled(Timestamp(0), 200.0));
    let (targets, _) = Discovery::default().targets(&job);
    let target = targets.into_iter().next().unwrap();
    let client = Client::new(false, &job.auth, &job.tls).unwrap();
    let scraper =
        Arc::new(Scraper { job, step_seconds: 15, clock, batches: sender, metrics: metrics.clone() });
    let lives = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let follow = {
        let (scraper, target) = (scraper.clone(), target.clone());
        move || {
            let (scraper, client, target, lives) =
                (scraper.clone(), client.clone(), target.clone(), lives.clone());
            async move {
                if lives.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
                    panic!("a defect");
                }
                scraper.follow(client, target).await;
            }
        }
    };
    let run = tokio::spawn(async move { scraper.outlive_panics(&target, follow).await });
    let up = |batch: &Batch| rows(batch).into_iter().find(|row| row.starts_with("up{")).unwrap();
    let (first, second) = (batches.recv().await.unwrap(), batches.recv().await.unwrap());
    assert!(up(&first).ends_with(" 0"), "{}", up(&first));
    assert!(up(&second).ends_with(" 1"), "{}", up(&second));
    let page = metrics.encode(Timestamp(0));
    assert!(page.contains(r#"foreshock_errors_total{part="scrape",reason="panic"} 1"#), "{page}");
    run.abort();
}
