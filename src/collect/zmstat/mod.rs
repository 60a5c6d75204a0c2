//! Zimbra's own statistics: a directory of CSV files that are followed as they grow, over the rotation at midnight,
//! after what their dated folders remember has been read.
//!
//! `lines` cuts bytes into lines, `local_time` gives a row its place in time, `names` and `header` say what a column
//! is, `file` reads rows; all of these touch no file and no clock. `tail` follows one file, `folder` knows the
//! layout on disk, `stream` is a file with its past, and `directory` puts all of them in order of time.

mod directory;
pub mod file;
mod folder;
mod follow;
mod header;
mod lines;
mod local_time;
pub mod names;
mod stream;
mod tail;

pub use directory::Directory;
pub use file::{BadLine, Reader, Tally, read};
pub use follow::{catch_up, follow};
