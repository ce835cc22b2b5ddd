//! What can go wrong between a name and a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// A fault. Its sentence says what was expected, what came, and what to do; it never holds a token, nor the query of an
/// address, where storage hosts put signatures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a name of a model.
    #[error(
        "{name:?} is not a name of a model: expected org/name of letters, digits, '-', '_' and '.', at most 96 characters"
    )]
    Name {
        /// What was asked for.
        name: String,
    },
    /// Not a name of a revision.
    #[error(
        "revision {revision:?} is not a branch, a tag or a commit: leave it out for the model's main branch"
    )]
    Revision {
        /// What was asked for.
        revision: String,
    },
    /// An option or a variable that makes no sense.
    #[error("{what}: {remedy}")]
    Settings {
        /// The option or variable, and what is wrong with it.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// No answer.
    #[error(
        "{url} cannot be reached: {message}; check the network, the proxy variables or the endpoint, and try again; \
         without a network, pass the folder of a model, or one that `download` brought into the cache before"
    )]
    Network {
        /// Host and path.
        url: String,
        /// What the network said.
        message: String,
    },
    /// An answer that no try will better, or the last of several.
    #[error("{url} answered {status}: {remedy}")]
    Status {
        /// Host and path.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What to do.
        remedy: String,
        /// How long the host asks to wait.
        wait: Option<Duration>,
    },
    /// An answer that is not what a hub says.
    #[error("{url} answered with {what}: a login page or a proxy may stand between; check the endpoint")]
    Answer {
        /// Host and path.
        url: String,
        /// What came.
        what: String,
    },
    /// A redirect that is not followed.
    #[error("{url} redirects to {target}, which is not followed: {why}; check the endpoint")]
    Redirect {
        /// Host and path.
        url: String,
        /// Where it leads.
        target: String,
        /// Why not.
        why: &'static str,
    },
    /// A token is needed, or has no access.
    #[error("{name} needs access ({url} answered {status}): {remedy}")]
    Access {
        /// The model.
        name: String,
        /// Host and path.
        url: String,
        /// 401 or 403.
        status: u16,
        /// What to do.
        remedy: &'static str,
    },
    /// No such model, revision or file.
    #[error(
        "{name}: there is no such {what} at {url}; check the spelling, or pass a token if the model is private"
    )]
    NotFound {
        /// The model.
        name: String,
        /// `model`, `revision` or `file`.
        what: String,
        /// Host and path.
        url: String,
    },
    /// A model that the cache does not hold.
    #[error("{name} is not in the cache {}; `cache.list()`, or `npx @x/embed-native cache list`, names what is", cache.display())]
    NotCached {
        /// What was asked for.
        name: String,
        /// The folder.
        cache: PathBuf,
    },
    /// Bytes that are not those the hub promised.
    #[error("{file}: {message}; nothing of it was kept, try again or use another endpoint")]
    Integrity {
        /// The model and the file.
        file: String,
        /// What was expected and what came.
        message: String,
    },
    /// Not in the cache, and no socket may be opened.
    #[error("{name} is not whole in the cache {}: {message}; load it once without offline and HF_HUB_OFFLINE, or pass a folder", cache.display())]
    Offline {
        /// The model.
        name: String,
        /// Where was looked.
        cache: PathBuf,
        /// What is missing.
        message: String,
    },
    /// The cache's files.
    #[error(
        "{}: {action}: {source}; make room, or choose another cache with cacheDir or HF_HOME", path.display()
    )]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gives no thread.
    #[error("the system gives this process no thread to download on: {source}; raise its limit of threads")]
    Threads {
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody waits any more.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// A fault of a file of the cache.
    pub(crate) fn disk(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Disk { path: path.into(), action, source }
    }

    /// Whether it only says that the cache may not be written.
    pub(crate) fn is_read_only(&self) -> bool {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        matches!(self, Self::Disk { source, .. } if [PermissionDenied, ReadOnlyFilesystem].contains(&source.kind()))
    }

    /// Whether another try may go well.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Network { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }
}
