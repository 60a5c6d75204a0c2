//! Any bytes as a score CSV: rows in order of time with a value for each signal, or an error.
#![no_main]

use foreshock::collect::recording::score_csv::{Row, ScoreCsv};
use foreshock::sample::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(mut csv) = ScoreCsv::new(file) else { return };
    let signals = csv.signals().len();
    let (mut row, mut before) = (Row::default(), Timestamp::MIN);
    while let Ok(true) = csv.next_row(&mut row) {
        assert!(row.values.len() == signals && row.at >= before);
        assert!(row.values.iter().all(|value| !value.is_infinite()));
        before = row.at;
    }
});
