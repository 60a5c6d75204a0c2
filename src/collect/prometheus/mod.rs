//! What speaks Prometheus: scraped pages, remote write, history and tail over `query_range`.

mod cursor;
pub mod discovery;
mod family;
#[cfg(test)]
mod hostile;
pub mod matrix;
pub mod metadata;
mod page;
mod protobuf;
pub mod query;
pub mod remote_write;
pub mod scrape;
pub mod text;

/// A job with one page a second and no secrets.
#[cfg(test)]
fn test_job(name: &str, targets: &[&str]) -> crate::config::ScrapeJob {
    use crate::config::{HttpAuth, Scheme, ScrapeJob, Tls};
    use std::time::Duration;

    ScrapeJob {
        name: name.into(),
        targets: targets.iter().map(|target| target.to_string()).collect(),
        file_sd: Vec::new(),
        scheme: Scheme::Http,
        metrics_path: "/metrics".into(),
        interval: Duration::from_secs(1),
        timeout: Duration::from_millis(500),
        auth: HttpAuth::None,
        tls: Tls::default(),
        labels: Default::default(),
        keep: None,
        drop: None,
        honor_timestamps: true,
        body_bytes_max: 1 << 20,
        samples_max: 1000,
    }
}
