//! The second join: a lake into rows.
//!
//! ```text
//!  Lake (files, partition values, statistics) ─▶ table ─▶ session ─▶ batches ─▶ format ─▶ text
//!                                                prune    SQL, JSON functions
//! ```

/// The `events` table over a lake's data files.
pub mod table;

/// The `ledger` table.
mod ledger;

/// The `rejected` table.
mod rejected;

/// A data file's statistics, as planning uses them.
mod stats;

/// Files as tables.
pub mod files;

/// SQL text as an editor sees it: tokens, statements.
pub mod lex;

/// Values for the parameters of a statement.
mod params;

/// Where in a statement an error is.
mod point;

/// How far a query is, and what it read.
pub mod progress;

/// SQL over one version of a lake.
pub mod session;

/// The grammar.
mod dialect;

/// Other engines' SQL into ours.
mod rewrite;

/// Names as other engines take them.
mod names;

/// Rows out of arrays.
mod unnest;

/// Other engines' functions.
mod functions;

/// Other engines' tables, and those that answer what people ask.
pub mod views;

/// What an engine's error means to the person who wrote the query.
mod errors;

/// The rows `trailhouse export` rebuilds records from.
pub mod export;

/// Rows as text.
pub mod format;

/// Rows as files of bytes.
mod file_format;

/// Rows with one field a line.
mod record;

/// One value as text.
mod cells;

/// The table that is drawn for people.
mod grid;

/// The words a statement is made of, for completion.
pub mod vocabulary;

#[cfg(test)]
mod testing;

pub use errors::explain;
pub use export::export_stream;
pub use format::{Format, Look, Written};
pub use point::point;
pub use session::Session;
