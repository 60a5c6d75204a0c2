//! Any text as a pack: one whose parts all refer to something, or problems with their places.
#![no_main]

use foreshock::predict::pack::Pack;
use foreshock::predict::signals::SignalTable;
use foreshock::sample::Labels;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Pack::from_yaml(text) {
        Ok(pack) => {
            let table = SignalTable::new(&[pack]);
            let _ = table.resolve(&Labels::new(&[("__name__", "postfix_queue_stat"), ("queue", "active")]));
        }
        Err(problems) => assert!(!problems.is_empty() && problems.iter().all(|p| p.line > 0 && p.column > 0)),
    }
});
