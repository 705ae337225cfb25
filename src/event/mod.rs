//! Bytes to rows and back. Pure: no I/O, no async, no clock.
//!
//! ```text
//! object ─inflate─▶ text ─decode─▶ records ─flatten─▶ rows ─batch─▶ sorted columns ─rebuild─▶ records
//! ```

/// Walking JSON text.
pub mod scan;

/// gzip to text.
pub mod inflate;

/// Timestamps as records spell them.
pub mod time;

/// Text to records: envelopes.
pub mod decode;

/// The known objects and fields of a record.
mod tree;

/// One record to one row.
pub mod flatten;

/// What has no column.
mod overflow;

/// What is worked out.
pub mod derive;

/// Rows in the making.
pub mod batch;

/// Rows back to records.
pub mod rebuild;

/// The order of rows, and copies.
pub mod sort;

/// Objects in, sorted columns out.
pub mod chunk;
