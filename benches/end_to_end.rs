//! The whole way, measured: remote write of 100,000 series over HTTP into `foreshock serve`, to surprises and
//! incidents, all detectors on and warm.
//!
//! The product runs as a process of its own with its default configuration; times of samples run as fast as
//! it takes them in. The measured window begins with the first byte of its first round, when every earlier
//! tick is done, and ends when as many ticks more are done. The same bodies then go to a plain HTTP sink: on
//! a machine that is shared, the ratio of the two says more than either. Bodies of the window are made before.
//!
//! `cargo bench --bench end_to_end`; `FORESHOCK_BENCH_HOSTS`, `_WARM` and `_ROUNDS` set other sizes, `_BINARY`
//! measures another build, and with `_PERF` set to a file, `perf record` runs over the window.

#[path = "end_to_end/receiver.rs"]
mod receiver;
#[path = "end_to_end/sender.rs"]
mod sender;
#[path = "end_to_end/site.rs"]
mod site;

use std::collections::BTreeMap;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use receiver::Receiver;
use sender::CONNECTIONS;
use site::{SERIES_PER_HOST, STEP_MS};

/// Ticks that wait for what may be late: `remote_write.lateness` is 30 s, two steps.
const TICKS_BEHIND: u64 = 2;
const PATIENCE: Duration = Duration::from_secs(300);

/// What a run consists of.
struct Plan {
    hosts: usize,
    /// Rounds before the window: series and groups of series need 100 and 230 to be warm.
    warm: u64,
    /// Rounds of the window; in 64 each group of series fits its model anew at least once.
    rounds: u64,
}

/// A metric page, by the text of its series.
type Page = BTreeMap<String, f64>;

fn main() {
    if std::env::args().any(|arg| arg == "--sink") {
        return receiver::serve_sink();
    }
    let setting = |name: &str, default: u64| {
        std::env::var(format!("FORESHOCK_BENCH_{name}")).map_or(default, |n| n.parse().expect("a number"))
    };
    let plan = Plan {
        hosts: setting("HOSTS", 100) as usize,
        warm: setting("WARM", 240),
        rounds: setting("ROUNDS", 64),
    };
    let series = plan.hosts * SERIES_PER_HOST;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let start_ms = (now_ms / STEP_MS - (plan.warm + plan.rounds) as i64) * STEP_MS;
    let round_ms = |round: u64| start_ms + round as i64 * STEP_MS;

    let mut requests = site::requests(plan.hosts);
    assert_eq!(requests.iter().map(site::Request::samples).sum::<usize>(), series);
    let window = plan.warm..plan.warm + plan.rounds;
    let started = Instant::now();
    let bodies: Vec<Vec<Vec<u8>>> = window
        .clone()
        .map(|round| requests.iter_mut().map(|request| request.body(round, round_ms(round))).collect())
        .collect();
    let encoding = started.elapsed();
    let bytes: usize = bodies.iter().flatten().map(Vec::len).sum();
    println!(
        "{series} series on {} hosts, {} requests a round, {:.0} bytes a sample; {CONNECTIONS} connections",
        plan.hosts,
        requests.len(),
        bytes as f64 / (series as u64 * plan.rounds) as f64
    );

    let folder = tempfile::tempdir().expect("a folder");
    let product = Receiver::foreshock(folder.path());
    let requests: Vec<Mutex<site::Request>> = requests.into_iter().map(Mutex::new).collect();
    let started = Instant::now();
    sender::send(product.address, 0..plan.warm, |connection, place, round| {
        let request = requests.get(connection + place * CONNECTIONS)?;
        Some(request.lock().expect("nobody panicked").body(round, round_ms(round)))
    });
    let batches = |rounds: u64| rounds * requests.len() as u64;
    wait_for(&product, plan.warm - TICKS_BEHIND, batches(plan.warm));
    let warm_rate = (series as u64 * plan.warm) as f64 / started.elapsed().as_secs_f64();
    println!("warm after {} rounds, {warm_rate:.0} samples/s, encoding by the senders included", plan.warm);

    let measured = |connection: usize, place: usize, round: u64| {
        bodies[(round - plan.warm) as usize].get(connection + place * CONNECTIONS)
    };
    let perf = perf(product.pid());
    let (before, cpu_before, started) = (metrics(&product), product.cpu_seconds(), Instant::now());
    let sent = sender::send(product.address, window.clone(), measured);
    let handed_over = started.elapsed();
    let all = plan.warm + plan.rounds;
    wait_for(&product, all - TICKS_BEHIND, batches(all));
    let wall = started.elapsed();
    let (after, cpu) = (metrics(&product), product.cpu_seconds() - cpu_before);
    end_perf(perf);
    check(&product, &after, series);
    let (rss, peak) = (product.memory_mib("VmRSS"), product.memory_mib("VmHWM"));
    drop(product);

    let sink = Receiver::sink();
    let started = Instant::now();
    sender::send(sink.address, window, measured);
    let (sink_wall, sink_cpu) = (started.elapsed(), sink.cpu_seconds());

    let samples = series as f64 * plan.rounds as f64;
    let line = |what: &str, wall: Duration, cpu: f64| {
        let rate = samples / wall.as_secs_f64();
        println!(
            "{what:<22}{:>9.2} s{rate:>12.0} samples/s{:>9.2} us CPU/sample",
            wall.as_secs_f64(),
            cpu / samples * 1e6
        );
    };
    println!("\n{samples:.0} samples in {} rounds", plan.rounds);
    line("foreshock", wall, cpu);
    line("plain HTTP sink", sink_wall, sink_cpu);
    println!(
        "ratio of wall times {:.2}, of CPU times {:.2}",
        wall.as_secs_f64() / sink_wall.as_secs_f64(),
        cpu / sink_cpu
    );
    println!(
        "last body handed over after {:.2} s; {} requests, {} told to come again; encoding took {:.2} s before",
        handed_over.as_secs_f64(),
        sent.requests.load(Ordering::Relaxed),
        sent.busy.load(Ordering::Relaxed),
        encoding.as_secs_f64()
    );
    stages(&before, &after, wall.as_secs_f64(), samples);
    println!(
        "RSS {rss} MiB at the end, {peak} MiB at the peak; {:.0} bytes a series",
        rss as f64 * 1048576.0 / series as f64
    );
}

