//! A fleet of hosts that report to Kafka in real time, each disturbed for a while now and then.
//!
//! Each host has series of its own names and a fault of its own, so that every disturbance is one incident.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::support::now_ms;

pub const TOPIC: &str = "mail";
pub const PARTITIONS: i32 = 2;
const HOSTS: u64 = 16;
const DISTURBED_SECONDS: i64 = 10;
const PERIOD_SECONDS: i64 = 48;

/// A pack in which each host has a fault that shows in two signals and has a remedy.
pub fn write_pack(path: &Path) {
    let mut pack = String::from("name: fleet\nremedies: {flush: send what waits}\nsignals:\n");
    for host in 0..HOSTS {
        for signal in ["queue", "wait"] {
            let name = format!("mail{host:02}_{signal}");
            let about = format!("reads: {signal}, unit: messages, role: host, hurts: up, from: [{name}]");
            writeln!(pack, "  - {{name: {name}, {about}}}").unwrap();
        }
    }
    pack.push_str("faults:\n");
    for host in 0..HOSTS {
        let sign = |signal: &str| format!("{{signal: mail{host:02}_{signal}, moves: up, sure: 0.95}}");
        let evidence = format!("[{}, {}]", sign("queue"), sign("wait"));
        writeln!(
            pack,
            "  - {{name: stuck{host:02}, users: mail waits, evidence: {evidence}, remedies: [flush]}}"
        )
        .unwrap();
    }
    std::fs::write(path, pack).unwrap();
}

/// Noise that is the same whenever it is asked for: about N(0, 1).
fn noise(host: u64, signal: u64, second: i64) -> f64 {
    let mut x = host << 56 ^ signal << 48 ^ second as u64;
    let mut sum = 0.0;
    for _ in 0..6 {
        x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = x;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        sum += (z ^ (z >> 31)) as f64 / u64::MAX as f64 - 0.5;
    }
    sum * std::f64::consts::SQRT_2
}

fn message(host: u64, second: i64, disturbed: bool) -> String {
    let value = |signal: u64, spread: f64| 100.0 + spread * noise(host, signal, second);
    let rise = if disturbed { 60.0 } else { 0.0 };
    format!(
        r#"{{"name":"mail{host:02}","tags":{{"host":"mx{host:02}"}},"fields":{{"queue":{},"wait":{},"load":{}}},"timestamp":{second}}}"#,
        value(0, 3.0) + rise,
        value(1, 2.0) + rise,
        value(2, 5.0),
    )
}

fn send(producer: &ThreadedProducer<DefaultProducerContext>, second: i64, disturbed: impl Fn(u64) -> bool) {
    for host in 0..HOSTS {
        let payload = message(host, second, disturbed(host));
        let partition = (host % PARTITIONS as u64) as i32;
        let record = BaseRecord::<(), str>::to(TOPIC).partition(partition).payload(&payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
}

/// Sends whole seconds at once, the hosts disturbed within `disturbed`.
pub fn produce(
    producer: &ThreadedProducer<DefaultProducerContext>,
    seconds: Range<i64>,
    disturbed: &Range<i64>,
) {
    for second in seconds {
        send(producer, second, |_| disturbed.contains(&second));
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// The thread that reports every second.
pub struct Fleet {
    /// From this second on nothing is disturbed.
    quiet_from: Arc<AtomicI64>,
    /// The first second that is not sent.
    end: Arc<AtomicI64>,
    thread: Option<JoinHandle<()>>,
}

impl Fleet {
    /// Reports from second `from` on; disturbances begin a while later, on one host after the other.
    pub fn start(producer: ThreadedProducer<DefaultProducerContext>, from: i64) -> Self {
        let (quiet_from, end) = (Arc::new(AtomicI64::new(i64::MAX)), Arc::new(AtomicI64::new(i64::MAX)));
        let (quiet, until) = (quiet_from.clone(), end.clone());
        let thread = std::thread::spawn(move || {
            let mut second = from;
            while second < until.load(Ordering::Relaxed) {
                if second * 1000 > now_ms() {
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
                let is_quiet = second >= quiet.load(Ordering::Relaxed);
                send(&producer, second, |host| !is_quiet && is_disturbed(host, second - from));
                second += 1;
            }
            producer.flush(Duration::from_secs(30)).unwrap();
        });
        Fleet { quiet_from, end, thread: Some(thread) }
    }

    /// No new disturbances, and the ones under way end.
    pub fn calm_down(&self) {
        self.quiet_from.store(now_ms() / 1000 + 1, Ordering::Relaxed);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.end.store(0, Ordering::Relaxed);
        // A panic there has been told of.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn is_disturbed(host: u64, since_start: i64) -> bool {
    let of_host = since_start - 5 - host as i64 * PERIOD_SECONDS / HOSTS as i64;
    of_host >= 0 && of_host % PERIOD_SECONDS < DISTURBED_SECONDS
}
