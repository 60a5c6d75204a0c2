//! The processes that receive: `foreshock serve` as an operator starts it, and a sink that only reads bodies.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// A process that ends with its handle.
pub struct Receiver {
    child: Child,
    pub address: SocketAddr,
}

impl Receiver {
    /// The product with its defaults, in a folder of its own.
    pub fn foreshock(folder: &Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
        let config = folder.join("foreshock.yaml");
        let text = format!(
            "site: bench\nlisten: {address}\ndata_dir: {}/data\nremote_write: {{}}\n",
            folder.display()
        );
        fs::write(&config, text).expect("the folder takes a file");
        let log = fs::File::create(folder.join("log")).expect("the folder takes a file");
        let binary = std::env::var_os("FORESHOCK_BENCH_BINARY");
        let child = Command::new(binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_foreshock").into()))
            .args(["serve", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let receiver = Receiver { child, address };
        for _ in 0..600 {
            if receiver.get("/-/ready").is_some_and(|page| page.contains(" 200 ")) {
                return receiver;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("not ready: {}", fs::read_to_string(folder.join("log")).unwrap_or_default());
    }

    /// This program again, as a plain HTTP server.
    pub fn sink() -> Self {
        let program = std::env::current_exe().expect("the program knows its file");
        let mut child =
            Command::new(program).arg("--sink").stdout(Stdio::piped()).spawn().expect("the sink starts");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("its output is a pipe");
        BufReader::new(out).read_line(&mut line).expect("the sink says where it listens");
        Receiver { address: line.trim().parse().expect("an address"), child }
    }

    /// An answer, head and all, to a GET.
    pub fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: foreshock\r\n\r\n").ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).ok()?;
        Some(page)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Seconds of CPU that the process has used.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = |i: usize| fields.split_ascii_whitespace().nth(i).and_then(|f| f.parse::<f64>().ok());
        // Fields 14 and 15 of proc(5), in hundredths on every Linux of today.
        (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
    }

    /// `VmRSS` or `VmHWM`, in MiB.
    pub fn memory_mib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap_or("");
        line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads every body whole, keeps none, answers as the product does. Never returns.
pub fn serve_sink() {
    let take = |_: axum::body::Bytes| async { axum::http::StatusCode::NO_CONTENT };
    let router = axum::Router::new()
        .route("/api/v1/write", axum::routing::post(take))
        .layer(axum::extract::DefaultBodyLimit::max(64 << 20));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("it is bound"));
        axum::serve(listener, router).await.expect("it serves");
    });
}
