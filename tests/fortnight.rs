//! Does the budget hold? A fortnight of a mail site without faults, and how often anyone is told of one.
//!
//! The site: 20 hosts of 50 series at 15 s, with the rhythm of day and week, a nightly job and one on Saturdays,
//! over-dispersed counts, noise that lingers and that the series of a host share. Two weeks come before the
//! fortnight, as a backfill from a Prometheus of default retention brings them; what was told during these, from
//! a cold start, stands apart. Disturbances of six signals at four deviations for ten minutes, of one host or of
//! six, are told to forks of the engine, so they change nothing of what is counted.
//!
//! The whole takes the better part of an hour on two cores, so it runs when asked for:
//! `cargo test --release --test fortnight -- --ignored --nocapture`. `FORESHOCK_SEEDS` (20, or `3..5`),
//! `FORESHOCK_HOSTS` (20), `FORESHOCK_DAYS` (14), `FORESHOCK_HISTORY_DAYS` (14), `FORESHOCK_BUDGETS` (0.25,1,4) and
//! `FORESHOCK_DISTURBANCES` (20) make it smaller; `FORESHOCK_SHOW=1` tells of every incident.

#[path = "fortnight/chance.rs"]
mod chance;
#[path = "fortnight/habit.rs"]
mod habit;
#[path = "fortnight/hosts.rs"]
mod hosts;
#[path = "fortnight/rhythm.rs"]
mod rhythm;
#[path = "fortnight/site.rs"]
mod site;
#[path = "fortnight/trial.rs"]
mod trial;

use std::ops::Range;
use std::sync::Mutex;
use std::time::Instant;

use foreshock::incident::event::Severity;
use trial::{Answer, Outcome, Plan, Told, run};

/// Fired within the budget, give or take what chance allows.
const OVER_BUDGET_MAX: f64 = 1.2;
const TOLD_MIN: f64 = 0.9;
const TICKETS_PER_WEEK: f64 = 7.0;

fn from_env<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().ok().unwrap_or_else(|| panic!("{name}: {text}")))
}

fn seeds() -> Range<u64> {
    let text: String = from_env("FORESHOCK_SEEDS", "20".into());
    let (first, end) = text.split_once("..").unwrap_or(("0", &text));
    first.parse().unwrap()..end.parse().unwrap()
}

fn is_page(told: &&Told) -> bool {
    told.severity == Severity::Page
}

fn is_ticket(told: &&Told) -> bool {
    told.severity == Severity::Ticket
}

/// Mean, standard error of it, largest.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (square / n).sqrt(), values.iter().copied().fold(0.0, f64::max))
}

