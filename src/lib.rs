//! The doorway: JavaScript values to Rust values and back. It decides nothing.
//!
//! | file | noun |
//! |---|---|
//! | `engine.rs` | jobs in, settled jobs out: one thread-safe function an environment |
//! | `machine.rs` | what the binary is and finds here |
//! | `model.rs` | the handle of a loaded model |
//! | `models.rs` | the models of the process |
//! | `options.rs` | options as JavaScript has them |
//! | `settled.rs` | results and faults as JavaScript gets them |
//! | `vectors.rs` | helpers on vectors, called directly |

#![cfg_attr(test, allow(dead_code, reason = "napi registers nothing in a test build; JavaScript tests this"))]

// Features that make no sense here; `metal` and `accelerate` stop elsewhere than on macOS by the words of their own crates.
#[cfg(all(feature = "cuda", target_os = "macos"))]
compile_error!("the feature \"cuda\" is for Linux and Windows: on macOS take \"metal\"");
#[cfg(all(feature = "mkl", target_os = "macos"))]
compile_error!("the feature \"mkl\" is for Linux and Windows on x86-64: on macOS take \"accelerate\"");

mod engine;
mod machine;
mod model;
mod models;
mod options;
mod settled;
mod vectors;
