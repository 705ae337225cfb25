//! What several tests need.

pub mod command;
pub mod envelope;
pub mod json;
pub mod lake;
pub mod s3;
pub mod trail;
