//! The promises to the user, one module each, in one binary.

// What clippy.toml allows in tests it allows in their functions only, not in what those share.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod support;

/// Bad input and bad days: what is lost, what is said, and the exit code.
mod bad_days;

/// `trailhouse convert`: what it finds, keeps and says.
mod convert;

/// Every record comes back equal, or is rejected with a reason.
mod roundtrip;

/// The same against S3: what is asked, as whom, and what meets there.
mod s3_convert;

/// What is asked of S3, and what is said when it fails.
mod s3_store;
