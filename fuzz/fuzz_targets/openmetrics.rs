//! Any bytes as a recorded dump: the same samples whatever the pieces in which it comes.
#![no_main]

use std::io::BufReader;

use foreshock::collect::recording::columns::{Columns, RecordingLimits};
use foreshock::collect::recording::openmetrics::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|dump: &[u8]| {
    let outcome = |piece: usize| {
        let mut columns = Columns::new(RecordingLimits { series_max: 100, samples_max: 1000 });
        let left_out = read(BufReader::with_capacity(piece, dump), &mut columns);
        (left_out.map_err(|error| error.to_string()), columns.series(), columns.samples(), columns.span())
    };
    assert_eq!(outcome(7), outcome(1 << 16));
});
