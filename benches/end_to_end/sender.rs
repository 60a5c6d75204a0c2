//! Senders of write requests: a few connections side by side, each in order of time, as Prometheus' shards are.
//!
//! No connection begins a round before all have ended the one before: data time runs faster than wall time
//! here, and a receiver allows its senders only so much lateness.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Connections, each of which has one request in flight.
pub const CONNECTIONS: usize = 4;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// What became of the requests sent.
#[derive(Default)]
pub struct Sent {
    pub requests: AtomicU64,
    pub bytes: AtomicU64,
    /// Answers that asked to come again.
    pub busy: AtomicU64,
}

/// Sends the rounds one after the other; `body(connection, place, round)` is the body of a connection's
/// next request in a round, `None` once it has no more.
///
/// Panics on any answer but 2xx and 503: what is measured must be what was meant.
pub fn send<B: AsRef<[u8]>>(
    address: SocketAddr,
    rounds: std::ops::Range<u64>,
    body: impl Fn(usize, usize, u64) -> Option<B> + Sync,
) -> Sent {
    let (sent, barrier) = (Sent::default(), Barrier::new(CONNECTIONS));
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let (sent, barrier, body, rounds) = (&sent, &barrier, &body, rounds.clone());
            scope.spawn(move || {
                let mut line = Line::open(address).expect("the receiver takes connections");
                for round in rounds {
                    for body in (0..).map_while(|place| body(connection, place, round)) {
                        line.deliver(body.as_ref(), sent).expect("the receiver answers");
                    }
                    barrier.wait();
                }
            });
        }
    });
    sent
}

/// One connection, kept open.
struct Line {
    stream: BufReader<TcpStream>,
    head: Vec<u8>,
}

impl Line {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Line { stream: BufReader::new(stream), head: Vec::new() })
    }

    fn deliver(&mut self, body: &[u8], sent: &Sent) -> io::Result<()> {
        loop {
            self.head.clear();
            write!(
                self.head,
                "POST /api/v1/write HTTP/1.1\r\nHost: foreshock\r\nContent-Type: application/x-protobuf\r\n\
                 Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n\
                 Content-Length: {}\r\n\r\n",
                body.len()
            )?;
            self.stream.get_mut().write_all(&self.head)?;
            self.stream.get_mut().write_all(body)?;
            match self.status()? {
                200..=299 => break,
                503 => {
                    sent.busy.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(BUSY_PAUSE);
                }
                status => return Err(io::Error::other(format!("status {status}"))),
            }
        }
        sent.requests.fetch_add(1, Ordering::Relaxed);
        sent.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Reads an answer whole, since the next one follows on the same connection.
    fn status(&mut self) -> io::Result<u16> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status in {line:?}")))?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        io::copy(&mut io::Read::take(&mut self.stream, length), &mut io::sink())?;
        Ok(status)
    }
}
