//! The hub's ways with a server that behaves as the real ones do, and with one that does not.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod cache;
mod derived;
mod disk;
mod faults;
mod processes;
mod server;
mod support;
