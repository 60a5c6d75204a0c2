//! Any bytes as a page: no panic, and what is read keeps the scanner's word.
#![no_main]

use foreshock::collect::prometheus::text::{Format, Scanner};
use foreshock::sample::{Batch, Labels, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|page: &[u8]| {
    for format in [Format::Text, Format::OpenMetrics] {
        let mut bytes = page.to_vec();
        let (mut rest, mut labels) = (bytes.as_mut_slice(), Vec::new());
        let mut scanner = Scanner::new(format);
        let mut batch = Batch::new("fuzz".into());
        while let Some(read) = scanner.next(&mut rest, &mut labels) {
            let Ok(line) = read else { continue };
            assert!(labels.windows(2).all(|pair| pair[0].0 < pair[1].0), "{labels:?}");
            assert!(!Labels::new(&labels).name().is_empty());
            batch.push(&mut labels, line.kind, line.at.unwrap_or(Timestamp(0)), line.value);
        }
        let _ = scanner.finish();
    }
});
