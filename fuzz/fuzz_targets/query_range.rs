//! Any bytes as the answer of a range query, read from a server and from a recording.
#![no_main]

use foreshock::collect::prometheus::matrix;
use foreshock::collect::recording::columns::{Columns, RecordingLimits};
use foreshock::collect::recording::query_range;
use foreshock::sample::{Batch, ValueKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|answer: &[u8]| {
    let mut batch = Batch::new("fuzz".into());
    let _ = matrix::read(answer, |_| ValueKind::Unknown, &mut batch);
    let mut columns = Columns::new(RecordingLimits { series_max: 100, samples_max: 1000 });
    let _ = query_range::read(answer, &mut columns);
});
