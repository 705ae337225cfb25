//! Turns the AWS CloudTrail logs of an organization into a lake of partitioned Parquet, and answers SQL over it.
//!
//! ```text
//!              ┌─────────────────────────── convert ───────────────────────────┐          ┌─ query ─┐
//!  trails ─▶ source ──bytes──▶ event ──sorted columns, rejected──▶ lake ──snapshot──────▶ table ─▶ rows
//!            list, fetch       decode ▸ flatten ▸ batch (pure)      write ▸ commit          scan, print
//! ```
//!
//! An *object* is one file in a trail bucket, usually `.json.gz`; it holds *records*; one record is one *event* and
//! becomes one *row*. A *source* is a URL under which trails deliver. A *lake* is the output root. A *task* is a set of
//! objects converted together into data files. A *commit* makes data files visible. *Rejected* input is kept, counted
//! and explained.
//!
//! Who may use whom (a test reads the `use crate::` lines against this table):
//!
//! | module | may use |
//! |---|---|
//! | `cli` | everything |
//! | `convert` | `source` `event` `lake` `schema` `store` |
//! | `query` | `lake` `schema` `store` |
//! | `source` | `store` |
//! | `event` | `schema` `intern` |
//! | `lake` | `schema` `store` `intern` |
//! | `store` `schema` `intern` `error` | nothing of ours; `error` is open to all |
//!
//! Invariants: a row is visible if and only if the commit that added its file is; a data file is never changed in
//! place; the same objects give the same bytes, whatever the concurrency; records in = rows + duplicates + filtered +
//! rejected.

/// What a user is told when something ends a command.
pub mod error;

/// The table of columns.
pub mod schema;

/// Finding equal texts.
pub mod intern;

/// URLs and paths to object stores.
pub mod store;

/// What to read: the objects under a trail prefix.
pub mod source;

/// Bytes to rows and back. Pure: no I/O, no async, no clock.
pub mod event;

/// What is kept: data files, rejected input, and the commits that make them visible.
pub mod lake;

/// The first join: sources into a lake.
pub mod convert;

/// The second join: a lake into rows.
pub mod query;

/// The command line: one file a command.
pub mod cli;
