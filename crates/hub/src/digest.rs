//! What a file's bytes must come to.
//!
//! The hub names a file of Git by the SHA-1 of its blob (the bytes behind `blob <size>\0`,
//! <https://git-scm.com/book/en/v2/Git-Internals-Git-Objects>), and one of LFS by the SHA-256 of its bytes. Both are the file's
//! ETag, and its name among the blobs of the cache.

use std::fmt::Write;
use std::io::Read;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// A hash in small hexadecimal digits: 40 of a Git blob, 64 of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// An ETag or a name as a digest; `None` if it is neither kind. Weak tags (`W/"…"`) name the same bytes here.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bare = text.trim().trim_start_matches("W/").trim_matches('"').to_ascii_lowercase();
        let known = [40, 64].contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        known.then_some(Self(bare))
    }

    /// The SHA-256 of what a reader holds.
    pub(crate) fn sha256(reader: &mut impl Read) -> std::io::Result<Self> {
        Self("0".repeat(64)).of_reader(0, reader)
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Begins to hash a file of so many bytes.
    pub(crate) fn hasher(&self, size: u64) -> Hasher {
        if self.0.len() == 64 {
            return Hasher(Context::new(&SHA256));
        }
        let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        context.update(format!("blob {size}\0").as_bytes());
        Hasher(context)
    }

    /// Hashes what a reader holds; its size must be known before.
    pub(crate) fn of_reader(&self, size: u64, reader: &mut impl Read) -> std::io::Result<Self> {
        let mut hasher = self.hasher(size);
        let mut buffer = vec![0; 1 << 18];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(hasher.finish()),
                count => hasher.update(&buffer[..count]),
            }
        }
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes on their way to a digest.
#[derive(Clone)]
pub(crate) struct Hasher(Context);

impl Hasher {
    /// The next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all.
    pub(crate) fn finish(self) -> Digest {
        let mut text = String::new();
        for byte in self.0.finish().as_ref() {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        Digest(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_git_and_sha256sum() {
        for (kind, expected) in [
            ("0".repeat(40), "bc7774a7b18deb1d7bd0212d34246a9b1260ae17"),
            ("0".repeat(64), "7509e5bda0c762d2bac7f90d758b5b2263fa01ccbc542ab5e3df163be08e6ca9"),
        ] {
            let digest = Digest::parse(&kind).unwrap();
            assert_eq!(digest.of_reader(12, &mut "hello world!".as_bytes()).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn only_hexadecimal_names_are_digests() {
        let sha = "A".repeat(40);
        for good in [sha.clone(), format!("\"{sha}\""), format!("W/\"{sha}\"")] {
            assert_eq!(Digest::parse(&good).unwrap().as_str(), "a".repeat(40));
        }
        for bad in ["", "\"\"", "../../x", &"g".repeat(40), &"a".repeat(41), "\"5d41-abc\""] {
            assert!(Digest::parse(bad).is_none(), "{bad}");
        }
    }
}
