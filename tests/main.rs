//! The promises to the user, one module each, in one binary.

// What clippy.toml allows in tests it allows in their functions only, not in what those share.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod support;

/// Bad input and bad days: what is lost, what is said, and the exit code.
mod bad_days;

/// Random histories of deliveries and runs: the books balance.
mod books;

/// `trailhouse convert`: what it finds, keeps and says.
mod convert;

/// Help, completions, the manual, wrong usage, and what goes to which stream.
mod cli;

/// `trailhouse compact`: the same rows in fewer files, whoever else is at work.
mod compact;

/// A run that dies and is run again: nothing is lost or doubled.
mod resume;

/// Real records, where `TRAILHOUSE_CORPUS` names a folder of them: all of them come back.
mod corpus;

/// Dying at every step: the next run ends as the uninterrupted one would have.
mod crash;

/// The rules that the code keeps: who uses whom, what is pure, who prints.
mod crate_rules;

/// Everything that event JSON comes wrapped in.
mod envelopes;

/// `trailhouse expire`: which days go, and that they stay gone.
mod expire;

/// A store that fails: nothing is lost or doubled.
mod faults;

/// Every column of the documented examples.
mod golden;

/// Every event once.
mod exactly_once;

/// Broken input: what is readable is kept, the rest is kept aside with the reason.
mod hostile;

/// Who acted: the three questions of the AWS documentation.
mod identity;

/// Several runs at once: every event once.
mod races;

/// Every record comes back equal, or is rejected with a reason.
mod roundtrip;

/// The same against S3: what is asked, as whom, and what meets there.
mod s3_convert;

/// What is asked of S3, and what is said when it fails.
mod s3_store;

/// The columns as they are documented.
mod schema;

/// The shell, as somebody types in it.
mod shell;

/// Queries and their answers.
mod sql;

/// Other tools' SQL, function by function and view by view.
mod sql_logic;

/// What a lake holds, and what it does not hold yet.
mod status;
/// `trailhouse vacuum`: what is deleted, and what is not.
mod vacuum;
