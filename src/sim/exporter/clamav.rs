//! The clamav exporter: clamd's own statistics. A clamd that is down, or too busy to answer, has none.

use super::{Kind, Page, flag};
use crate::sim::cluster::readings::MtaReadings;

pub fn print(mta: &MtaReadings, page: &mut impl Page) {
    if mta.clamd_is_up {
        let figures = [
            ("clamav_database_age", mta.clamd_database_age_seconds),
            ("clamav_queue_length", mta.clamd_queue),
            ("clamav_threads_idle", mta.clamd_threads_idle),
            ("clamav_threads_live", mta.clamd_threads_live),
            ("clamav_threads_max", mta.clamd_threads_max),
        ];
        for (name, value) in figures {
            page.sample(name, &[], Kind::Gauge, value);
        }
    }
    page.sample("clamav_up", &[], Kind::Gauge, flag(mta.clamd_is_up));
}
