//! What several tests need.

pub mod s3;
