//! What is told where a part of the law is missing, is no number, ends or begins anew: nothing, and nothing false after.

use super::*;
use crate::sample::STALE_NAN_BITS;

/// The steps of the second to the fourth hour at which nothing was told, where `change` was done to what was shown.
fn untold(change: impl Fn(i64, &mut Vec<Told<'static>>)) -> (Vec<i64>, f64) {
    let mut shop = Shop::new();
    for step in 0..4 * HOUR {
        let mut told = healthy(step).to_vec();
        change(step, &mut told);
        shop.step(step, &told);
    }
    let silent = |step: &i64| shop.told.iter().all(|(at, _)| at != step);
    ((HOUR..4 * HOUR).filter(silent).collect(), shop.most())
}

#[test]
fn a_counter_that_begins_anew_has_no_value_until_a_window_is_full_again() {
    let restart = 2 * HOUR + 3;
    let (steps, most) = untold(|step, told| {
        if step >= restart {
            told[1].3 = came(step) - came(restart - 2) - held(step);
        }
    });
    assert_eq!(steps, (restart..restart + WINDOW_STEPS).collect::<Vec<_>>());
    assert!(most < 1e-6, "{most}");
}

#[test]
fn a_part_that_is_missing_gives_no_value_and_what_it_then_shows_is_held_against_before() {
    for part in 0..3 {
        let out = 2 * HOUR..2 * HOUR + 20;
        let (steps, most) = untold(|step, told| {
            if out.contains(&step) {
                told.remove(part);
            }
        });
        assert_eq!(steps, out.collect::<Vec<_>>(), "{part}");
        assert!(most < 1e-6, "{part}: {most}");
    }
    let (steps, _) = untold(|_, told| told.truncate(2));
    assert_eq!(steps.len() as i64, 3 * HOUR, "what is held was never known");
}

#[test]
fn what_is_no_number_is_no_value() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 9_223_372_036_854_771_712.0, f64::MAX] {
        for part in 0..3 {
            let (steps, most) = untold(|step, told| {
                if step == 2 * HOUR {
                    told[part].3 = odd;
                }
            });
            assert_eq!(steps, [2 * HOUR], "{odd} in {part}");
            assert!(most < 1e-6, "{odd} in {part}: {most}");
        }
    }
}

#[test]
fn a_series_that_ended_is_not_counted() {
    let stale = f64::from_bits(STALE_NAN_BITS);
    // A second shelf is emptied, given up, and what it last showed is forgotten.
    let (steps, most) = untold(|step, told| match step - 2 * HOUR {
        i64::MIN..0 => told.push(("held", "second", ValueKind::Gauge, 5.0)),
        0 => told.push(("held", "second", ValueKind::Gauge, stale)),
        _ => {}
    });
    assert_eq!(steps, (2 * HOUR..2 * HOUR + WINDOW_STEPS).collect::<Vec<_>>());
    assert!(most < 1e-6, "{most}");
    let (steps, _) = untold(|step, told| {
        if step >= 2 * HOUR {
            told[2].3 = stale;
        }
    });
    assert_eq!(steps, (2 * HOUR..4 * HOUR).collect::<Vec<_>>(), "nothing held is known");
}

#[test]
fn a_series_that_never_said_a_number_is_not_waited_for() {
    for odd in [f64::NAN, f64::INFINITY] {
        let (steps, most) = untold(|step, told| {
            if step == 2 * HOUR {
                told.push(("held", "new", ValueKind::Gauge, odd));
                told.push(("came_total", "new", ValueKind::Counter, odd));
            }
        });
        assert!(steps.is_empty() && most < 1e-6, "{odd}: {steps:?} {most}");
    }
    // Of one about which nothing is known yet it is not clear whether it is held.
    let (steps, _) = untold(|step, told| {
        if [2 * HOUR, 2 * HOUR + 1].contains(&step) {
            told.push(("held", "new", ValueKind::Unknown, step as f64));
        }
    });
    assert!(steps.is_empty(), "{steps:?}");
}

#[test]
fn a_series_that_is_retired_is_not_waited_for() {
    let mut shop = Shop::new();
    for step in 0..3 * HOUR {
        let mut told = healthy(step).to_vec();
        if step < HOUR {
            // Of the first form, and therefore the one that counts.
            told.insert(0, ("came_total", "second", ValueKind::Counter, 3.0));
        }
        if step == HOUR + 2 {
            let (id, entity) = (shop.id("came_total", "second", "a"), shop.registry.entity(SeriesId(0)));
            shop.derived.retire(id, entity);
        }
        shop.step(step, &told);
    }
    let after = shop.told.iter().map(|(step, _)| *step).find(|step| *step >= HOUR);
    assert_eq!(after, Some(HOUR + 2 + WINDOW_STEPS), "from then on others count alone");
    assert!(shop.most() < 1e-6, "{}", shop.most());
}

#[test]
fn what_turns_out_to_be_a_counter_is_not_held() {
    let (steps, _) = untold(|_, told| told[2].2 = ValueKind::Counter);
    assert_eq!(steps.len() as i64, 3 * HOUR);
}
