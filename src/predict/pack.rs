//! A pack: what the signals of one kind of system mean, how its faults show, which remedy fits or is forbidden.
//!
//! Packs are the YAML files of `models/`; this file is their schema. Domain knowledge lives there, not in code.

use serde::{Deserialize, Serialize};

/// One file of `models/`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    pub name: String,
}
