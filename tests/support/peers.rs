//! Real Prometheus, Alertmanager, node_exporter, VictoriaMetrics and its vmagent on loopback.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Process, free_port, http, wait_until};

/// Where `make peers` put what it fetched.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers")
}

/// The program of a peer.
pub fn program(name: &str) -> PathBuf {
    let path = root().join("usr/bin").join(name);
    assert!(path.exists(), "{} is missing: run `make peers` first", path.display());
    path
}

/// A peer and where it listens.
pub struct Peer {
    pub process: Process,
    pub port: u16,
    pub url: String,
}

fn start(dir: &Path, name: &str, ready: &str, arguments: impl FnOnce(u16, &mut Command)) -> Peer {
    let port = free_port();
    let mut command = Command::new(program(name));
    arguments(port, &mut command);
    let log = dir.join(format!("{name}.log"));
    let process = Process::start(&mut command, &log);
    let url = format!("http://127.0.0.1:{port}");
    wait_until(name, Duration::from_secs(30), || {
        http::get(&format!("{url}{ready}")).is_ok_and(|answer| answer.status == 200)
    });
    Peer { process, port, url }
}

/// `config` is prometheus.yml.
pub fn prometheus(dir: &Path, config: &str) -> Peer {
    let path = dir.join("prometheus.yml");
    std::fs::write(&path, config).unwrap();
    start(dir, "prometheus", "/-/ready", |port, command| {
        command
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--web.enable-remote-write-receiver", "--web.enable-lifecycle", "--log.level=warn"]);
    })
}

pub fn alertmanager(dir: &Path) -> Peer {
    let path = dir.join("alertmanager.yml");
    std::fs::write(&path, "route: {receiver: none}\nreceivers: [{name: none}]\n").unwrap();
    start(dir, "prometheus-alertmanager", "/-/ready", |port, command| {
        // Its templates are looked for from here; see tests/peers/debian.sh.
        command
            .current_dir(root())
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.path={}", dir.join("alertmanager").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--cluster.listen-address=", "--log.level=warn"]);
    })
}

/// A node_exporter that serves the `*.prom` files of `textfiles`, with its other collectors where `all` says so.
pub fn node_exporter(dir: &Path, textfiles: &Path, all: bool) -> Peer {
    start(dir, "prometheus-node-exporter", "/metrics", |port, command| {
        if !all {
            command.args(["--collector.disable-defaults", "--collector.textfile"]);
        }
        command
            .arg(format!("--collector.textfile.directory={}", textfiles.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error");
    })
}

pub fn victoria_metrics(dir: &Path) -> Peer {
    start(dir, "victoria-metrics", "/health", |port, command| {
        command
            .arg(format!("-storageDataPath={}", dir.join("victoria").display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .args(["-retentionPeriod=1d", "-loggerLevel=WARN", "-search.latencyOffset=0s"]);
    })
}

/// `config` is prometheus.yml; what is scraped is written to `url`.
pub fn vmagent(dir: &Path, config: &str, url: &str) -> Peer {
    let path = dir.join("vmagent.yml");
    std::fs::write(&path, config).unwrap();
    start(dir, "vmagent", "/health", |port, command| {
        command
            .arg(format!("-promscrape.config={}", path.display()))
            .arg(format!("-remoteWrite.url={url}"))
            .arg(format!("-remoteWrite.tmpDataPath={}", dir.join("vmagent").display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .arg("-loggerLevel=WARN");
    })
}
