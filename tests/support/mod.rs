//! What several tests need.

pub mod command;
pub mod envelope;
pub mod faulty;
pub mod json;
pub mod lake;
pub mod rows;
pub mod runs;
pub mod s3;
pub mod trail;
