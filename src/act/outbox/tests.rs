//! Crashes, at every place between a sample and its webhook, on a simulated clock.
//!
//! A crash copies the store as it lies on disk, without closing it, and goes on from the copy: what
//! `kill -9` leaves. The source of events is read again from its beginning, as Kafka would be.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::fixture::{minute, opened, policy, resolved, updated};
use super::*;
use crate::incident::event::{EventKind, Mode};

/// Everything outside: the disk, the receivers, the time, and the stream that the engine gives.
struct World {
    dir: tempfile::TempDir,
    outbox: Option<Outbox>,
    events: Option<broadcast::Receiver<Event>>,
    settings: Settings,
    now: Timestamp,
    stream: Vec<Event>,
    /// How much of the stream this process has taken in.
    position: usize,
    published: Vec<Event>,
    /// Requests that receivers got, in order.
    arrived: Vec<OutboxRecord>,
    crashes: usize,
}

impl World {
    fn new(mode: Mode, stream: Vec<Event>) -> Self {
        let settings = Settings {
            policy: policy(mode),
            records_max: 1_000,
            retention: Duration::from_secs(30 * 86_400),
            endpoints: ["alerts", "healer", "pager"].map(|sink| (sink.into(), format!("{sink} 1"))).into(),
        };
        let dir = tempfile::tempdir().unwrap();
        let mut world = World {
            dir,
            outbox: None,
            events: None,
            settings,
            now: minute(0),
            stream,
            position: 0,
            published: Vec::new(),
            arrived: Vec::new(),
            crashes: 0,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let store = Store::open(self.dir.path()).unwrap();
        let outbox = Outbox::open(store, self.settings.clone()).unwrap();
        self.events = Some(outbox.subscribe());
        self.outbox = Some(outbox);
        self.position = 0;
    }

    fn crash(&mut self) {
        let after = tempfile::tempdir().unwrap();
        std::fs::copy(self.dir.path().join("store.redb"), after.path().join("store.redb")).unwrap();
        self.outbox = None;
        self.dir = after;
        self.crashes += 1;
        self.start();
    }

    fn outbox(&self) -> &Outbox {
        self.outbox.as_ref().unwrap()
    }

    /// Takes in the next event of the stream.
    fn accept(&mut self) {
        let next = self.stream[self.position..].iter().take(1).cloned().collect::<Vec<_>>();
        self.position += next.len();
        self.outbox().accept(&next).unwrap();
        self.listen();
    }

    fn begin(&mut self) -> Option<Delivery> {
        let delivery = self.outbox().begin(self.now).unwrap();
        self.listen();
        delivery
    }

    fn listen(&mut self) {
        let events = self.events.as_mut().unwrap();
        self.published.extend(std::iter::from_fn(|| events.try_recv().ok()));
    }

    fn send(&mut self, delivery: &Delivery) {
        self.arrived.push(delivery.record.clone());
    }

    fn end(&mut self, delivery: &Delivery, verdict: Verdict) {
        self.outbox().end(self.now, delivery, &verdict, None).unwrap();
        self.listen();
    }

    fn deliver_all(&mut self) {
        while let Some(delivery) = self.begin() {
            self.send(&delivery);
            self.end(&delivery, delivered());
        }
    }

    /// What arrived, as `sink<kind`, repeats once.
    fn heard(&self) -> Vec<String> {
        let mut heard: Vec<String> = Vec::new();
        let mut ids = BTreeSet::new();
        for record in self.arrived.iter().filter(|record| ids.insert(&record.id)) {
            heard.push(format!("{}<{:?}", record.sink, record.event.event));
        }
        heard.sort();
        heard
    }
}

fn delivered() -> Verdict {
    Verdict::Delivered { note: None }
}

fn again() -> Verdict {
    Verdict::Again { after: None, reason: "status 500".into() }
}

fn after(wait: Duration, from: Timestamp) -> Timestamp {
    from.plus_ms(wait.as_millis() as i64)
}

/// Runs one incident through, a step at a time, and crashes after one of them; says how many steps it took.
fn run(crash_after: Option<usize>) -> (World, usize) {
    let mut world = World::new(Mode::Auto, vec![opened("a", 0), resolved("a", 9, 1)]);
    let (mut begun, mut sent) = (None, None);
    for step in 1.. {
        if let Some(delivery) = sent.take() {
            world.end(&delivery, delivered());
        } else if let Some(delivery) = begun.take() {
            world.send(&delivery);
            sent = Some(delivery);
        } else if let Some(delivery) = world.begin() {
            begun = Some(delivery);
        } else if world.position < world.stream.len() {
            world.accept();
        } else {
            return (world, step - 1);
        }
        if crash_after == Some(step) {
            (begun, sent) = (None, None);
            world.crash();
        }
    }
    unreachable!("a run ends")
}

#[test]
fn without_a_crash_everything_arrives_once() {
    let (world, steps) = run(None);
    let want = ["alerts<Opened", "alerts<Resolved", "healer<Planned", "pager<Opened", "pager<Resolved"];
    assert_eq!(world.heard(), want);
    assert_eq!((world.arrived.len(), steps), (5, 17));
    let kinds: Vec<EventKind> = world.published.iter().map(|event| event.event).collect();
    let story =
        [EventKind::Opened, EventKind::Planned, EventKind::Sent, EventKind::Resolved, EventKind::Verified];
    assert_eq!(kinds, story);
}

#[test]
fn a_crash_after_any_step_loses_nothing_and_invents_nothing() {
    let (calm, steps) = run(None);
    for step in 1..=steps {
        let (world, _) = run(Some(step));
        assert_eq!(world.heard(), calm.heard(), "crash after step {step}");
        assert!(
            world.arrived.len() <= calm.arrived.len() + 1,
            "crash after step {step}: more than one repeat"
        );
        let story = world.outbox().store().events("a").unwrap();
        assert_eq!(story, story_of(&world, "a"), "crash after step {step}");
        let kinds = |events: &[Event]| events.iter().map(|e| e.event).collect::<Vec<_>>();
        assert_eq!(kinds(&story), kinds(&calm.published), "crash after step {step}");
    }
}

#[test]
fn after_a_crash_an_attempt_knows_that_one_may_have_arrived() {
    let mut world = World::new(Mode::Auto, vec![opened("a", 0)]);
    world.accept();
    let before = world.begin().unwrap().record;
    world.crash();
    let after = world.begin().unwrap().record;
    assert_eq!((&after.id, before.attempts, after.attempts), (&before.id, 1, 2));
}

/// The published events of an incident; they were numbered without a gap.
fn story_of(world: &World, incident: &str) -> Vec<Event> {
    let of_it = |event: &&Event| event.incident.as_ref().is_some_and(|i| i.id == incident);
    let story: Vec<Event> = world.published.iter().filter(of_it).cloned().collect();
    assert!(story.iter().enumerate().all(|(i, event)| event.seq == i as u32), "{story:?}");
    story
}

#[test]
fn a_record_is_tried_by_the_schedule_and_then_given_up() {
    let mut world = World::new(Mode::Auto, vec![opened("a", 0)]);
    world.settings.policy.sinks.retain(|name, _| name == "healer");
    world.crash();
    world.accept();
    let mut attempts = Vec::new();
    while let Some(at) = world.outbox().next_due_at() {
        world.now = world.now.max(at);
        let Some(delivery) = world.begin() else { break };
        attempts.push(world.now.since(minute(0)) / 1000);
        world.end(&delivery, again());
    }
    // A remedy is out of date after four hours, long before the schedule ends.
    assert_eq!(attempts, [0, 5, 305, 2105, 9305]);
    assert_eq!(world.published.last().unwrap().action.as_ref().unwrap().outcome, "expired");
}

#[test]
fn a_notice_is_tried_ten_times_over_three_days() {
    let mut world = World::new(Mode::Observe, vec![opened("a", 0)]);
    world.accept();
    let mut attempts = 0;
    while let Some(at) = world.outbox().next_due_at() {
        world.now = world.now.max(at);
        let delivery = world.begin().unwrap();
        attempts += u32::from(delivery.record.sink == "pager");
        world.end(&delivery, again());
    }
    assert_eq!(attempts, 10);
    assert_eq!(world.now.since(minute(0)) / 3_600_000, 75);
    assert_eq!(world.outbox().stats().sinks["pager"], Counts { delivered: 0, retried: 9, failed: 1 });
}

#[test]
fn an_end_waits_for_a_beginning_in_flight_and_takes_the_place_of_one_that_failed() {
    let mut world = World::new(Mode::Observe, vec![opened("a", 0), resolved("a", 9, 1)]);
    world.accept();
    let first = world.begin().unwrap();
    let second = world.begin().unwrap();
    assert_eq!((first.record.event.event, second.record.event.event), (EventKind::Opened, EventKind::Opened));
    world.accept();
    assert!(world.begin().is_none(), "both lanes are taken");
    world.end(&first, again());
    world.end(&second, delivered());
    let third = world.begin().unwrap();
    assert_eq!((&third.record.sink, third.record.event.event), (&second.record.sink, EventKind::Resolved));
    assert!(world.begin().is_none(), "the pause of the attempt that failed is kept");
    world.now = after(Duration::from_secs(5), world.now);
    let fourth = world.begin().unwrap();
    assert_eq!((&fourth.record.sink, fourth.record.event.event), (&first.record.sink, EventKind::Resolved));
    world.end(&third, delivered());
    world.end(&fourth, delivered());
    let beginning = world.outbox().store().record(&first.record.id).unwrap().unwrap();
    assert!(matches!(beginning.state, RecordState::Superseded { .. }), "{beginning:?}");
    assert!(world.outbox().store().load().unwrap().pending.is_empty());
}

#[test]
fn what_came_and_went_while_nobody_listened_is_told_by_its_end() {
    let stream = vec![opened("a", 0), updated("a", 1, 1), resolved("a", 3, 2)];
    let mut world = World::new(Mode::Observe, stream);
    (0..3).for_each(|_| world.accept());
    world.crash();
    world.deliver_all();
    assert_eq!(world.heard(), ["alerts<Resolved", "pager<Resolved"]);
    let end = world.arrived[0].event.incident.clone().unwrap();
    assert_eq!((end.opened_at, end.resolved_at), (minute(0), Some(minute(3))), "it tells both times");
}

#[test]
fn a_newer_update_takes_the_place_of_one_that_waits_anywhere_in_its_lane() {
    let mut world = World::new(
        Mode::Observe,
        vec![opened("a", 0), updated("a", 1, 1), updated("a", 2, 2), updated("a", 3, 3)],
    );
    world.settings.policy.sinks.retain(|name, _| name == "alerts");
    world.crash();
    world.accept();
    let beginning = world.begin().unwrap();
    (0..2).for_each(|_| world.accept());
    world.end(&beginning, again());
    assert_eq!(world.outbox().stats().pending, 2, "the beginning, and one update behind it");
    world.accept();
    assert_eq!(world.outbox().stats().pending, 2);
    world.crash();
    assert_eq!(world.outbox().stats().pending, 2, "read back from disk it is the same");
    world.now = after(Duration::from_secs(5), world.now);
    world.deliver_all();
    let told: Vec<u32> = world.arrived.iter().map(|record| record.event.seq).collect();
    assert_eq!(told, [0, 4], "the plan of the remedy is 1");
    assert!(world.outbox().store().load().unwrap().pending.is_empty());
}

#[test]
fn a_dead_sink_fills_its_own_part_and_nobody_elses() {
    let stream: Vec<Event> = (0..30).map(|i| opened(&format!("i{i:02}"), i)).collect();
    let mut world = World::new(Mode::Auto, stream);
    world.settings.records_max = 10;
    world.settings.policy.actions_per_hour_max = 1_000;
    world.settings.policy.cooldown = Duration::ZERO;
    world.crash();
    for _ in 0..30 {
        world.accept();
        while let Some(delivery) = world.begin() {
            let verdict = if delivery.record.sink == "pager" { again() } else { delivered() };
            world.send(&delivery);
            world.end(&delivery, verdict);
        }
    }
    let stats = world.outbox().stats();
    assert_eq!(stats.waiting[&Part::new("pager", false)], 10);
    assert_eq!(stats.dropped, BTreeMap::from([(Part::new("pager", false), 20)]));
    for sink in ["alerts", "healer"] {
        assert_eq!(world.arrived.iter().filter(|record| record.sink == sink).count(), 30, "{sink}");
    }
}

#[test]
fn what_stands_is_repeated_until_something_newer_comes() {
    let mut world = World::new(Mode::Observe, vec![opened("a", 0), resolved("a", 9, 1)]);
    world.settings.policy.sinks.retain(|name, _| name == "alerts");
    world.crash();
    world.accept();
    let resend = Some(Duration::from_secs(60));
    for repeat in 0..3 {
        world.now = minute(repeat);
        let delivery = world.begin().expect("a repeat is due");
        world.outbox().end(world.now, &delivery, &delivered(), resend).unwrap();
        assert!(world.begin().is_none());
    }
    // A repeat that fails does not end the alert, and a crash makes it due at once.
    world.crash();
    world.now = minute(3);
    let delivery = world.begin().unwrap();
    world
        .outbox()
        .end(world.now, &delivery, &Verdict::Refused { reason: "status 400".into() }, resend)
        .unwrap();
    world.accept();
    world.accept();
    let ending = world.begin().unwrap();
    assert_eq!(ending.record.event.event, EventKind::Resolved);
    world.outbox().end(world.now, &ending, &delivered(), resend).unwrap();
    assert_eq!(world.outbox().stats().pending, 0);
}

#[test]
fn a_receiver_that_is_gone_is_left_alone_until_its_url_changes() {
    let mut world = World::new(Mode::Auto, vec![opened("a", 0), opened("b", 40), opened("c", 80)]);
    world.accept();
    let delivery = world.begin().unwrap();
    assert_eq!(delivery.record.sink, "healer", "cures come first");
    world.end(&delivery, Verdict::Gone);
    world.accept();
    let refused = world.published.last().unwrap().action.clone().unwrap();
    assert_eq!(refused.outcome, "sink_disabled");
    world.crash();
    assert!(world.outbox().stats().disabled.contains("healer"), "a restart does not forget");
    world.settings.endpoints.insert("healer".into(), "healer 2".into());
    world.crash();
    assert!(world.outbox().stats().disabled.is_empty());
    (0..3).for_each(|_| world.accept());
    assert_eq!(world.published.last().unwrap().action.as_ref().unwrap().outcome, "planned");
}

#[test]
fn all_that_waits_for_a_receiver_fails_when_it_is_gone() {
    let mut world = World::new(Mode::Observe, vec![opened("a", 0), opened("b", 0)]);
    world.settings.policy.sinks.retain(|name, _| name == "pager");
    world.crash();
    world.accept();
    world.accept();
    let delivery = world.begin().unwrap();
    world.end(&delivery, Verdict::Gone);
    assert_eq!(world.outbox().stats().pending, 0);
    assert!(world.begin().is_none());
}

#[test]
fn a_waiting_action_outlives_a_crash_and_is_approved_after_it() {
    let mut world = World::new(Mode::Approve, vec![opened("a", 0)]);
    world.accept();
    let id = world.outbox().waiting().unwrap()[0].id.clone();
    world.crash();
    assert_eq!(world.outbox().waiting().unwrap()[0].id, id);
    world.outbox().approve(minute(1), &id, "anna").unwrap();
    world.crash();
    assert!(world.outbox().approve(minute(2), &id, "anna").is_err(), "approved is approved");
    world.deliver_all();
    assert_eq!(world.arrived.iter().filter(|record| record.id == id).count(), 1);
}

#[test]
fn cooldown_and_limit_outlive_a_crash() {
    let mut world = World::new(Mode::Auto, vec![opened("a", 0), opened("b", 5)]);
    world.accept();
    world.crash();
    world.accept();
    world.accept();
    assert_eq!(world.published.last().unwrap().action.as_ref().unwrap().outcome, "cooldown");
}

#[test]
fn a_listener_hears_what_is_on_disk() {
    let mut world = World::new(Mode::Observe, vec![opened("a", 0)]);
    let mut events = world.outbox().subscribe();
    world.accept();
    assert_eq!(events.try_recv().unwrap(), world.outbox().store().events("a").unwrap()[0]);
}

#[derive(Clone, Debug)]
enum Op {
    Accept,
    Begin,
    /// The request of the nth begun attempt leaves, and arrives.
    Send(usize),
    /// Its answer is written down.
    End(usize, bool),
    Wait(i64),
    Crash,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => Just(Op::Accept),
        6 => Just(Op::Begin),
        4 => (0..4usize).prop_map(Op::Send),
        4 => (0..4usize, any::<bool>()).prop_map(|(i, ok)| Op::End(i, ok)),
        2 => (1..400i64).prop_map(Op::Wait),
        1 => Just(Op::Crash),
    ];
    prop::collection::vec(op, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Attempts of several incidents, interleaved with crashes, lost answers and failures in any order; then
    /// calm. Nothing recorded is lost, every repeat carries its id, no end comes before its beginning.
    #[test]
    fn any_interleaving_of_crashes_delivers_everything(ops in ops()) {
        let stream = vec![opened("a", 0), opened("b", 1), updated("a", 2, 1), resolved("b", 3, 1), resolved("a", 4, 2)];
        let mut world = World::new(Mode::Auto, stream);
        let mut begun: Vec<(Delivery, bool)> = Vec::new();
        for op in ops {
            match op {
                Op::Accept => world.accept(),
                Op::Begin => begun.extend(world.begin().map(|delivery| (delivery, false))),
                Op::Send(i) if begun.get(i).is_some_and(|(_, sent)| !sent) => {
                    begun[i].1 = true;
                    world.arrived.push(begun[i].0.record.clone());
                }
                Op::Send(_) => {}
                Op::End(i, ok) => if i < begun.len() {
                    let (delivery, sent) = begun.remove(i);
                    // An answer can be lost; it cannot come without a request.
                    world.end(&delivery, if sent && ok { delivered() } else { again() });
                },
                Op::Wait(seconds) => world.now = world.now.plus_ms(seconds * 1000),
                Op::Crash => { begun.clear(); world.crash(); }
            }
        }
        world.crash();
        while world.position < world.stream.len() {
            world.accept();
        }
        while let Some(at) = world.outbox().next_due_at() {
            world.now = world.now.max(at);
            world.deliver_all();
        }

        let mut first: BTreeMap<(String, String), String> = BTreeMap::new();
        for record in &world.arrived {
            let told = (format!("{} {:?} {}", record.incident, record.event.event, record.event.seq), record.sink.clone());
            let id = first.entry(told).or_insert_with(|| record.id.clone());
            prop_assert_eq!(&*id, &record.id, "one telling, two ids");
        }
        for incident in ["a", "b"] {
            for sink in ["alerts", "pager"] {
                let of_it = |r: &&OutboxRecord| r.incident == incident && r.sink == sink;
                let kinds: Vec<EventKind> = world.arrived.iter().filter(of_it).map(|r| r.event.event).collect();
                let begin = kinds.iter().rposition(|kind| *kind == EventKind::Opened);
                let end = kinds.iter().position(|kind| *kind == EventKind::Resolved);
                prop_assert!(end.is_some() && begin < end, "{incident} {sink}: {kinds:?}");
            }
            let events = world.outbox().store().events(incident).unwrap();
            prop_assert_eq!(&events, &story_of(&world, incident));
            // Each remedy has come to an end that is on record: it was sent, refused or out of date.
            let planned = events.iter().filter(|e| e.event == EventKind::Planned).count();
            let ended = events.iter().filter(|e| matches!(e.event, EventKind::Sent | EventKind::Refused)).count();
            prop_assert!(planned <= ended);
            let sent = events.iter().any(|e| e.event == EventKind::Sent);
            let healed = world.arrived.iter().any(|r| r.incident == incident && r.sink == "healer");
            prop_assert!(healed || !sent, "a remedy that never left counts as sent");
        }
        let loaded = world.outbox().store().load().unwrap();
        prop_assert!(loaded.pending.is_empty());
    }
}
