//! The cluster as a whole: calm without a fault, hurt by each, healed by the right remedy and worse by the wrong one.

use super::*;
use readings::MailboxReadings;

fn monday() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap()
}

fn run(cluster: &mut Cluster, hours: f64) {
    for _ in 0..(hours * 3600.0 / STEP_SECONDS) as usize {
        cluster.step();
    }
}

fn warm(seed: u64) -> Cluster {
    let mut cluster = Cluster::new(Shape::default(), seed, monday());
    run(&mut cluster, 1.0);
    cluster
}

/// Hours from onset to impact, within `hours`.
fn hours_to_impact(mut cluster: Cluster, fault: Fault, seed: u64, hours: f64) -> Option<f64> {
    let shape = cluster.shape().clone();
    let outbreak = Outbreak::draw(fault, cluster.now(), &shape, &mut Pcg64::seed_from_u64(seed));
    cluster.inject(outbreak.clone());
    for _ in 0..(hours * 3600.0 / STEP_SECONDS) as usize {
        cluster.step();
        if cluster.hurts(&outbreak) {
            return Some(cluster.now().since(outbreak.at) as f64 / 3.6e6);
        }
    }
    None
}

#[test]
fn two_days_without_a_fault_hurt_nobody() {
    let mut cluster = Cluster::new(Shape::default(), 5, monday());
    for _ in 0..(48.0 * 3600.0 / STEP_SECONDS) as usize {
        cluster.step();
        for about in &FAULTS {
            let outbreak =
                Outbreak::draw(about.fault, monday(), &Shape::default(), &mut Pcg64::seed_from_u64(1));
            // Gone is what its fault says.
            let hurts = about.fault != Fault::NodeLoss && cluster.hurts(&outbreak);
            assert!(!hurts, "{} at {}", about.name, cluster.now());
        }
    }
}

#[test]
fn equal_seeds_give_equal_clusters() {
    let [one, two, other] = [3, 3, 4].map(|seed| {
        let mut cluster = Cluster::new(Shape::default(), seed, monday()).with_benign(seed);
        run(&mut cluster, 6.0);
        cluster.readings()
    });
    assert_eq!(one, two);
    assert_ne!(one, other);
}

#[test]
fn every_fault_hurts_in_its_time() {
    for about in &FAULTS {
        for seed in 0..3 {
            let hours = hours_to_impact(warm(seed), about.fault, seed, 150.0);
            let hours = hours.unwrap_or_else(|| panic!("{} by seed {seed} hurts nobody", about.name));
            let is_early = hours < 0.02;
            assert!(
                !about.has_lead || !is_early || about.name == "index_corruption",
                "{} {hours}",
                about.name
            );
            println!("{} {seed}: {hours:.2} h", about.name);
        }
    }
}

#[test]
fn the_right_remedy_ends_it_and_a_wrong_one_does_not() {
    let cluster = warm(1);
    let shape = cluster.shape().clone();
    for about in FAULTS.iter().filter(|about| about.fault != Fault::RemoteOutage) {
        for remedy in about.right.iter().chain(about.wrong) {
            let mut cluster = cluster.clone();
            let outbreak = Outbreak::draw(about.fault, cluster.now(), &shape, &mut Pcg64::seed_from_u64(2));
            let host = cluster.names()[outbreak.host].clone();
            cluster.inject(outbreak);
            run(&mut cluster, 0.1);
            let effect = cluster.remedy(remedy, &host);
            let want = match about.right.contains(remedy) {
                true => Effect::Cures(about.fault),
                false => Effect::Worsens(about.fault),
            };
            assert_eq!(effect, want, "{} {remedy}", about.name);
        }
    }
    assert_eq!(warm(1).remedy("pray", "store1.mail.example"), Effect::Unknown);
    assert_eq!(warm(1).remedy("restart_proxy", "nowhere"), Effect::Unknown);
}

#[test]
fn a_restart_on_slow_storage_makes_it_worse() {
    let mut cluster = warm(2);
    let mut outbreak =
        Outbreak::draw(Fault::StorageLatency, cluster.now(), &Shape::default(), &mut Pcg64::seed_from_u64(2));
    outbreak.host = 0;
    cluster.inject(outbreak);
    run(&mut cluster, 0.5);
    let mut restarted = cluster.clone();
    restarted.remedy("restart_mailboxd", "store1.mail.example");
    run(&mut cluster, 0.3);
    run(&mut restarted, 0.3);
    let soap = |cluster: &Cluster| cluster.store(0).unwrap().service.soap_seconds;
    assert!(soap(&restarted) > soap(&cluster), "{} {}", soap(&restarted), soap(&cluster));
}

#[test]
fn a_planned_restart_resets_counters_and_cools_caches() {
    let mut cluster = warm(1);
    let mailbox = |cluster: &Cluster| -> MailboxReadings {
        match &cluster.readings().hosts[0].service {
            ServiceReadings::Mailbox(mailbox) => mailbox.as_ref().clone(),
            other => panic!("{other:?}"),
        }
    };
    run(&mut cluster, 0.1);
    let before = mailbox(&cluster);
    cluster.remedy("restart_mailboxd", "store1.mail.example");
    run(&mut cluster, 0.1);
    let after = mailbox(&cluster);
    assert!(after.soap_requests_total < before.soap_requests_total);
    let hits = |m: &MailboxReadings| m.statistics.as_ref().unwrap().account_cache_hit_percent;
    assert!(hits(&after) < hits(&before) - 20.0, "{} {}", hits(&after), hits(&before));
}
