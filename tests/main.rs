//! The promises to the user, one module each, in one binary.

// What clippy.toml allows in tests it allows in their functions only, not in what those share.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod support;

/// Every record comes back equal, or is rejected with a reason.
mod roundtrip;

/// What is asked of S3, and what is said when it fails.
mod s3_store;
