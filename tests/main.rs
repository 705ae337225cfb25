//! The promises to the user, one module each, in one binary.

mod support;

/// What is asked of S3, and what is said when it fails.
mod s3_store;
