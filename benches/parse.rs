//! Samples a second from bytes: our scanner against prometheus-parse, and remote write against prost.
//!
//! The page is shaped like node_exporter's, without what prometheus-parse reads wrongly, so that both
//! read the same samples.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use foreshock::collect::prometheus::remote_write;
use foreshock::collect::prometheus::text::{Format, Scanner};
use foreshock::sample::{Batch, Timestamp};
use prost::Message;

/// As many families of counters by CPU and mode, of gauges by device, and of gauges without labels.
const FAMILIES: usize = 20;
const CPUS: usize = 16;
const MODES: [&str; 8] = ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"];

fn page() -> (String, u64) {
    let (mut page, mut samples) = (String::new(), 0);
    for family in 0..FAMILIES {
        let name = format!("node_family{family}_seconds_total");
        writeln!(page, "# HELP {name} Seconds the CPUs spent in each mode.\n# TYPE {name} counter").unwrap();
        for cpu in 0..CPUS {
            for (i, mode) in MODES.iter().enumerate() {
                let value = (family * 1000 + cpu * 10 + i) as f64 * 917.37;
                writeln!(page, "{name}{{cpu=\"{cpu}\",mode=\"{mode}\"}} {value}").unwrap();
                samples += 1;
            }
        }
        let name = format!("node_filesystem{family}_avail_bytes");
        writeln!(page, "# HELP {name} Space available.\n# TYPE {name} gauge").unwrap();
        for device in 0..8 {
            let labels =
                format!(r#"device="/dev/sd{device}",fstype="ext4",mountpoint="/opt/zimbra/{device}""#);
            writeln!(page, "{name}{{{labels}}} {}e+10", 4.1 + device as f64).unwrap();
            samples += 1;
        }
        writeln!(page, "# TYPE node_load{family} gauge\nnode_load{family} 0.{family}").unwrap();
        samples += 1;
    }
    (page, samples)
}

fn text(c: &mut Criterion) {
    let (page, samples) = page();
    let mut group = c.benchmark_group("text");
    group.throughput(Throughput::Elements(samples));
    group.bench_function("scanner", |b| {
        let read = |mut bytes: Vec<u8>| {
            let (mut rest, mut labels) = (bytes.as_mut_slice(), Vec::new());
            let mut scanner = Scanner::new(Format::Text);
            let (mut count, mut sum) = (0, 0.0);
            while let Some(line) = scanner.next(&mut rest, &mut labels) {
                sum += line.unwrap().value;
                count += 1;
            }
            assert_eq!(count, samples);
            sum
        };
        b.iter_batched(|| page.clone().into_bytes(), |bytes| black_box(read(bytes)), BatchSize::LargeInput);
    });
    group.bench_function("scanner into a batch", |b| {
        let read = |mut bytes: Vec<u8>| {
            let mut batch = Batch::new("scrape:bench".into());
            let (mut rest, mut labels) = (bytes.as_mut_slice(), Vec::new());
            let mut scanner = Scanner::new(Format::Text);
            while let Some(line) = scanner.next(&mut rest, &mut labels) {
                let line = line.unwrap();
                batch.push(&mut labels, line.kind, Timestamp(0), line.value);
            }
            batch
        };
        b.iter_batched(|| page.clone().into_bytes(), |bytes| black_box(read(bytes)), BatchSize::LargeInput);
    });
    group.bench_function("prometheus-parse", |b| {
        let read = || prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
        assert_eq!(read().samples.len() as u64, samples);
        b.iter(|| black_box(read()));
    });
    group.finish();
}

#[derive(Clone, PartialEq, prost::Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// What a Prometheus sends at once by default: 2,000 samples, each of another series.
fn request() -> (Vec<u8>, u64) {
    let series = |i: usize| {
        let labels = [
            ("__name__", "node_cpu_seconds_total".to_owned()),
            ("cpu", (i % 16).to_string()),
            ("instance", format!("mta{}.example.org:9100", i / 128)),
            ("job", "node".to_owned()),
            ("mode", MODES[i / 16 % 8].to_owned()),
        ];
        let labels = labels.into_iter().map(|(name, value)| Label { name: name.into(), value }).collect();
        let sample = Sample { value: i as f64 * 917.37, timestamp: 1_700_000_000_000 + i as i64 };
        TimeSeries { labels, samples: vec![sample] }
    };
    let request = WriteRequest { timeseries: (0..2000).map(series).collect() };
    (snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap(), 2000)
}

fn write(c: &mut Criterion) {
    let (body, samples) = request();
    let mut group = c.benchmark_group("remote_write");
    group.throughput(Throughput::Elements(samples));
    group.bench_function("decode", |b| {
        let decode = || remote_write::decode(black_box(&body), 64 << 20, "remote_write".into()).unwrap();
        assert_eq!(decode().batch.len() as u64, samples);
        b.iter(|| black_box(decode()));
    });
    group.bench_function("prost", |b| {
        let decode = || {
            let plain = snap::raw::Decoder::new().decompress_vec(black_box(&body)).unwrap();
            WriteRequest::decode(&plain[..]).unwrap()
        };
        b.iter(|| black_box(decode()));
    });
    group.finish();
}

criterion_group!(benches, text, write);
criterion_main!(benches);
