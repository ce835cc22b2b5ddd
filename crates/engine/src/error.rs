//! Everything that can go wrong, with the stable code that users see.

use std::path::PathBuf;

/// A fault with a code. The sentence says what was expected, what came, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model folder is not there.
    #[error(
        "{name:?} is neither a folder nor a name of a model: pass the path of a folder that holds config.json, \
         tokenizer.json and model.safetensors, or a name as org/name"
    )]
    NotAFolder {
        /// What was asked for.
        name: String,
    },
    /// A folder that is to be converted, or is registered, is not there; no hub is asked for it.
    #[error(
        "{name:?} is no folder: pass the folder of a model; of a model by name, `await download(name)` brings it and gives \
         its folder"
    )]
    OnlyFolders {
        /// What was asked for.
        name: String,
    },
    /// The adapter's folder is not there.
    #[error(
        "adapter {name:?} is not a folder; pass one that holds adapter_config.json and adapter_model.safetensors"
    )]
    NotAnAdapter {
        /// What was asked for.
        name: String,
    },
    /// A model that could not be brought from a hub.
    #[error(transparent)]
    Hub(hub::Error),
    /// Weights that could not be converted.
    #[error(transparent)]
    Convert(convert::Error),
    /// A model's files.
    #[error(transparent)]
    Model(#[from] nn::Error),
    /// A model that our own kernels cannot take.
    #[error(transparent)]
    Native(#[from] backend_native::LoadError),
    /// A tokenizer's files.
    #[error("{}: {error}", folder.display())]
    Tokenizer {
        /// Where they are.
        folder: PathBuf,
        /// What is wrong with them.
        error: text::Error,
    },
    /// A text that the tokenizer cannot take.
    #[error(transparent)]
    Text(#[from] text::Error),
    /// A batch that could not be computed.
    #[error(transparent)]
    Run(#[from] backend::Error),
    /// A module path that leaves the model's folder.
    #[error("{}: module path {module:?} leaves the model folder; only folders inside it are read", path.display())]
    OutsideFolder {
        /// The file that names it.
        path: PathBuf,
        /// The path it names.
        module: String,
    },
    /// A tokenizer that makes ids beyond the model's table.
    #[error(
        "{}: its vocabulary reaches id {highest}, but {} gives the model a table of {rows} rows; tokenizer and weights do \
         not belong together: fetch the model again",
        tokenizer.display(), config.display()
    )]
    Vocabulary {
        /// tokenizer.json.
        tokenizer: PathBuf,
        /// The highest id of its vocabulary.
        highest: u32,
        /// config.json.
        config: PathBuf,
        /// Its `vocab_size`.
        rows: u64,
    },
    /// A prompt asked for by name.
    #[error("the model has no prompt named {name:?}; {known}")]
    UnknownPrompt {
        /// The name.
        name: String,
        /// Those it has.
        known: String,
    },
    /// A number out of its range.
    #[error("{name} is {value}; for this model it must be from {least} to {most}")]
    OutOfRange {
        /// The option.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The smallest.
        least: usize,
        /// The largest.
        most: usize,
    },
    /// An option this build or version does not have.
    #[error("{what} is not available: {remedy}")]
    Unavailable {
        /// The option and its value.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// A device that cannot be used.
    #[error("device {device:?} cannot be used: {reason}")]
    Device {
        /// The device.
        device: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A library that an executor needs.
    #[error("{message}")]
    Library {
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// A setting of the process that makes no sense.
    #[error(transparent)]
    Kernel(#[from] kernels::UnknownIsa),
    /// Settings of all models of the process.
    #[error("{message}")]
    Settings {
        /// What is wrong with them, and what to do.
        message: String,
    },
    /// An option of a call.
    #[error("{message}")]
    Options {
        /// What is wrong with it.
        message: String,
    },
    /// A number that an option of a call cannot be.
    #[error("{message}")]
    Range {
        /// What it may be.
        message: String,
    },
    /// A name that nothing goes by.
    #[error("there is no {what} {name:?}{hint}")]
    UnknownModel {
        /// `"registered model"` or `"running model"`.
        what: &'static str,
        /// The name.
        name: String,
        /// What may be meant, and what to do.
        hint: String,
    },
    /// A name that something else goes by.
    #[error("the name {name:?} of a {what} is taken: it {reason}")]
    Taken {
        /// `"model"` or `"uid"`.
        what: &'static str,
        /// The name.
        name: String,
        /// By what, and what to do.
        reason: String,
    },
    /// A model that the memory budget has no room for.
    #[error(
        "{uid:?} needs about {bytes} bytes; of the memory budget of {budget} bytes, 70 % are for models, a share of {share} \
         bytes for each of {models}, and {held} bytes are held: raise memoryBudget to {enough} bytes, terminate a model and \
         dispose its handles, or take a smaller one"
    )]
    Budget {
        /// The running model's uid.
        uid: String,
        /// What it would hold.
        bytes: u64,
        /// What one model may hold.
        share: u64,
        /// The whole budget.
        budget: u64,
        /// How many models share it.
        models: usize,
        /// What is held already.
        held: u64,
        /// The least budget that would do.
        enough: u64,
    },
    /// A model that was terminated before it was ready.
    #[error("{uid:?} was terminated while it was loaded; launch it again to use it")]
    Terminated {
        /// Its uid.
        uid: String,
    },
    /// A vector that is not made of finite numbers.
    #[error(
        "the vector of this text is not finite (NaN or infinity); the model's weights are damaged or overflow: fetch the \
         model again, or load it with dtype \"f32\""
    )]
    NotFinite,
    /// Memory for the result.
    #[error("{bytes} bytes for the vectors cannot be had; pass fewer texts a call")]
    Memory {
        /// Bytes asked for.
        bytes: usize,
    },
    /// The model's handle was disposed.
    #[error("the model is disposed; load it again")]
    Disposed,
    /// The system gives no thread to compute on.
    #[error("the system gives this process no thread to compute on: {source}; raise its limit of threads")]
    Threads {
        /// What the system said.
        source: std::io::Error,
    },
    /// The call was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A bug of this library, contained.
    #[error("internal fault, please report it: {message}")]
    Internal {
        /// The panic's message and place.
        message: String,
    },
}

impl Error {
    /// The stable code, listed in `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAFolder { .. } | Self::OnlyFolders { .. } | Self::NotAnAdapter { .. } => {
                "ERR_MODEL_NOT_FOUND"
            }
            Self::Hub(error) => hub_code(error),
            Self::Convert(convert::Error::Model(error)) => model_code(error),
            Self::Convert(_) => "ERR_DISK",
            Self::Model(error) | Self::Native(backend_native::LoadError::Model(error)) => model_code(error),
            Self::Kernel(_) | Self::Native(backend_native::LoadError::Kernel(_)) => "ERR_SETTINGS",
            Self::Settings { .. } => "ERR_SETTINGS",
            Self::UnknownModel { .. } => "ERR_UNKNOWN_MODEL",
            Self::Taken { .. } => "ERR_DUPLICATE",
            Self::Budget { .. } => "ERR_BUDGET",
            Self::Tokenizer { error, .. } | Self::Text(error) => text_code(error),
            Self::Run(error) => run_code(error),
            Self::OutsideFolder { .. } | Self::Vocabulary { .. } => "ERR_MODEL_FILE",
            Self::UnknownPrompt { .. } => "ERR_PROMPT",
            Self::OutOfRange { .. } | Self::Range { .. } => "ERR_ARGUMENT_RANGE",
            Self::Options { .. } => "ERR_INVALID_ARGUMENT",
            Self::Unavailable { .. } => "ERR_UNSUPPORTED",
            Self::Device { .. } => "ERR_DEVICE",
            Self::Library { .. } => "ERR_BACKEND",
            Self::NotFinite => "ERR_NOT_FINITE",
            Self::Memory { .. } => "ERR_MEMORY",
            Self::Disposed | Self::Terminated { .. } => "ERR_DISPOSED",
            Self::Threads { .. } => "ERR_THREADS",
            Self::Cancelled => "ERR_CANCELLED",
            Self::Internal { .. } => "ERR_INTERNAL",
        }
    }
}