/// All seeds, as many at once as there are processors.
fn run_all(plan: &Plan, seeds: Range<u64>) -> Vec<(Vec<Told>, Vec<Outcome>)> {
    let (left, done) = (Mutex::new(seeds), Mutex::new(Vec::new()));
    let work = || {
        while let Some(seed) = { left.lock().unwrap().next() } {
            let started = Instant::now();
            let (cold, outcomes) = run(plan, seed);
            let pages: Vec<usize> = outcomes.iter().map(|o| o.told.iter().filter(is_page).count()).collect();
            eprintln!("seed {seed}: {pages:?} pages, {:.0} s", started.elapsed().as_secs_f64());
            done.lock().unwrap().push((seed, (cold, outcomes)));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(seed, _)| *seed);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Share told as an incident, share told as a page, mean seconds until then.
fn share_told(answers: &[Answer]) -> (f64, f64, f64) {
    let told: Vec<(f64, Severity)> = answers.iter().filter_map(|answer| answer.told).collect();
    let share = |count: usize| count as f64 / answers.len() as f64;
    let paged = told.iter().filter(|(_, severity)| *severity == Severity::Page).count();
    let delay = told.iter().map(|(delay, _)| delay).sum::<f64>() / told.len() as f64;
    (share(told.len()), share(paged), delay)
}

#[test]
#[ignore = "takes the better part of an hour; see the head of this file"]
fn what_fires_stays_within_the_budget_and_a_disturbance_still_fires() {
    let budgets: String = from_env("FORESHOCK_BUDGETS", "0.25,1,4".into());
    let plan = Plan {
        hosts: from_env("FORESHOCK_HOSTS", 20),
        step_seconds: 15,
        history_days: from_env("FORESHOCK_HISTORY_DAYS", 14),
        days: from_env("FORESHOCK_DAYS", 14),
        budgets: budgets.split(',').map(|budget| budget.parse().unwrap()).collect(),
        disturbances: from_env("FORESHOCK_DISTURBANCES", 20),
    };
    let outcomes = run_all(&plan, seeds());
    if std::env::var("FORESHOCK_SHOW").is_ok() {
        show(&outcomes);
    }
    let weeks = plan.days as f64 / 7.0;
    println!(
        "{} sites of {} hosts, {weeks} weeks after {} days",
        outcomes.len(),
        plan.hosts,
        plan.history_days
    );
    cold_start(&plan, &outcomes);
    println!(
        "budget | pages a week, error, most | tickets a week, error, most | thresholds | one host: told, paged, after | six hosts"
    );
    let mut broken = Vec::new();
    for (index, budget) in plan.budgets.iter().enumerate() {
        let at: Vec<&Outcome> = outcomes.iter().map(|(_, outcomes)| &outcomes[index]).collect();
        let a_week = |is: fn(&&Told) -> bool| -> Vec<f64> {
            at.iter().map(|outcome| outcome.told.iter().filter(is).count() as f64 / weeks).collect()
        };
        let (pages, pages_error, pages_most) = spread(&a_week(is_page));
        let (tickets, tickets_error, tickets_most) = spread(&a_week(is_ticket));
        let answers = |of_one_host: bool| -> Vec<Answer> {
            let all = at.iter().flat_map(|outcome| &outcome.answers);
            all.copied().filter(|answer| answer.of_one_host == of_one_host).collect()
        };
        let [(told, paged, delay), (told_six, paged_six, delay_six)] =
            [true, false].map(|of_one_host| share_told(&answers(of_one_host)));
        let thresholds =
            [0, 1].map(|i| at.iter().map(|outcome| outcome.thresholds[i]).sum::<f64>() / at.len() as f64);
        println!(
            "{budget:6} | {pages:.3} {pages_error:.3} {pages_most:.1} | {tickets:.2} {tickets_error:.2} {tickets_most:.1} | \
             {:.1} {:.1} | {told:.3} {paged:.3} {delay:.0} s | {told_six:.3} {paged_six:.3} {delay_six:.0} s",
            thresholds[0], thresholds[1],
        );
        if pages > OVER_BUDGET_MAX * budget {
            broken.push(format!("{pages:.3} pages a week at a budget of {budget}"));
        }
        if pages + tickets > OVER_BUDGET_MAX * TICKETS_PER_WEEK.max(*budget) {
            broken.push(format!("{:.2} pages and tickets a week", pages + tickets));
        }
        if told < TOLD_MIN {
            broken.push(format!("{told:.3} of the disturbances told at a budget of {budget}"));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// What was told while little was known, a day a column.
fn cold_start(plan: &Plan, outcomes: &[(Vec<Told>, Vec<Outcome>)]) {
    let begin = site::Site::new(0, 0, plan.step_seconds).at(0);
    let mut by_day = vec![[0.0; 2]; plan.history_days as usize];
    for told in outcomes.iter().flat_map(|(cold, _)| cold) {
        let day = &mut by_day[(told.opened_at.since(begin) / 86_400_000) as usize];
        day[0] += f64::from(u8::from(is_page(&told))) / outcomes.len() as f64;
        day[1] += f64::from(u8::from(is_ticket(&told))) / outcomes.len() as f64;
    }
    let line = |i: usize| by_day.iter().map(|day| format!("{:.2}", day[i])).collect::<Vec<_>>().join(" ");
    println!("cold start at a budget of {}, pages a day: {}", plan.budgets[0], line(0));
    println!("tickets a day: {}", line(1));
}

fn show(outcomes: &[(Vec<Told>, Vec<Outcome>)]) {
    for (cold, outcomes) in outcomes {
        cold.iter().for_each(|told| println!("cold {} {:?} {}", told.opened_at, told.severity, told.what));
        for outcome in outcomes {
            let budget = outcome.budget;
            outcome
                .told
                .iter()
                .for_each(|told| println!("{budget} {} {:?} {}", told.opened_at, told.severity, told.what));
        }
    }
}

/// Four days of a hundred series; the first three are history.
#[test]
fn a_small_quiet_site_is_left_in_peace_and_a_disturbance_is_told() {
    let plan =
        Plan { hosts: 2, step_seconds: 15, history_days: 3, days: 1, budgets: vec![1.0], disturbances: 4 };
    let (_, outcomes) = run(&plan, from_env("FORESHOCK_SEED", 0));
    let outcome = &outcomes[0];
    assert!(outcome.told.len() <= 6, "{:#?}", outcome.told);
    let told = outcome.answers.iter().filter(|answer| answer.told.is_some()).count();
    assert!(2 * told >= outcome.answers.len(), "{:?}", outcome.answers);
}
