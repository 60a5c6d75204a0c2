//! Any bytes as a statistics file: named series with finite values, or lines that are left out, within bounds.
#![no_main]

use foreshock::collect::zmstat::{Reader, read};
use foreshock::sample::{Batch, Labels};
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;

const FILES: [&str; 8] = ["mailboxd", "soap", "ldap", "df", "mysql", "mtaqueue", "io-x", "sql"];

fuzz_target!(|input: &[u8]| {
    let Some((file, text)) = input.split_first() else { return };
    let Ok(zone) = TimeZone::get("Europe/Berlin") else { return };
    let mut reader = Reader::new(FILES[usize::from(*file) % FILES.len()], "store1", &zone);
    let mut batch = Batch::new("fuzz".into());
    let tally = read(text, &mut reader, &mut batch);
    // A row takes a time, and a sample a digit and a comma.
    assert!(tally.rows as usize <= text.len() / 19 && batch.len() <= text.len() / 2);
    for (key, _, samples) in batch.iter() {
        let labels = Labels::from_key(key);
        assert!(!labels.name().is_empty() && labels.get("host") == Some("store1"), "{labels}");
        assert!(samples.len() == 1 && samples[0].value.is_finite());
    }
});
