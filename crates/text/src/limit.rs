//! How many tokens may come out, and what happens to a text with more.

use crate::Error;

/// The end of the text that truncation takes away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// The beginning is kept (the usual).
    #[default]
    Right,
    /// The end is kept (`truncation_side: "left"`).
    Left,
}

/// What happens to a text with more tokens than the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It is cut, and the result says so.
    #[default]
    Truncate,
    /// It is refused with [`Error::TooLong`].
    Error,
}

/// How many tokens may come out, special ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The most ids that may come out, special tokens included.
    pub max_length: usize,
    /// Which end is cut.
    pub side: Side,
    /// Cut or refuse.
    pub overflow: Overflow,
}

impl Limit {
    /// Cuts the right end after `max_length` tokens.
    #[must_use]
    pub fn new(max_length: usize) -> Self {
        Self { max_length, side: Side::Right, overflow: Overflow::Truncate }
    }

    /// Tokens left for the text itself.
    ///
    /// The reference accepts a limit equal to `specials` and then gives every
    /// text the same embedding; here that is refused.
    pub(crate) fn room(&self, specials: usize) -> Result<usize, Error> {
        match self.max_length.checked_sub(specials) {
            None | Some(0) => Err(Error::NoRoom { limit: self.max_length, specials }),
            Some(room) => Ok(room),
        }
    }
}

impl Side {
    /// The `room` items at the end that is kept.
    pub(crate) fn keep<T>(self, items: &mut Vec<T>, room: usize) {
        match self {
            Side::Right => items.truncate(room),
            Side::Left => drop(items.drain(..items.len().saturating_sub(room))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_what_the_special_tokens_leave() {
        assert_eq!(Limit::new(3).room(2).unwrap(), 1);
        assert!(matches!(Limit::new(2).room(2), Err(Error::NoRoom { limit: 2, specials: 2 })));
        assert!(matches!(Limit::new(0).room(0), Err(Error::NoRoom { .. })));
    }

    #[test]
    fn each_side_keeps_its_end() {
        for (side, want) in [(Side::Right, vec![1, 2]), (Side::Left, vec![2, 3])] {
            let mut items = vec![1, 2, 3];
            side.keep(&mut items, 2);
            assert_eq!(items, want, "{side:?}");
        }
    }
}
