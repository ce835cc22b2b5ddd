//! The architecture as tests: `cargo test -p tidy`.
//!
//! Each module holds one kind of rule as a pure function from text to [`Breach`]es, with tests that it can
//! fail; `tests/workspace.rs` runs them all on this repository. What it is not: a linter of style, which is
//! clippy's and the formatter's work. It reads text and masks comments and literals; it does not parse Rust.
//!
//! ```
//! let source = tidy::source::mask_rust("// unsafe\nlet word = \"unsafe\";");
//! assert!(!source.contains("unsafe"));
//! ```

pub mod arrows;
pub mod budgets;
pub mod docs;
pub mod files;
pub mod functions;
pub mod lists;
pub mod source;
pub mod words;

/// A broken rule: where, which, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The file, from the repository's root; with a line where there is one.
    pub place: String,
    /// What is wrong.
    pub rule: String,
    /// What to do.
    pub remedy: String,
}

impl Breach {
    /// All three are sentences or parts of one.
    pub fn new(place: impl Into<String>, rule: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: place.into(), rule: rule.into(), remedy: remedy.into() }
    }
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}\n    remedy: {}", self.place, self.rule, self.remedy)
    }
}
