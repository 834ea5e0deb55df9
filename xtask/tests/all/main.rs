//! The built guests, run in the smallest host that can run them: what they do when a command is answered or
//! refused. Policy and processes are the host library's to test.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a panic is the failure"
)]

mod guests;
mod host;
