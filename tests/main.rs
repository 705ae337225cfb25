//! One test binary: each module is one promise to the user.

/// What the tests stand on.
mod support;

/// Every record comes back, or is rejected with a reason.
mod roundtrip;
