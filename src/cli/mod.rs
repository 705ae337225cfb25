//! x
/// Sizes.
pub mod size;
/// SQL.
pub mod sql;
