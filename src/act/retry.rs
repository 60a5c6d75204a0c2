//! When to try again: the schedule that Standard Webhooks recommends, spread over three days.

use std::time::Duration;

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
