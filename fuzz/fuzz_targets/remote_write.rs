//! Any bytes as a write request, compressed and plain: a batch or an error, within bounds.
#![no_main]

use foreshock::collect::prometheus::remote_write::{decode, decode_plain};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = decode(body, 1 << 20, "fuzz".into());
    if let Ok(decoded) = decode_plain(body, "fuzz".into()) {
        // A sample takes two bytes at the least.
        assert!(decoded.batch.len() <= body.len() / 2);
        assert!(decoded.batch.iter().all(|(key, _, _)| !key.is_empty()));
    }
});
