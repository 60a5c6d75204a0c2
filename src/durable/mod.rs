//! What must outlive a crash: the store of outbox, incidents and actions, and the snapshots of the engine.

pub mod lock;
pub mod record;
pub mod snapshot;
pub mod store;
