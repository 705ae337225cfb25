//! What several tests need.

pub mod json;
pub mod s3;
