//! Any text as the template of a body and of a header: output within its bound, or an error.
#![no_main]

use std::sync::LazyLock;

use foreshock::act::Letter;
use foreshock::act::template::Template;
use foreshock::incident::event::Event;
use libfuzzer_sys::fuzz_target;

static EVENT: LazyLock<Event> =
    LazyLock::new(|| serde_json::from_str(include_str!("../event.json")).unwrap());

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let letter =
        Letter { id: "id", event: &EVENT, now: EVENT.at, wall_seconds: 0, attempt: 1, note: None };
    for template in [Template::body(text), Template::header(text)] {
        if let Ok(output) = template.and_then(|template| template.render(&letter)) {
            assert!(output.len() <= 256 << 10);
        }
    }
});
