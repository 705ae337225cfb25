//! What to read: the objects under a trail prefix.

/// The key grammar.
pub mod key;

/// Finding the objects.
pub mod list;

/// Reading one of them.
pub mod fetch;
