//! Any text as a configuration: one that can be used, or problems of one line each.
#![no_main]

use std::path::Path;

use foreshock::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let env = |name: &str| (name.len() < 4).then(|| name.repeat(16));
    if let Err(problems) = Config::parse(text, Path::new("f.yaml"), Path::new("/nonexistent"), &env) {
        assert!(!problems.0.is_empty());
        for problem in &problems.0 {
            assert!(problem.place.line > 0 && problem.place.column > 0);
            assert!(!problem.to_string().contains('\n'), "{problem}");
        }
    }
});
