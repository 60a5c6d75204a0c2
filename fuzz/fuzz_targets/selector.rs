//! Any text as a selector, of a pack and of a request: they agree on what fits.
#![no_main]

use foreshock::api::select::Select;
use foreshock::predict::pack::Selector;
use foreshock::sample::Labels;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let series = Labels::new(&[("__name__", "up"), ("job", "node"), ("host", "mx1")]);
    let select = Select::parse([text]);
    if let Ok(selector) = Selector::parse(text) {
        assert_eq!(selector.matches(&series), select.unwrap().has(&series));
    }
});
