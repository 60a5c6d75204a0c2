//! What must outlive a crash: the store of outbox, incidents and actions, and the snapshots of the engine.

pub mod snapshot;
