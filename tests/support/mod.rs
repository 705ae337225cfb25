/// JSON values for comparison.
pub mod json;
