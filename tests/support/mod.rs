//! What the tests that drive the binary share: real peers on loopback, the binary itself, a plain HTTP client.
//!
//! Every process is killed when its handle goes. Peers come from `make peers`; a test that lacks one says so.
#![allow(dead_code)] // each test file uses its own part

pub mod http;
pub mod kafka;
pub mod peers;
pub mod receiver;
pub mod remote_write;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Asks again until `done` says so; fails the test after `limit`.
pub fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A process that ends with its handle.
pub struct Process {
    pub child: Child,
}

impl Process {
    /// Starts with output into `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let out = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let err = out.try_clone().unwrap();
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        Process { child: child.unwrap_or_else(|error| panic!("{command:?}: {error}")) }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, as an init system does, and returns its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The binary under test.
pub fn foreshock() -> Command {
    Command::new(env!("CARGO_BIN_EXE_foreshock"))
}

/// `foreshock serve` with a config of its own folder.
pub struct Foreshock {
    pub process: Process,
    pub url: String,
    pub log: PathBuf,
    config: PathBuf,
}

impl Foreshock {
    /// Writes `config` (YAML without `listen` and `data_dir`) into `dir` and waits until the API answers.
    pub fn serve(dir: &Path, config: &str) -> Self {
        let port = free_port();
        let path = dir.join("foreshock.yaml");
        let data = dir.join("data");
        let text = format!("listen: 127.0.0.1:{port}\ndata_dir: {}\n{config}", data.display());
        std::fs::write(&path, text).unwrap();
        let mut this = Self::start(dir, path, port);
        this.wait_healthy();
        this
    }

    fn start(dir: &Path, config: PathBuf, port: u16) -> Self {
        let log = dir.join("foreshock.log");
        let process = Process::start(foreshock().arg("serve").arg("--config").arg(&config), &log);
        Foreshock { process, url: format!("http://127.0.0.1:{port}"), log, config }
    }

    /// Kills it, if it runs, and starts it again on the same config and data.
    pub fn restart(&mut self) {
        self.spawn_again();
        self.wait_healthy();
    }

    /// As `restart`, without waiting for it.
    pub fn spawn_again(&mut self) {
        self.process.kill();
        self.process = Process::start(foreshock().arg("serve").arg("--config").arg(&self.config), &self.log);
    }

    /// Fails the test if it has ended by itself.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.process.child.try_wait().unwrap() {
            panic!("foreshock ended with {status}:\n{}", self.log_tail());
        }
    }

    pub fn wait_ready(&mut self) {
        self.wait_healthy();
        let url = format!("{}/-/ready", self.url);
        wait_until("foreshock is ready", Duration::from_secs(120), || {
            self.assert_running();
            http::get(&url).is_ok_and(|answer| answer.status == 200)
        });
    }

    pub fn wait_healthy(&mut self) {
        let url = format!("{}/-/healthy", self.url);
        wait_until("foreshock answers", Duration::from_secs(30), || {
            self.assert_running();
            http::get(&url).is_ok_and(|answer| answer.status == 200)
        });
    }

    /// The folder with store, snapshot and dead letters.
    pub fn data(&self) -> PathBuf {
        self.config.with_file_name("data")
    }

    pub fn get(&self, path: &str) -> http::Answer {
        http::get(&format!("{}{path}", self.url)).unwrap()
    }

    pub fn json(&self, path: &str) -> serde_json::Value {
        let answer = self.get(path);
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {answer:?}"))
    }

    /// A value of the page `/metrics`, by the text of its series.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let page = self.get("/metrics");
        let page = String::from_utf8(page.body).unwrap();
        page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    pub fn log_tail(&self) -> String {
        let Ok(file) = std::fs::File::open(&self.log) else { return String::new() };
        let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}
