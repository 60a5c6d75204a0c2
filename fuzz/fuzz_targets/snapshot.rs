//! Any bytes as a snapshot file: as they are, with a right checksum, and as the state within a sound file.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use foreshock::durable::snapshot::{VERSION, read};
use foreshock::engine::EngineState;
use libfuzzer_sys::fuzz_target;

static PATH: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("foreshock-fuzz-{}.snap", std::process::id())));

fn sealed(mut file: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&file);
    file.extend(crc.to_le_bytes());
    file
}

fn file_of(body_bytes: u64, packed: &[u8]) -> Vec<u8> {
    sealed([b"FORESHSN", &VERSION.to_le_bytes()[..], &body_bytes.to_le_bytes(), packed].concat())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&how, bytes)) = bytes.split_first() else { return };
    let file = match how % 4 {
        0 => bytes.to_vec(),
        1 => sealed(bytes.to_vec()),
        2 => file_of(1 << 20, bytes),
        _ => file_of(bytes.len() as u64, &zstd::encode_all(bytes, 1).unwrap()),
    };
    std::fs::write(&*PATH, file).unwrap();
    let _ = read::<EngineState>(&PATH);
});
