//! Any bytes as a recorded file: an OpenMetrics dump and a score CSV.
#![no_main]

use foreshock::collect::recording::columns::{Columns, RecordingLimits};
use foreshock::collect::recording::openmetrics;
use foreshock::collect::recording::score_csv::{Row, ScoreCsv};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let mut columns = Columns::new(RecordingLimits { series_max: 100, samples_max: 1000 });
    let _ = openmetrics::read(file, &mut columns);
    if let Ok(mut csv) = ScoreCsv::new(file) {
        let signals = csv.signals().len();
        let mut row = Row::default();
        while let Ok(true) = csv.next_row(&mut row) {
            assert_eq!(row.values.len(), signals);
        }
    }
});
