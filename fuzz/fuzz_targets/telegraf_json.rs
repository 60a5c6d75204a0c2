//! Any bytes as a message of Telegraf: a batch of named series or an error, within bounds.
#![no_main]

use std::time::Duration;

use foreshock::collect::kafka::format::telegraf_json::read;
use foreshock::sample::Labels;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let Ok(batch) = read(payload, Duration::from_secs(1), "fuzz".into()) else { return };
    // A field takes four bytes at the least.
    assert!(batch.len() <= payload.len() / 4);
    for (key, _, samples) in batch.iter() {
        let labels = Labels::from_key(key);
        assert!(!labels.name().is_empty() && labels.iter().all(|(name, _)| !name.is_empty()), "{labels}");
        assert!(samples.len() == 1 && samples[0].value.is_finite());
    }
});
