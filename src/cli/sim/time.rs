//! Times and faults as they are written on the command line: `clamd_stuck@+3d4h`.

use crate::sample::Timestamp;
use crate::sim::chronicle::Planned;
use crate::sim::cluster::{FAULTS, Fault};

/// An instant, or a span after the beginning of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    At(Timestamp),
    AfterMs(i64),
}

/// A fault, when and where; the host may be left to the seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultAt {
    fault: Fault,
    when: When,
    host: Option<String>,
}

impl FaultAt {
    /// With the times of a recording that begins at `start`.
    pub fn planned(&self, start: Timestamp) -> Planned {
        let at = match self.when {
            When::At(at) => at,
            When::AfterMs(ms) => start.plus_ms(ms),
        };
        Planned { fault: self.fault, at, host: self.host.clone() }
    }
}

/// `NAME@TIME` or `NAME@TIME@HOST`.
pub fn fault_at(text: &str) -> Result<FaultAt, String> {
    let mut parts = text.splitn(3, '@');
    let (name, when) = (parts.next().unwrap_or_default(), parts.next());
    let fault = Fault::of_name(name).ok_or_else(|| {
        let names: Vec<&str> = FAULTS.iter().map(|about| about.name).collect();
        format!("there is no fault `{name}`; there are {}", names.join(", "))
    })?;
    let when = when.ok_or("say when, as in clamd_stuck@+3d4h")?;
    let when = match when.strip_prefix('+') {
        Some(span) => When::AfterMs((seconds(span)? * 1000.0) as i64),
        None => When::At(instant(when)?),
    };
    Ok(FaultAt { fault, when, host: parts.next().map(str::to_owned) })
}

/// RFC 3339.
pub fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| "write RFC 3339, as in 2026-03-02T09:30:00Z".into())
}

/// Seconds of a span such as `3d4h30m`.
pub fn seconds(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is no span; write one as in 3d4h30m or 90s");
    let (mut sum, mut number) = (0.0, String::new());
    for c in text.chars() {
        let unit = match c {
            '0'..='9' | '.' => {
                number.push(c);
                continue;
            }
            'd' => 86_400.0,
            'h' => 3_600.0,
            'm' => 60.0,
            's' => 1.0,
            _ => return Err(wrong()),
        };
        sum += unit * number.parse::<f64>().map_err(|_| wrong())?;
        number.clear();
    }
    if number.is_empty() && !text.is_empty() { Ok(sum) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_with_its_time_and_its_host() {
        let start = Timestamp(1_000_000);
        let planned = |text: &str| fault_at(text).map(|fault| fault.planned(start));
        let want = Planned { fault: Fault::ClamdStuck, at: start.plus_ms(273_600_000), host: None };
        assert_eq!(planned("clamd_stuck@+3d4h"), Ok(want));
        let want = Planned { fault: Fault::HeapLeak, at: Timestamp(3_600_000), host: Some("store1".into()) };
        assert_eq!(planned("heap_leak@1970-01-01T01:00:00Z@store1"), Ok(want));
        assert!(planned("clamd_stuck").is_err() && planned("x@+1h").is_err());
        assert!(planned("clamd_stuck@+1").is_err() && planned("clamd_stuck@noon").is_err());
    }

    #[test]
    fn spans_are_sums() {
        assert_eq!(seconds("1d2h3m4s"), Ok(93_784.0));
        assert_eq!(seconds("1.5h"), Ok(5_400.0));
        assert!(seconds("").is_err() && seconds("h").is_err() && seconds("3").is_err());
    }
}
