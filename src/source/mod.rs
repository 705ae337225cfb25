//! What to read: the objects under a trail prefix.
//!
//! ```text
//!  Location, Filter ─▶ list ─▶ Listing: folders (account, Region, day, kind) and objects ─▶ fetch ─▶ bytes
//!                       └── key: the grammar of the paths
//! ```

/// The key grammar.
pub mod key;

/// Finding the objects.
pub mod list;

/// The walk over an object store.
mod walk;

/// The walk over a local tree.
mod local;

/// Reading one of them.
pub mod fetch;
