//! Where, when and how fast the fault of a demo breaks out, so that its story fits into a minute.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

use crate::sample::Timestamp;
use crate::sim::cluster::{Cluster, Fault, Outbreak};

/// The fault begins this long after the beginning.
const AFTER_SECONDS: i64 = 420;
/// How far the cluster is run without a remedy to find out when users would be hurt.
const HORIZON_SECONDS: f64 = 100.0 * 3_600.0;
/// A fault that takes longer is made to grow faster.
const LEAD_SECONDS_MAX: f64 = 2.0 * 3_600.0;
/// Usual speed, and the most that scrapes can bear.
const SPEED: f64 = 90.0;
const SPEED_MAX: f64 = 240.0;
/// Of the wall's time, what the way from onset to impact may take.
const TOLD_SECONDS: f64 = 45.0;

/// A fault, when it would hurt, and how fast time is to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub outbreak: Outbreak,
    /// When users would be hurt: the same cluster from the same seed, left alone.
    pub impact_at: Timestamp,
    pub speed: f64,
}

impl Plan {
    /// `None` where nobody would ever be hurt.
    pub fn draw(fault: Fault, cluster: &Cluster, seed: u64) -> Option<Self> {
        let onset = cluster.now().plus_ms(AFTER_SECONDS * 1000);
        let mut random = Pcg64::seed_from_u64(seed);
        let mut outbreak = Outbreak::draw(fault, onset, cluster.shape(), &mut random);
        let mut impact_at = cluster.impact_alone(&outbreak, HORIZON_SECONDS)?;
        for _ in 0..3 {
            let lead_seconds = impact_at.since(onset) as f64 / 1000.0;
            if lead_seconds <= LEAD_SECONDS_MAX {
                break;
            }
            outbreak.span_seconds *= 0.9 * LEAD_SECONDS_MAX / lead_seconds;
            impact_at = cluster.impact_alone(&outbreak, HORIZON_SECONDS)?;
        }
        let lead_seconds = impact_at.since(onset) as f64 / 1000.0;
        let speed = (lead_seconds / TOLD_SECONDS).clamp(SPEED, SPEED_MAX).round();
        Some(Plan { outbreak, impact_at, speed })
    }
}
