//! What will hurt, and when: time to a hard limit, and the signatures of known faults.

pub mod pack;
