//! The files of the repository, as git sees them: tracked, and new ones that are not ignored.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file with its path from the root, `/` between folders on every system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// From the root.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl File {
    /// For tests and samples.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Whether the name ends so, `.rs` for one.
    pub fn has_extension(&self, extensions: &[&str]) -> bool {
        extensions.iter().any(|extension| self.path.ends_with(extension))
    }

    /// How many lines it has.
    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }
}

/// The root of this repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All text files below `root`; what is not UTF-8, or was deleted and not yet committed, is left out.
///
/// # Errors
/// git is not there, or the folder is not a repository.
pub fn read_all(root: &Path) -> Result<Vec<File>, String> {
    let words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(words).current_dir(root).output();
    let output = output.map_err(|error| format!("git ls-files: {error}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let paths = String::from_utf8_lossy(&output.stdout).into_owned();
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok().map(|text| File::new(path, &text));
    Ok(paths.split('\0').filter(|path| !path.is_empty()).filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_file_is_found() {
        let files = read_all(&root()).unwrap();
        assert!(files.iter().any(|file| file.path == "crates/tidy/src/files.rs"));
    }

    #[test]
    fn a_folder_without_git_is_an_error() {
        assert!(read_all(Path::new("/")).is_err());
    }
}
