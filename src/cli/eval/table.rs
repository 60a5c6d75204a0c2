//! What was measured, for people as a table or for programs as JSON.

use std::io::{self, Write};

use serde::Serialize;

/// Prints `report` as one line of JSON.
pub fn print_json(report: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, report)?;
    writeln!(out)?;
    Ok(())
}

/// Prints rows under a header: names to the left, figures to the right.
pub fn print_table(rows: &[Vec<String>]) -> io::Result<()> {
    io::stdout().lock().write_all(table(rows).as_bytes())
}

/// A share as a percentage, as far as it can be told.
pub fn percent(share: f64) -> String {
    if share.is_nan() { "-".into() } else { format!("{:.3}%", share * 100.0) }
}

/// A figure, or a dash where there is none.
pub fn figure(value: Option<f64>, digits: usize) -> String {
    value.filter(|v| v.is_finite()).map_or("-".into(), |v| format!("{v:.digits$}"))
}

fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|i| width(i).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (i, cell) in row.iter().enumerate() {
            let width = widths[i];
            line += &if i == 0 { format!("{cell:width$}") } else { format!("  {cell:>width$}") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_left_and_figures_right() {
        let rows =
            [["file", "score"], ["a", "7.25"], ["longer", "-"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(table(&rows), "file    score\na        7.25\nlonger      -\n");
    }
}
