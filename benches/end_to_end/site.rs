//! A site as a Prometheus would write it: hosts of many series, cut into write requests that mix the hosts.
//!
//! A request is built once; each round only puts its times and values in place and compresses it. Every value
//! follows from series and round alone, so rounds may be made in any order.

/// Series of one host.
pub const SERIES_PER_HOST: usize = 1_000;
/// What Prometheus puts into one request.
const SAMPLES_PER_REQUEST: usize = 2_000;
pub const STEP_MS: i64 = 15_000;

/// Any millisecond of our time takes this many bytes as a varint.
const TIME_BYTES: usize = 6;

/// How a series behaves.
#[derive(Clone, Copy)]
enum Shape {
    /// Rests: limits, sizes, flags.
    Constant,
    /// Follows the load of its host, and a little its own ways.
    Load,
    /// Has nothing to do with anything else.
    Own,
    /// Cumulative, at a pace that follows the load.
    Counter,
}

impl Shape {
    /// About the mixture of a node_exporter page.
    fn of(series: usize) -> Self {
        match series % 10 {
            0 | 1 => Shape::Constant,
            2..=4 => Shape::Load,
            5 | 6 => Shape::Own,
            _ => Shape::Counter,
        }
    }
}

/// Noise in -0.5..0.5 that depends on its place alone (the finaliser of splitmix64).
fn noise(a: u64, b: u64) -> f64 {
    let mut x = a.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ b.wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x ^ x >> 31) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
}

/// What moves many series of a host together.
fn load(host: usize, round: u64) -> f64 {
    let slow = ((round + host as u64 * 17) as f64 / 40.0).sin();
    slow + noise(host as u64 + 1_000_000, round) + 0.5 * noise(host as u64 + 2_000_000, round / 4)
}

fn value(host: usize, series: usize, round: u64, load: f64) -> f64 {
    let id = (host * SERIES_PER_HOST + series) as u64;
    let size = 10f64.powi((series % 7) as i32);
    match Shape::of(series) {
        Shape::Constant => size * (1 + series % 4) as f64,
        Shape::Load => size * (20.0 + 2.0 * load + noise(id, round)),
        Shape::Own => size * (5.0 + noise(id, round)),
        // Never falls: the noise is smaller than what is added in a round.
        Shape::Counter => (size * (100.0 * round as f64 + 30.0 * noise(id, round) + 10.0 * load)).round(),
    }
}

/// Where a sample stands in a request.
struct Slot {
    host: usize,
    series: usize,
    value_at: usize,
    time_at: usize,
}

/// A `WriteRequest` of always the same series.
pub struct Request {
    plain: Vec<u8>,
    slots: Vec<Slot>,
}

impl Request {
    /// The body of a round whose samples end at `round_ms`: protobuf within a snappy block.
    pub fn body(&mut self, round: u64, round_ms: i64) -> Vec<u8> {
        let mut last = (usize::MAX, 0.0);
        for slot in &self.slots {
            if slot.host != last.0 {
                last = (slot.host, load(slot.host, round));
            }
            let value = value(slot.host, slot.series, round, last.1);
            self.plain[slot.value_at..][..8].copy_from_slice(&value.to_le_bytes());
            // Hosts are scraped one after the other, all within a step.
            let at = round_ms - (slot.host as i64 * 137) % STEP_MS;
            self.plain[slot.time_at..][..TIME_BYTES].copy_from_slice(&time(at));
        }
        snap::raw::Encoder::new().compress_vec(&self.plain).expect("a request is far below 4 GiB")
    }

    pub fn samples(&self) -> usize {
        self.slots.len()
    }

    fn series(&mut self, host: usize, series: usize) {
        let mut message = Vec::new();
        for (name, value) in labels(host, series) {
            let mut label = Vec::new();
            bytes(&mut label, 1, name.as_bytes());
            bytes(&mut label, 2, value.as_bytes());
            bytes(&mut message, 1, &label);
        }
        let mut sample = vec![1 << 3 | 1];
        sample.extend_from_slice(&[0; 8]);
        sample.push(2 << 3);
        sample.extend_from_slice(&[0; TIME_BYTES]);
        bytes(&mut message, 2, &sample);
        bytes(&mut self.plain, 1, &message);
        let time_at = self.plain.len() - TIME_BYTES;
        self.slots.push(Slot { host, series, value_at: time_at - 9, time_at });
    }
}

/// All requests of one round of `hosts`.
pub fn requests(hosts: usize) -> Vec<Request> {
    let all = hosts * SERIES_PER_HOST;
    let count = all.div_ceil(SAMPLES_PER_REQUEST);
    let request = |i| {
        let mut request = Request { plain: Vec::new(), slots: Vec::new() };
        for id in (i..all).step_by(count) {
            request.series(id / SERIES_PER_HOST, id % SERIES_PER_HOST);
        }
        request
    };
    (0..count).map(request).collect()
}

/// Five to seven labels, sorted by name.
fn labels(host: usize, series: usize) -> Vec<(&'static str, String)> {
    let unit = match Shape::of(series) {
        Shape::Counter => "bytes_total",
        _ => "bytes",
    };
    let mut labels = vec![
        (
            "__name__",
            format!("node_{}_{}_{unit}", ["disk", "network", "mail", "jvm"][series % 4], series / 20),
        ),
        ("cluster", "mail-west".into()),
        ("device", format!("dm-{}", series % 20)),
        ("instance", format!("mx{host:03}.mail.example.org:9100")),
        ("job", "node".into()),
    ];
    if !series.is_multiple_of(3) {
        labels.push(("mode", ["read", "write", "idle", "wait"][series % 4].into()));
    }
    if series % 3 == 2 {
        labels.push(("zone", format!("z{}", host % 3)));
    }
    labels
}

fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn time(ms: i64) -> [u8; TIME_BYTES] {
    let mut out = Vec::with_capacity(TIME_BYTES);
    varint(&mut out, ms as u64);
    out.try_into().expect("our time takes six bytes")
}
