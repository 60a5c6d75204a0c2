//! What share of orders is told to fail, however many there are.

use super::*;

const PACK: &str = r#"
name: shop
signals:
  - { name: failed, reads: failed, unit: orders a second, role: shop, hurts: up, from: [failed_total] }
  - { name: done, reads: done, unit: orders a second, role: shop, hurts: up, from: [done_total] }
  - { name: failing, reads: failing, unit: "%", role: shop, hurts: up, share: { part: [failed], rest: [done] } }
"#;
const WINDOW_STEPS: i64 = SHARE_WINDOW_MS / 1000 / STEP_SECONDS;

/// What was told of a shop in which so many fail and so many are done at each step.
fn told(steps: i64, at_step: impl Fn(i64) -> (f64, f64)) -> Vec<(i64, f64)> {
    let mut shop = Shop::of(PACK);
    let (mut failed, mut done) = (1e6, 1e9);
    for step in 0..steps {
        let (more_failed, more_done) = at_step(step);
        failed += more_failed;
        done += more_done;
        let told =
            [("failed_total", "", ValueKind::Counter, failed), ("done_total", "", ValueKind::Counter, done)];
        shop.step(step, &told);
    }
    shop.told
}

#[test]
fn of_what_passes_in_five_minutes_so_many_percent_fail() {
    let told = told(HOUR, |step| if step < HOUR / 2 { (1.0, 99.0) } else { (30.0, 70.0) });
    assert_eq!(told.first(), Some(&(WINDOW_STEPS, 1.0)), "once a window is full");
    assert_eq!(told.len() as i64, HOUR - WINDOW_STEPS, "and from then on");
    let at = |step: i64| told[(step - WINDOW_STEPS) as usize].1;
    assert_eq!(at(HOUR / 2 - 1), 1.0);
    assert!((at(HOUR / 2 - 1 + WINDOW_STEPS / 2) - 15.5).abs() < 1e-9, "half of a window");
    assert_eq!(at(HOUR / 2 - 1 + WINDOW_STEPS), 30.0);
}

#[test]
fn of_a_few_a_share_waits_for_more_and_of_fewer_it_says_nothing() {
    // One in half a minute: twenty have passed after ten minutes.
    let few = told(HOUR, |step| (f64::from(step % 8 == 0), f64::from(step % 8 != 0 && step % 2 == 0)));
    assert_eq!(few.first().map(|(step, _)| *step), Some(40));
    assert!(few.iter().all(|(_, percent)| (20.0..=30.0).contains(percent)), "{few:?}");
    // One in two minutes: fifteen in half an hour.
    assert!(told(4 * HOUR, |step| (0.0, f64::from(step % 8 == 0))).is_empty());
    // A busy day before is none of the night.
    let night = told(4 * HOUR, |step| if step < HOUR { (0.0, 9.0) } else { (f64::from(step % 8 == 0), 0.0) });
    let last = night.last().unwrap().0;
    assert!((HOUR..HOUR + 2 * 60).contains(&last), "{last}");
}

#[test]
fn all_of_it_is_a_hundred_percent_and_no_more() {
    assert!(told(HOUR, |_| (5.0, 0.0)).iter().all(|(_, percent)| *percent == 100.0));
    assert!(told(HOUR, |_| (0.0, 5.0)).iter().all(|(_, percent)| *percent == 0.0));
}

#[test]
fn a_counter_that_begins_anew_makes_no_share() {
    let told = told(2 * HOUR, |step| if step == HOUR { (-1e6, 50.0) } else { (1.0, 99.0) });
    let untold: Vec<i64> =
        (HOUR - 5..2 * HOUR).filter(|step| told.iter().all(|(at, _)| at != step)).collect();
    assert_eq!(untold, (HOUR..HOUR + WINDOW_STEPS).collect::<Vec<_>>());
    assert!(told.iter().all(|(_, percent)| (percent - 1.0).abs() < 1e-9), "{told:?}");
}
