//! Texts that are too long.

/// What happens to a text longer than the model takes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// It is cut.
    #[default]
    Truncate,
    /// It fails.
    Error,
    /// It is read in windows that overlap: vectors become their mean, scores the best of them.
    Chunk,
}

/// The end at which a text is cut.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    /// Its end.
    Right,
    /// Its beginning.
    Left,
}