/// Time of each stage over the window. Stages run side by side, so shares may add up to more than one.
fn stages(before: &Page, after: &Page, wall_seconds: f64, samples: f64) {
    println!("{:<10}{:>10}{:>10}{:>16}{:>12}", "stage", "steps", "seconds", "share of wall", "ns/sample");
    for stage in ["parse", "accept", "tick", "store", "snapshot"] {
        let of = |what: &str| {
            let key = format!("foreshock_stage_duration_seconds_{what}{{stage=\"{stage}\"}}");
            after.get(&key).unwrap_or(&0.0) - before.get(&key).unwrap_or(&0.0)
        };
        let (steps, seconds) = (of("count"), of("sum"));
        println!(
            "{stage:<10}{steps:>10}{seconds:>10.3}{:>15.1}%{:>12.1}",
            100.0 * seconds / wall_seconds,
            seconds / samples * 1e9
        );
    }
}

fn metrics(product: &Receiver) -> Page {
    let page = product.get("/metrics").expect("the product answers");
    let line = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_string(), value.parse().ok()?))
    };
    page.lines().filter_map(line).collect()
}

/// Until so many ticks are done and so many batches taken in.
fn wait_for(product: &Receiver, ticks: u64, batches: u64) {
    let started = Instant::now();
    loop {
        let page = metrics(product);
        let count = |name: &str| page.get(name).copied().unwrap_or(0.0) as u64;
        if count("foreshock_ticks_total") >= ticks && count("foreshock_batches_total") >= batches {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{ticks} ticks of {batches} batches are not done: {page:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What was measured is what was meant: nothing dropped, every series watched, warm ones with a surprise.
fn check(product: &Receiver, page: &Page, series: usize) {
    for (name, value) in
        page.iter().filter(|(name, value)| name.starts_with("foreshock_dropped") && **value > 0.0)
    {
        // A counter has no rate at its first sample, and an untyped series is judged by its first few.
        println!("{name} {value}");
        assert!(!name.contains("late") && !name.contains("full"), "samples were dropped");
    }
    assert_eq!(page["foreshock_live_lanes"], series as f64, "every series is watched");
    let answer = product.get("/api/v1/series?limit=10000").expect("the product answers");
    let (_, json) = answer.split_once("\r\n\r\n").expect("head and body");
    let found: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let found = found["series"].as_array().expect("a list");
    let live = found.iter().filter(|s| s["state"] == "live").count();
    let warm = found.iter().filter(|s| s["surprise"].as_f64().is_some_and(|surprise| surprise > 0.0)).count();
    println!("of {} series asked for, {live} are live and {warm} have a surprise above 0", found.len());
    println!("{} incidents open", page.get("foreshock_open_incidents").unwrap_or(&0.0));
    assert_eq!(live, found.len());
    assert!(warm * 2 > found.len(), "detectors are warm");
}

fn perf(pid: u32) -> Option<Child> {
    let file = std::env::var_os("FORESHOCK_BENCH_PERF")?;
    let mut command = Command::new("perf");
    command.args(["record", "-q", "-g", "-F", "499", "-p", &pid.to_string(), "-o"]).arg(file);
    command.spawn().ok()
}

fn end_perf(perf: Option<Child>) {
    if let Some(mut perf) = perf {
        let _ = Command::new("kill").args(["-INT", &perf.id().to_string()]).status();
        let _ = perf.wait();
    }
}
