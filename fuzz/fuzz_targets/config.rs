//! Any text as a configuration, a pack and a webhook's template: values or problems.
#![no_main]

use std::path::Path;

use foreshock::act::template::Template;
use foreshock::config::Config;
use foreshock::predict::pack::Pack;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let folder = Path::new("fuzz-has-no-such-folder");
    if let Err(problems) = Config::parse(text, Path::new("fuzz.yaml"), folder, &|_| None) {
        assert!(!problems.0.is_empty());
    }
    if let Err(problems) = Pack::from_yaml(text) {
        assert!(!problems.is_empty());
    }
    let _ = Template::body(text);
});
