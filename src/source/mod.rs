//! What to read: the objects under a trail prefix.
//!
//! ```text
//!  Location, Filter ─▶ list ─▶ Listing: folders (account, Region, day, kind) and objects ─▶ fetch ─▶ bytes
//!                       └── key, folder: what the paths say
//! ```

/// The key grammar.
pub mod key;

/// What a path says of the objects below it.
mod folder;

/// Finding the objects.
pub mod list;

/// The walk over an object store.
mod walk;

/// The walk over a local tree.
mod local;

#[cfg(test)]
mod watched;

/// Reading one of them.
pub mod fetch;
