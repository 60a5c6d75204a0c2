//! A bar on standard error while a person waits, and nothing where nobody looks.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `len` steps; `figures` is indicatif's template for what stands at its end.
pub fn bar(len: u64, what: &'static str, figures: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(&format!("{{msg}} {{wide_bar}} {{percent}}%, {figures}"));
    // A template that indicatif would not take leaves its own.
    ProgressBar::new(len)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(what)
}
