//! A receiver of webhooks and annotations that keeps every request as it came, for a test to look at.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

#[derive(Clone, Debug)]
pub struct Got {
    pub at: Instant,
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Listens on loopback until the test process ends.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    /// `answer` gives status and body for each request.
    pub fn start(answer: impl Fn(&Got) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let (keep, answer) = (got.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (keep, answer) = (keep.clone(), answer.clone());
                std::thread::spawn(move || serve(&stream, &keep, &*answer));
            }
        });
        Receiver { url, got }
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

fn serve(mut stream: &TcpStream, keep: &Mutex<Vec<Got>>, answer: &dyn Fn(&Got) -> (u16, String)) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut words = line.split_whitespace().map(String::from);
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return };
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.trim_end().split_once(':') {
                headers.push((name.to_lowercase(), value.trim().to_string()));
            }
        }
        let mut got = Got { at: Instant::now(), method, path, headers, body: Vec::new() };
        let length: usize = got.header("content-length").parse().unwrap_or(0);
        got.body = vec![0; length];
        if reader.read_exact(&mut got.body).is_err() {
            return;
        }
        let (status, body) = answer(&got);
        keep.lock().unwrap().push(got);
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}
