//! What people say of incidents, and what the engine does after it: one site of two hosts at a minute's step.

use super::*;
use crate::incident::event::{EventKind, Severity, State};
use crate::sample::ValueKind;

const STEP_MS: i64 = 60_000;
const DAY: i64 = 1440;
const HOUR: i64 = 60;

fn settings() -> Settings {
    Settings { site: "test".into(), step_seconds: 60, ..Settings::default() }
}

/// About N(0, 1), depending on its place alone.
fn noise(host: usize, signal: usize, row: i64) -> f64 {
    let mut x = (host as u64 + 1) * 1_000_003 + signal as u64 * 7_919 + row as u64 * 104_729;
    let mut draw = || {
        x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        x ^= x >> 33;
        (x >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    (0..12).map(|_| draw()).sum()
}

struct Site {
    engine: Engine,
    row: i64,
    events: Vec<Event>,
}

impl Site {
    /// A host with three signals and one with one, watched for some days.
    fn after_days(settings: Settings, days: i64) -> Self {
        let mut site = Site { engine: Engine::new(settings), row: 0, events: Vec::new() };
        site.run(days * DAY, |_, _| 0.0);
        assert!(site.events.is_empty(), "{:#?}", site.events);
        site
    }

    /// Runs on for some rows; `off` says how far from 100 a signal of the first host is, besides noise.
    fn run(&mut self, rows: i64, off: impl Fn(i64, usize) -> f64) {
        for row in self.row..self.row + rows {
            for host in 0..2 {
                let mut batch = Batch::new(format!("scrape:host{host}").as_str().into());
                let instance = format!("host{host}:9100");
                for signal in 0..if host == 0 { 3 } else { 1 } {
                    let metric = format!("signal_{signal}");
                    let off = if host == 0 { off(row - self.row, signal) } else { 0.0 };
                    let labels = &mut [("__name__", metric.as_str()), ("instance", instance.as_str())];
                    let value = 100.0 + noise(host, signal, row) + off;
                    batch.push(labels, ValueKind::Gauge, Timestamp(row * STEP_MS), value);
                }
                self.engine.step(Input::Samples(batch), &mut self.events);
            }
        }
        self.row += rows;
    }

    fn say(&mut self, incident: &str, verdict: Verdict) {
        let command = Command::Feedback { incident: incident.into(), verdict, by: "ann".into() };
        self.engine.step(Input::Command(command), &mut self.events);
    }

    /// The incidents opened so far.
    fn opened(&self) -> Vec<&Incident> {
        let opened = self.events.iter().filter(|event| event.event == EventKind::Opened);
        opened.filter_map(|event| event.incident.as_ref()).collect()
    }

    fn band(&self, signal: usize) -> SeriesView {
        let name = format!("signal_{signal}");
        let found = self
            .engine
            .series(&|labels| labels.name() == name && labels.get("instance") == Some("host0:9100"), 1);
        found.into_iter().next().unwrap()
    }
}

/// An hour of two signals 12 deviations off.
fn hour_off(row: i64, signal: usize) -> f64 {
    if row < HOUR && signal < 2 { 12.0 } else { 0.0 }
}

/// The incident that stands open now.
fn only(site: &Site) -> Incident {
    let open = site.engine.incidents();
    assert_eq!(open.len(), 1, "{open:#?}");
    open[0].clone()
}

/// Two bands are equal within a share of their width.
fn assert_same_band(before: &SeriesView, after: &SeriesView, share: f64) {
    let edges = |view: &SeriesView| [view.low, view.high].map(|edge| edge.unwrap());
    let ([low, high], now) = (edges(before), edges(after));
    for (edge, now) in [low, high].into_iter().zip(now) {
        assert!((now - edge).abs() < share * (high - low), "{low} to {high} became {now}: {after:?}");
    }
}

#[test]
fn after_an_incident_the_old_normal_is_normal_and_a_repeat_is_told_as_the_first_was() {
    // With one visit to each slot of the day what is learnt by mistake weighs most.
    for days in [2, 6] {
        let mut site = Site::after_days(settings(), days);
        let before = site.band(0);
        site.run(HOUR + 30, hour_off);
        assert_eq!(site.engine.incidents().len(), 0, "{:#?}", site.events);
        assert!(site.band(0).surprise < 3.0, "{:?}", site.band(0));
        site.run(DAY - HOUR - 30, |_, _| 0.0);
        assert_same_band(&before, &site.band(0), 0.06);
        site.run(DAY, hour_off);
        let [first, second] = site.opened()[..] else { panic!("{:#?}", site.events) };
        let [first, second] = [first, second].map(|incident| site.engine.weight(&incident.id).unwrap());
        // What nobody took on and no fault explains is a little less rare the second time.
        assert!(second > 0.3 * first && second > 20.0, "{first}, then {second}");
    }
}

#[test]
fn a_false_alarm_may_happen_again_and_what_is_stronger_or_another_pages() {
    for said_after in [12, HOUR - 1] {
        let mut site = Site::after_days(settings(), 3);
        site.run(said_after, hour_off);
        let incident = only(&site);
        assert_eq!(incident.severity, Severity::Page);
        site.say(&incident.id, Verdict::FalseAlarm);
        let ended = site.events.last().and_then(|event| event.incident.clone()).unwrap();
        assert_eq!((ended.state, ended.id), (State::Resolved, incident.id));
        assert!(ended.summary.starts_with("Resolved as a false alarm by ann after"), "{}", ended.summary);
        site.run(DAY - said_after, |row, signal| hour_off(row + said_after, signal));
        let before = site.band(0);
        for _ in 0..3 {
            site.run(DAY, hour_off);
        }
        assert_eq!(site.opened().len(), 1, "three nights more: {:#?}", site.events);
        assert_same_band(&before, &site.band(0), 0.06);

        site.run(DAY, |row, signal| 2.0 * hour_off(row, signal));
        site.run(DAY, |row, signal| -hour_off(row, signal));
        site.run(DAY, |row, signal| if signal == 2 { hour_off(row, 0) } else { hour_off(row, signal) });
        site.run(DAY, |row, signal| hour_off(row / 5, signal));
        // Chance opens one now and then, of a weight of 8.
        let is_heavy = |page: &&&Incident| site.engine.weight(&page.id).unwrap() > 20.0;
        let pages: Vec<(i64, &str)> = site.opened()[1..]
            .iter()
            .filter(is_heavy)
            .map(|page| (page.opened_at.0 / STEP_MS / DAY - 7, page.movers[0].series.name()))
            .collect();
        // Twice as strong; the other way; another signal; five times as long.
        assert_eq!(pages, [(0, "signal_0"), (1, "signal_0"), (2, "signal_2"), (3, "signal_0")]);
    }
}

#[test]
fn an_excused_series_goes_on_learning_from_its_noise() {
    let mut site = Site::after_days(settings(), 2);
    site.run(30, hour_off);
    let id = only(&site).id;
    site.say(&id, Verdict::FalseAlarm);
    let mut stopped = [0, 0];
    for row in 30..DAY {
        site.run(1, |_, signal| hour_off(row, signal));
        stopped[usize::from(row > HOUR + 20)] += i64::from(!site.engine.frozen.is_empty());
    }
    assert!(
        stopped[0] > 20 && stopped[1] < 20,
        "rows without learning in the disturbance and after: {stopped:?}"
    );
}

#[test]
fn a_closed_incident_can_be_called_false_and_true_again() {
    let mut site = Site::after_days(settings(), 3);
    site.run(DAY, hour_off);
    let first = site.opened()[0].id.clone();
    let told = site.events.len();
    site.say(&first, Verdict::FalseAlarm);
    site.say(&first, Verdict::FalseAlarm);
    assert_eq!(site.engine.stats().verdicts, [1, 0, 0], "said twice is said once");
    site.run(DAY, hour_off);
    assert_eq!(site.events.len(), told, "{:#?}", site.events);
    site.say(&first, Verdict::TrueAlarm);
    site.run(DAY, hour_off);
    assert_eq!(site.opened().len(), 2);
    site.say("0123", Verdict::FalseAlarm);
    assert_eq!(site.engine.stats().verdicts, [1, 0, 1], "an unknown one is not heard");
}

/// The evidence that a page takes after one incident, taken on by somebody, on which `verdict` was said.
fn page_after(acknowledged: bool, verdict: Option<Verdict>) -> f64 {
    let mut site = Site::after_days(Settings { pages_per_week: 0.05, ..settings() }, 4);
    site.run(20, hour_off);
    let (incident, by) = (only(&site).id, String::from("ann"));
    if acknowledged {
        let command = Command::Acknowledge { incident: incident.clone(), by };
        site.engine.step(Input::Command(command), &mut site.events);
    }
    if let Some(verdict) = verdict {
        site.say(&incident, verdict);
    }
    site.run(2 * HOUR, |row, signal| hour_off(row + 20, signal));
    site.engine.stats().thresholds[1]
}

#[test]
fn the_budget_counts_what_people_say() {
    // One that no fault explains counts by its weight; one that somebody took on doesn't, unless it was false after all.
    let page = [
        page_after(false, None),
        page_after(true, None),
        page_after(true, Some(Verdict::FalseAlarm)),
        page_after(false, Some(Verdict::TrueAlarm)),
    ];
    assert!(page[0] > 30.0 && page[1] < 10.0 && page[2] > 30.0 && page[3] < 10.0, "{page:?}");
}

#[test]
fn the_number_of_shards_changes_nothing_of_what_is_heard() {
    let story = |shards: usize| {
        let mut site = Site::after_days(Settings { shards, ..in_maintenance(None, (5, 0), (6, 0)) }, 2);
        for verdict in [Verdict::FalseAlarm, Verdict::TrueAlarm, Verdict::NormalNow] {
            let row = site.row;
            site.run(20, |row, signal| if signal < 2 { 12.0 } else { (row % 3) as f64 });
            if let Some(id) = site.opened().last().map(|incident| incident.id.clone()) {
                site.say(&id, verdict);
            }
            site.run(8 * HOUR - 20, |at, signal| hour_off(at + 20, signal));
            assert_eq!(site.row, row + 8 * HOUR);
        }
        site.events
    };
    let one = story(1);
    assert!(one.len() > 4, "{one:#?}");
    assert_eq!(story(3), one);
}

#[test]
fn what_is_normal_now_has_its_band_there_at_once_and_opens_nothing() {
    let level = |_: i64, signal: usize| if signal < 2 { 12.0 } else { 0.0 };
    let mut site = Site::after_days(settings(), 3);
    let before = site.band(0);
    site.run(20, level);
    let id = only(&site).id;
    site.say(&id, Verdict::NormalNow);
    assert!(site.engine.incidents().is_empty());
    site.run(40, level);
    let moved = site.band(0);
    let by = moved.expected.unwrap() - before.expected.unwrap();
    assert!((by - 12.0).abs() < 0.7, "{by}");
    let width = |view: &SeriesView| view.high.unwrap() - view.low.unwrap();
    assert!((width(&moved) / width(&before) - 1.0).abs() < 0.05, "{before:?} {moved:?}");
    assert_eq!(site.engine.settlement, Settlement::default(), "it has settled");
    site.run(2 * DAY, level);
    assert_eq!(site.opened().len(), 1, "{:#?}", site.events);
    // The new level is as well known as the old one was: going back is odd.
    site.run(DAY, |row, signal| level(row, signal) - hour_off(row, signal));
    assert_eq!(site.opened().len(), 2);
}

#[test]
fn verdicts_survive_a_snapshot() {
    for verdict in Verdict::ALL {
        let mut whole = Site::after_days(settings(), 2);
        whole.run(20, hour_off);
        let id = only(&whole).id;
        whole.say(&id, verdict);
        let bytes = postcard::to_stdvec(&whole.engine.save()).unwrap();
        let engine = Engine::load(settings(), postcard::from_bytes(&bytes).unwrap()).unwrap();
        let mut loaded = Site { engine, row: whole.row, events: whole.events.clone() };
        for site in [&mut whole, &mut loaded] {
            site.run(DAY - 20, |row, signal| hour_off(row + 20, signal));
            site.run(2 * HOUR, hour_off);
        }
        assert_eq!(whole.events, loaded.events, "{verdict:?}");
    }
}

fn in_maintenance(entity: Option<&str>, from: (i8, i8), to: (i8, i8)) -> Settings {
    let [from, to] = [from, to].map(|(hour, minute)| jiff::civil::time(hour, minute, 0, 0));
    let entities = entity.into_iter().map(String::from).collect();
    Settings { maintenance: vec![Maintenance { when: When::Daily { from, to }, entities }], ..settings() }
}

#[test]
fn in_maintenance_nothing_opens_and_nothing_is_learnt_and_what_lasts_counts_from_then_on() {
    for (entity, heard) in [(None, 0), (Some("host0"), 0), (Some("host1"), 1)] {
        let mut site = Site::after_days(in_maintenance(entity, (0, 0), (1, 30)), 3);
        let before = site.band(0);
        site.run(DAY, hour_off);
        assert_eq!(site.opened().len(), heard, "{entity:?}: {:#?}", site.events);
        assert_same_band(&before, &site.band(0), 0.06);
    }
    let mut site = Site::after_days(in_maintenance(None, (23, 30), (0, 30)), 3);
    site.run(HOUR, hour_off);
    let opened_at = only(&site).opened_at.0 / STEP_MS - 3 * DAY;
    assert!((30..35).contains(&opened_at), "{opened_at}");
}

#[test]
fn an_incident_that_was_open_before_maintenance_is_neither_told_of_nor_resolved_in_it() {
    let mut site = Site::after_days(in_maintenance(None, (0, 30), (2, 0)), 3);
    site.run(2 * HOUR, hour_off);
    assert_eq!(site.events.iter().filter(|event| event.at > Timestamp((3 * DAY + 30) * STEP_MS)).count(), 0);
    let incident = only(&site);
    site.run(HOUR, |_, _| 0.0);
    let ended = site.events.last().unwrap();
    assert_eq!((ended.event, &ended.incident.as_ref().unwrap().id), (EventKind::Resolved, &incident.id));
}

#[test]
fn a_relation_that_is_another_now_is_learnt_and_opens_nothing_more() {
    let mut engine = Engine::new(settings());
    let (mut events, mut said_at) = (Vec::new(), None);
    for row in 0..4 * DAY {
        let common = 3.0 * noise(9, 9, row);
        let mut batch = Batch::new("scrape:host0".into());
        for signal in 0..4 {
            let metric = format!("signal_{signal}");
            let labels = &mut [("__name__", metric.as_str()), ("instance", "host0:9100")];
            // From the third day on the third signal goes against the others, inside its own band.
            let follows = if signal == 2 && row >= 2 * DAY { -common } else { common };
            let value = 100.0 + follows + 0.2 * noise(0, signal, row);
            batch.push(labels, ValueKind::Gauge, Timestamp(row * STEP_MS), value);
        }
        engine.step(Input::Samples(batch), &mut events);
        if row > 2 * DAY + 20 && said_at.is_none() {
            let incident = engine.incidents()[0].id.clone();
            let (verdict, by) = (Verdict::NormalNow, "ann".into());
            engine.step(Input::Command(Command::Feedback { incident, verdict, by }), &mut events);
            said_at = Some(engine.now);
        }
    }
    // What all signals do together by chance is another story.
    let after: Vec<&Incident> = events
        .iter()
        .filter(|event| event.event == EventKind::Opened && Some(event.at) > said_at)
        .filter_map(|event| event.incident.as_ref())
        .filter(|incident| incident.movers[0].detector == crate::detect::Kind::Multivariate)
        .collect();
    assert!(after.is_empty(), "{after:#?}");
}
