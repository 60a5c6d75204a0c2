//! Foreshock's own metrics and logs: every queue, drop, error and stage latency has a name here.
