//! A growing buffer of `f32` that starts on a cache line.

/// Bytes of a cache line, and of the widest vector.
const ALIGNMENT: usize = 64;
/// The same in numbers.
const LINE: usize = ALIGNMENT / size_of::<f32>();

/// Numbers that start on a 64-byte boundary. Kept between calls, it only ever grows.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    data: Vec<f32>,
    start: usize,
}

impl Aligned {
    /// Zeros.
    pub(crate) fn zeroed(length: usize) -> Self {
        let mut buffer = Self::default();
        buffer.grow(length);
        buffer
    }

    /// The first `length` numbers; what they hold is left from earlier calls.
    pub(crate) fn first_mut(&mut self, length: usize) -> &mut [f32] {
        if self.data.len() - self.start < length {
            self.grow(length);
        }
        &mut self.data[self.start..][..length]
    }

    /// All that was asked for, or a little more.
    pub(crate) fn as_slice(&self) -> &[f32] {
        &self.data[self.start..]
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.data.capacity() * size_of::<f32>()
    }

    fn grow(&mut self, length: usize) {
        self.data = Vec::new();
        self.data = vec![0.0; length + LINE];
        self.start = self.data.as_ptr().align_offset(ALIGNMENT).min(LINE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_on_a_line_and_keeps_its_memory() {
        let mut buffer = Aligned::default();
        assert_eq!(buffer.bytes(), 0);
        for length in [1, 0, 100, 7, 1000] {
            let numbers = buffer.first_mut(length);
            assert_eq!(numbers.len(), length);
            assert_eq!(numbers.as_ptr().addr() % ALIGNMENT, 0);
        }
        let held = buffer.bytes();
        buffer.first_mut(999);
        assert_eq!(buffer.bytes(), held);
    }
}
