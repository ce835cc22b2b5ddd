//! CUDA's libraries, opened before the binary that is linked against them: what is open already is found by its name.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::{NoLibraries, driver, library};

/// What the CUDA binary is linked against, beside the driver, in the order in which they need one another; and the
/// package of PyPI that has it. (candle names CUDA's runtime and compiler, too; the linker finds no use for them.)
const NEEDED: [(&str, &str); 3] = [
    ("libcublasLt.so.13", "nvidia-cublas"),
    ("libcublas.so.13", "nvidia-cublas"),
    ("libcurand.so.10", "nvidia-curand"),
];
const NEEDED_ON_WINDOWS: [(&str, &str); 3] = [
    ("cublasLt64_13.dll", "nvidia-cublas"),
    ("cublas64_13.dll", "nvidia-cublas"),
    ("curand64_10.dll", "nvidia-curand"),
];

/// What binaries with flash attention or with cuDNN are linked against, too: opened where one of the folders has it. One
/// that does not open is named by the system's loader when the binary that needs it is loaded.
const WANTED: [&str; 2] = ["libcudart.so.13", "libcudnn.so.9"];
const WANTED_ON_WINDOWS: [&str; 2] = ["cudart64_13.dll", "cudnn64_9.dll"];

/// Folders where they may be, in the order in which they are looked through; then the system's loader is asked.
#[derive(Debug, Clone, Default)]
pub struct Libraries {
    folders: Vec<PathBuf>,
}

impl Libraries {
    /// Those of EMBED_NATIVE_CUDA_LIBS (several, as in PATH), and of CUDA_HOME and CUDA_PATH.
    pub fn of_environment() -> Self {
        let listed = std::env::var_os("EMBED_NATIVE_CUDA_LIBS").unwrap_or_default();
        let mut folders: Vec<PathBuf> =
            std::env::split_paths(&listed).filter(|folder| !folder.as_os_str().is_empty()).collect();
        let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(std::env::var_os);
        for home in homes.filter(|home| !home.is_empty()).map(PathBuf::from) {
            folders.extend(["lib64", "lib", "bin/x64", "bin"].map(|name| home.join(name)));
        }
        Self { folders }
    }

    /// Those folders.
    pub fn of(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// Opens all of them for good.
    ///
    /// # Errors
    /// The first that is nowhere, or does not load.
    pub fn open(&self) -> Result<(), NoLibraries> {
        let (needed, wanted) =
            if cfg!(windows) { (NEEDED_ON_WINDOWS, WANTED_ON_WINDOWS) } else { (NEEDED, WANTED) };
        for file in wanted.iter().filter_map(|name| self.find(name)) {
            drop(library::open(file.as_os_str()));
        }
        needed.iter().try_for_each(|&(name, package)| {
            let place = self.find(name);
            let file = place.as_deref().map_or(OsStr::new(name), Path::as_os_str);
            library::open(file).map_err(|reason| NoLibraries::Missing {
                library: name.into(),
                reason,
                package,
            })
        })
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file())
    }
}

/// Opens the driver and then the libraries, once a process: whether the CUDA binary may be loaded.
///
/// # Errors
/// Why not.
pub fn libraries() -> &'static Result<(), NoLibraries> {
    static OPENED: OnceLock<Result<(), NoLibraries>> = OnceLock::new();
    OPENED.get_or_init(|| match driver() {
        Ok(_) => Libraries::of_environment().open(),
        Err(reason) => Err(reason.clone().into()),
    })
}
