//! postfix_exporter: counters from Postfix's log, and two histograms from a look at its queue.

use super::{Kind, Page, flag};
use crate::sim::cluster::readings::MtaReadings;

const SIZES: [(&str, f64); 8] = [
    ("1000", 1e3),
    ("10000", 1e4),
    ("100000", 1e5),
    ("1e+06", 1e6),
    ("1e+07", 1e7),
    ("1e+08", 1e8),
    ("1e+09", 1e9),
    ("+Inf", f64::INFINITY),
];
const AGES: [(&str, f64); 10] = [
    ("10", 10.0),
    ("30", 30.0),
    ("100", 100.0),
    ("300", 300.0),
    ("1000", 1e3),
    ("3000", 3e3),
    ("10000", 1e4),
    ("30000", 3e4),
    ("100000", 1e5),
    ("+Inf", f64::INFINITY),
];
const DELAYS: [(&str, f64); 7] = [
    ("0.01", 0.01),
    ("0.1", 0.1),
    ("1", 1.0),
    ("10", 10.0),
    ("100", 100.0),
    ("1000", 1e3),
    ("+Inf", f64::INFINITY),
];

struct Queue {
    name: &'static str,
    messages: f64,
    bytes: f64,
    oldest_seconds: f64,
    mean_seconds: f64,
}

/// Without `whole`, histograms come without their buckets.
pub fn print(mta: &MtaReadings, whole: bool, page: &mut impl Page) {
    let labels = [("path", "/var/spool/postfix/public/showq")];
    page.sample("postfix_up", &labels, Kind::Gauge, flag(mta.is_up));
    if mta.is_up {
        print_queues(mta, whole, page);
    }
    // The log is there whether Postfix is up or not.
    let counter =
        |page: &mut _, name, labels: &[_], value| Page::sample(page, name, labels, Kind::Counter, value);
    counter(page, "postfix_cleanup_messages_processed_total", &[], mta.queued_total.floor());
    counter(page, "postfix_smtp_deferred_messages_total", &[], mta.deferred_total);
    counter(page, "postfix_smtpd_connects_total", &[], mta.connects_total);
    let processed = "postfix_smtpd_messages_processed_total";
    counter(page, processed, &[("sasl_method", "")], mta.received_total - mta.submitted_total);
    counter(page, processed, &[("sasl_method", "LOGIN")], mta.submitted_total);
    counter(page, "postfix_smtpd_messages_rejected_total", &[("code", "554")], mta.rejected_total);
    let failures = "postfix_smtpd_sasl_authentication_failures_total";
    counter(page, failures, &[], mta.login_failures_total);
    let stage = [("stage", "transmission")];
    let mean = mta.lmtp_delay_seconds_total / mta.lmtp_deliveries_total.max(1.0);
    if whole {
        // Delays of about an exponential distribution.
        let below = |le: f64| 1.0 - (-le / mean.max(1e-3)).exp();
        buckets(page, "postfix_lmtp_delivery_delay_seconds_bucket", &stage, &DELAYS, |le| {
            (mta.lmtp_deliveries_total * below(le)).floor()
        });
    }
    let histogram = Kind::Histogram;
    page.sample("postfix_lmtp_delivery_delay_seconds_sum", &stage, histogram, mta.lmtp_delay_seconds_total);
    page.sample("postfix_lmtp_delivery_delay_seconds_count", &stage, histogram, mta.lmtp_deliveries_total);
    // The exporter's own spelling.
    page.sample("postfix_qmgr_messages_inserted_receipients_sum", &[], histogram, mta.recipients_total);
    page.sample("postfix_qmgr_messages_inserted_receipients_count", &[], histogram, mta.received_total);
    counter(page, "postfix_qmgr_messages_removed_total", &[], mta.removed_total);
}

fn print_queues(mta: &MtaReadings, whole: bool, page: &mut impl Page) {
    let messages = mta.active + mta.deferred + mta.hold + mta.incoming;
    let queue = |name, in_queue: f64, oldest_seconds, mean_seconds| Queue {
        name,
        messages: in_queue,
        bytes: mta.queue_bytes * in_queue / messages.max(1.0),
        oldest_seconds,
        mean_seconds,
    };
    let queues = [
        queue("active", mta.active, mta.oldest_active_seconds, mta.oldest_active_seconds / 2.0),
        queue("deferred", mta.deferred, mta.oldest_deferred_seconds, mta.mean_deferred_seconds),
        queue("hold", mta.hold, 0.0, 0.0),
        queue("incoming", mta.incoming, 0.0, 0.0),
    ];
    for queue in &queues {
        let labels = [("queue", queue.name)];
        if whole {
            let mean = queue.bytes / queue.messages.max(1.0);
            buckets(page, "postfix_showq_message_size_bytes_bucket", &labels, &SIZES, |le| {
                (queue.messages * (le / (le + mean)).min(1.0)).floor()
            });
        }
        page.sample("postfix_showq_message_size_bytes_sum", &labels, Kind::Histogram, queue.bytes);
        page.sample("postfix_showq_message_size_bytes_count", &labels, Kind::Histogram, queue.messages);
    }
    for queue in &queues {
        let labels = [("queue", queue.name)];
        if whole {
            // As if messages had come evenly since the oldest.
            buckets(page, "postfix_showq_message_age_seconds_bucket", &labels, &AGES, |le| {
                (queue.messages * (le / queue.oldest_seconds.max(1.0)).min(1.0)).floor()
            });
        }
        let ages = queue.messages * queue.mean_seconds;
        page.sample("postfix_showq_message_age_seconds_sum", &labels, Kind::Histogram, ages);
        page.sample("postfix_showq_message_age_seconds_count", &labels, Kind::Histogram, queue.messages);
    }
}

/// One bucket a bound; the last has all.
fn buckets(
    page: &mut impl Page,
    name: &str,
    labels: &[(&'static str, &'static str); 1],
    bounds: &[(&'static str, f64)],
    below: impl Fn(f64) -> f64,
) {
    for (le, bound) in bounds {
        // A ratio of two infinities counts as all.
        let value = below(if bound.is_finite() { *bound } else { f64::MAX });
        page.sample(name, &[labels[0], ("le", le)], Kind::Histogram, value);
    }
}
