//! Why there is no GPU to compute on. None of these is a fault of a machine: they are reasons for people.

/// Why NVIDIA's driver shows no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDriver {
    /// Its library is not there, or does not load.
    #[error("NVIDIA's driver is not here: {library} does not load ({reason})")]
    Library {
        /// The library's name or path.
        library: String,
        /// What the system's loader said.
        reason: String,
    },
    /// A library without one of the driver's functions.
    #[error("{library} has no function {function}: it is not NVIDIA's driver, or a broken or much older one")]
    Function {
        /// The library's name or path.
        library: String,
        /// The function.
        function: &'static str,
    },
    /// A driver older than anything this library can use.
    #[error("NVIDIA's driver is of CUDA {}.{}; at least {}.{} is needed: update the driver", found.0, found.1, least.0, least.1)]
    TooOld {
        /// The version of CUDA that it knows.
        found: (u32, u32),
        /// The oldest that does.
        least: (u32, u32),
    },
    /// It works and has no device.
    #[error("NVIDIA's driver has no device to show{}", visible.as_ref().map(|value| format!(": CUDA_VISIBLE_DEVICES is {value:?}")).unwrap_or_default())]
    NoDevice {
        /// What CUDA_VISIBLE_DEVICES says.
        visible: Option<String>,
    },
    /// One of its functions failed.
    #[error("NVIDIA's driver failed: {function} gave {code}{}", meaning.map(|text| format!(" ({text})")).unwrap_or_default())]
    Failed {
        /// The function.
        function: &'static str,
        /// The code it gave.
        code: i32,
        /// What that code means.
        meaning: Option<&'static str>,
    },
}

/// Why CUDA's libraries cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoLibraries {
    /// No driver, so they are not looked for.
    #[error(transparent)]
    Driver(#[from] NoDriver),
    /// One of them is nowhere.
    #[error(
        "{library} is not found ({reason}); it comes with the CUDA toolkit, or with Python's package {package}: \
         set EMBED_NATIVE_CUDA_LIBS to its folder, or CUDA_HOME to the toolkit's"
    )]
    Missing {
        /// Its file's name.
        library: String,
        /// What the system's loader said.
        reason: String,
        /// The package of PyPI that brings it.
        package: &'static str,
    },
}
