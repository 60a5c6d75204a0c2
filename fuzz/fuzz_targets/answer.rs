//! Any bytes as what a sink's receiver or a server of metrics answers: status, Retry-After, body, earlier note.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use foreshock::act::alertmanager::Alertmanager;
use foreshock::act::grafana::Grafana;
use foreshock::act::http::retry_after;
use foreshock::act::retry::delay;
use foreshock::act::{Answer, Letter, Sink};
use foreshock::collect::prometheus::metadata::Metadata;
use foreshock::incident::event::Event;
use libfuzzer_sys::fuzz_target;

static EVENT: LazyLock<Event> =
    LazyLock::new(|| serde_json::from_str(include_str!("../event.json")).unwrap());

fn sinks() -> [Box<dyn Sink>; 2] {
    let url = || "http://127.0.0.1:1/base/".parse().unwrap();
    let timeout = Duration::from_secs(1);
    let grafana = Grafana { url: url(), token: "t".into(), dashboard_uid: None, panel_id: None, timeout };
    let alertmanager = Alertmanager {
        url: url(),
        authorization: None,
        resend: timeout,
        runbook_url: None,
        external_url: Some(url()),
        timeout,
    };
    [Box::new(grafana), Box::new(alertmanager)]
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&how, rest)) = bytes.split_first() else { return };
    let mut lines = rest.splitn(3, |&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (asked, note, body) = (String::from_utf8_lossy(line()), String::from_utf8_lossy(line()), line());
    let _ = Metadata::read(body);
    let after = retry_after(&asked);
    assert!(delay(1, after).is_some_and(|wait| wait <= Duration::from_secs(3600)));
    let status = [200, 204, 302, 400, 401, 404, 410, 429, 500, 503][usize::from(how) % 10];
    let answer = Answer { status, retry_after: after, body: body.to_vec() };
    for attempt in [1, 2] {
        let note = Some(&*note);
        let letter = Letter { id: "id", event: &EVENT, now: EVENT.at, wall_seconds: 0, attempt, note };
        for sink in sinks() {
            assert!(sink.request(&letter).is_ok());
            let _ = sink.judge(&letter, &answer);
        }
    }
});
