//! What is kept: data files, rejected input, and the commits that make them visible.

/// Where everything is in a lake.
pub mod layout;

/// Record batches to Parquet.
pub mod write;

/// What the table holds.
pub mod snapshot;

/// Making files visible.
pub mod commit;

/// What could not be converted.
pub mod rejected;

/// What became of every source object.
pub mod ledger;

/// Of what became of an object, the last.
pub mod newest;

/// The commits that were made.
pub mod history;

/// What counts because a commit says so.
pub mod vouched;

/// The same rows in fewer files.
pub mod compact;
/// Which rows are there already.
pub mod lookup;

/// Fewer days.
pub mod expire;

/// What nothing needs any more.
pub mod vacuum;

/// Several sorted files as one.
mod merge;
