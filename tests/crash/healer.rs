//! The receiver of remedies: slow at times, broken at times, and it remembers everything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::support::receiver::Receiver;

#[derive(Default)]
struct State {
    /// Statuses answered, by webhook-id; one is noted before it is sent.
    answers: Mutex<BTreeMap<String, Vec<u16>>>,
    in_flight: AtomicUsize,
    /// Answers take long, so that a crash finds them on their way.
    holds: AtomicBool,
}

pub struct Healer {
    receiver: Receiver,
    state: Arc<State>,
}

impl Healer {
    /// A `moody` one answers one id in eight with 500 at first, and one in four slowly.
    pub fn start(moody: bool) -> Self {
        let state = Arc::new(State::default());
        let shared = state.clone();
        let receiver = Receiver::start(move |got| {
            shared.in_flight.fetch_add(1, Ordering::SeqCst);
            let id = got.header("webhook-id").to_owned();
            let mood = u8::from_str_radix(&id[..2], 16).unwrap();
            if shared.holds.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(400));
            } else if moody && mood % 4 == 0 {
                std::thread::sleep(Duration::from_millis(150));
            }
            let mut answers = shared.answers.lock().unwrap();
            let before = answers.entry(id).or_default();
            let status = if moody && mood % 8 == 1 && before.is_empty() { 500 } else { 204 };
            before.push(status);
            shared.in_flight.fetch_sub(1, Ordering::SeqCst);
            (status, String::new())
        });
        Healer { receiver, state }
    }

    pub fn url(&self) -> &str {
        &self.receiver.url
    }

    pub fn hold(&self, holds: bool) {
        self.state.holds.store(holds, Ordering::SeqCst);
    }

    pub fn is_busy(&self) -> bool {
        self.state.in_flight.load(Ordering::SeqCst) > 0
    }

    /// Statuses answered, by webhook-id.
    pub fn answers(&self) -> BTreeMap<String, Vec<u16>> {
        self.state.answers.lock().unwrap().clone()
    }

    /// The ids under which each remedy of each incident was asked for. Fails where a body says another id.
    pub fn ids(&self) -> BTreeMap<(String, String), Vec<String>> {
        let mut ids: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for got in self.receiver.got() {
            let (body, id) = (got.json(), got.header("webhook-id").to_owned());
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            assert_eq!(text(&body["data"]["action"]["id"]), id);
            let key = (text(&body["data"]["incident"]["id"]), text(&body["data"]["action"]["remedy"]));
            let known = ids.entry(key).or_default();
            if !known.contains(&id) {
                known.push(id);
            }
        }
        ids
    }
}
