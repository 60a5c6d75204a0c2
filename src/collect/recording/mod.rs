//! Recorded data: files of a monitoring system's past, put in order of time and handed over tick by tick.

pub mod columns;
pub mod csv_records;
pub mod input;
pub mod query_range;
pub mod score_csv;
