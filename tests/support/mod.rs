//! What several tests need.

pub mod command;
pub mod json;
pub mod s3;
pub mod trail;
