//! Any text as a list of targets, as JSON and as YAML.
#![no_main]

use std::path::Path;

use foreshock::collect::prometheus::discovery::groups;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for path in ["list.json", "list.yml"] {
        if let Ok(groups) = groups(Path::new(path), text) {
            assert!(groups.iter().map(|group| group.targets.len()).sum::<usize>() <= text.len());
        }
    }
});
