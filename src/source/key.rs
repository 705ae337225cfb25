//! The S3 key grammar of CloudTrail.
/// Which of the folders under an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind { /// a
 CloudTrail, /// b
 Insight, /// c
 NetworkActivity, /// d
 Aggregated }