/// Who waits has gone, whoever notices it.
impl From<hub::Error> for Error {
    fn from(error: hub::Error) -> Self {
        match error {
            hub::Error::Cancelled => Self::Cancelled,
            hub::Error::Threads { source } => Self::Threads { source },
            error => Self::Hub(error),
        }
    }
}

impl From<convert::Error> for Error {
    fn from(error: convert::Error) -> Self {
        match error {
            convert::Error::Cancelled => Self::Cancelled,
            error => Self::Convert(error),
        }
    }
}

fn hub_code(error: &hub::Error) -> &'static str {
    match error {
        hub::Error::Name { .. } | hub::Error::NotFound { .. } | hub::Error::NotCached { .. } => {
            "ERR_MODEL_NOT_FOUND"
        }
        hub::Error::Revision { .. } => "ERR_INVALID_ARGUMENT",
        hub::Error::Settings { .. } => "ERR_SETTINGS",
        hub::Error::Network { .. } => "ERR_NETWORK",
        hub::Error::Status { .. } | hub::Error::Answer { .. } | hub::Error::Redirect { .. } => "ERR_HTTP",
        hub::Error::Access { .. } => "ERR_AUTH",
        hub::Error::Integrity { .. } => "ERR_INTEGRITY",
        hub::Error::Offline { .. } => "ERR_OFFLINE",
        hub::Error::Disk { .. } => "ERR_DISK",
        _ => "ERR_INTERNAL",
    }
}

fn model_code(error: &nn::Error) -> &'static str {
    match error {
        nn::Error::NotFound { .. } => "ERR_MODEL_NOT_FOUND",
        nn::Error::Unsupported { .. } => "ERR_MODEL_UNSUPPORTED",
        nn::Error::Memory { .. } => "ERR_MEMORY",
        nn::Error::Upload { source: source @ backend::Error::DeviceMemory { .. }, .. } => run_code(source),
        _ => "ERR_MODEL_FILE",
    }
}

fn run_code(error: &backend::Error) -> &'static str {
    match error {
        backend::Error::Memory { .. } => "ERR_MEMORY",
        backend::Error::DeviceMemory { .. } => "ERR_DEVICE_MEMORY",
        backend::Error::TokenId { .. } => "ERR_MODEL_FILE",
        backend::Error::Library { .. } => "ERR_BACKEND",
        _ => "ERR_TOKENIZER",
    }
}

fn text_code(error: &text::Error) -> &'static str {
    match error {
        text::Error::TooLong { .. } => "ERR_TEXT_TOO_LONG",
        text::Error::NoRoom { .. } => "ERR_ARGUMENT_RANGE",
        _ => "ERR_TOKENIZER",
    }
}
