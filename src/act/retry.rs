//! When to try again: the schedule that Standard Webhooks recommends, spread over three days.

use std::time::Duration;

use super::Verdict;
use crate::durable::record::{OutboxRecord, RecordState};
use crate::incident::event::EventKind;
use crate::sample::Timestamp;

/// A repeated notice is given up when its receiver has been away for as long as the schedule lasts.
const REPEAT_MS_MAX: i64 = 3 * 24 * 3_600_000;
const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;

/// Seconds to wait after the first attempt failed, after the second, and so on.
const SCHEDULE: [u64; 9] =
    [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/// A receiver cannot ask for more patience than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(HOUR);

/// The wait after `attempts` failed ones; `None` where it is time to give up.
pub fn delay(attempts: u32, retry_after: Option<Duration>) -> Option<Duration> {
    let scheduled = Duration::from_secs(*SCHEDULE.get(attempts.saturating_sub(1) as usize)?);
    Some(retry_after.map_or(scheduled, |asked| scheduled.max(asked.min(RETRY_AFTER_MAX))))
}

/// What becomes of a record after an attempt.
#[derive(Debug, PartialEq)]
pub enum Next {
    End(RecordState),
    At(Timestamp, RecordState),
}

/// Weighs a sink's verdict; `resend` is its wish to have what arrived repeated.
pub fn judge(record: &OutboxRecord, verdict: &Verdict, now: Timestamp, resend: Option<Duration>) -> Next {
    let later = |wait: Duration| now.plus_ms(wait.as_millis() as i64);
    let failed = |reason: &str| Next::End(RecordState::Failed { at: now, reason: reason.into() });
    let is_end = record.event.event == EventKind::Resolved;
    match (verdict, resend) {
        (Verdict::Delivered { .. }, Some(resend)) if !is_end => {
            Next::At(later(resend), RecordState::Standing)
        }
        (Verdict::Delivered { .. }, _) => Next::End(RecordState::Delivered { at: now }),
        (Verdict::Gone, _) => failed("the receiver answered 410, it wants nothing more"),
        // What stands has arrived once; a repeat that fails is tried again in its turn.
        (_, Some(resend)) if record.state == RecordState::Standing => {
            Next::At(later(resend), RecordState::Standing)
        }
        (Verdict::Refused { reason }, _) => failed(reason),
        (Verdict::Next { .. }, _) if delay(record.attempts, None).is_some() => {
            Next::At(now, RecordState::Pending)
        }
        (Verdict::Next { .. }, _) => failed("it took too many steps"),
        (Verdict::Again { after, reason }, Some(resend)) => {
            let scheduled = delay(record.attempts, None).map_or(resend, |wait| wait.min(resend));
            let asked = after.unwrap_or_default().min(RETRY_AFTER_MAX);
            match now.since(record.created_at) > REPEAT_MS_MAX {
                true => failed(reason),
                false => Next::At(later(scheduled.max(asked)), RecordState::Pending),
            }
        }
        (Verdict::Again { after, reason }, None) => match delay(record.attempts, *after) {
            Some(wait) => Next::At(later(wait), RecordState::Pending),
            None => failed(reason),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_over_three_days() {
        let waits: Vec<u64> = (1..).map_while(|n| delay(n, None)).map(|wait| wait.as_secs()).collect();
        assert_eq!(waits, [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]);
    }

    #[test]
    fn a_receiver_may_ask_for_up_to_an_hour() {
        let after = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(delay(1, after(60)), after(60));
        assert_eq!(delay(1, after(999_999)), after(3600));
        assert_eq!(delay(2, after(1)), after(300));
    }
}
