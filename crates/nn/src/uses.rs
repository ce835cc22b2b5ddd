//! How a load takes the tensors of its files: what may be stored in fewer bits, without changing what is computed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a tensor is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// As a weight of so many inputs, or rows of one.
    Matrix {
        /// The length of its dot products.
        inputs: usize,
    },
    /// As rows that are looked up.
    Table,
    /// With all its digits.
    Exact,
}

/// The tensors of a load by the first file of their checkpoint and their name.
#[derive(Debug, Default, Clone)]
pub struct Uses(BTreeMap<(PathBuf, String), Vec<Use>>);

impl Uses {
    pub(crate) fn note(&mut self, path: &Path, name: &str, how: Use) {
        self.0.entry((path.into(), name.into())).or_default().push(how);
    }

    /// All that others noted, too.
    pub fn join(&mut self, others: Self) {
        others.0.into_iter().for_each(|(place, uses)| self.0.entry(place).or_default().extend(uses));
    }

    /// The first file of each checkpoint.
    pub fn files(&self) -> Vec<&PathBuf> {
        let mut files: Vec<_> = self.0.keys().map(|(file, _)| file).collect();
        files.dedup();
        files
    }

    /// How a tensor was taken; nothing for one that was not.
    pub fn of(&self, path: &Path, name: &str) -> &[Use] {
        self.0.get(&(path.into(), name.into())).map_or(&[], Vec::as_slice)
    }
}

/// What a loader took.
#[derive(Debug, Default)]
pub struct Taken {
    /// A hash over the tensors' bytes.
    pub hash: u64,
    pub(crate) uses: Uses,
}
