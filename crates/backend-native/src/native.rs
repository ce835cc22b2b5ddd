//! A loaded model on the CPU.

use backend::{Backend, Batch, Description, Error, Form};
use kernels::{Dtype, Kernels, UnknownIsa};
use nn::{Checkpoint, Loaded, Source, Uses};

use crate::NativeDevice;

/// Tokens that make a batch worth while: enough rows to use each weight panel many times while the
/// activations of one core stay in its cache. `docs/performance.md` has the measurement.
const BATCH_TOKENS: usize = 256;

/// A model with its head, ready on this CPU.
pub struct Native {
    model: Loaded<NativeDevice>,
    dtype_reason: &'static str,
}

/// Why a model cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its files.
    #[error(transparent)]
    Model(#[from] nn::Error),
    /// The kernels that the process's settings ask for.
    #[error(transparent)]
    Kernel(#[from] UnknownIsa),
}

impl Native {
    /// Loads a model for the best kernels of this CPU, or those that `EMBED_NATIVE_ISA` names, in a number format or,
    /// with none, in the one that its files were converted to or those kernels prefer.
    ///
    /// # Errors
    /// Files that are missing, broken or ask for what is not supported; a setting that names no kernel.
    pub fn load(source: &Source, dtype: Option<Dtype>) -> Result<Self, LoadError> {
        let kernels = Kernels::best()?;
        let (dtype, dtype_reason) = match dtype {
            Some(dtype) => (dtype, "as asked for"),
            None if is_whole(source)? => (Dtype::Int8, "as its weights are stored"),
            None => kernels.preferred(),
        };
        let device = NativeDevice::new(kernels, dtype);
        Ok(Self { model: Loaded::open(source, device, &models::architectures())?, dtype_reason })
    }

    /// Loads a model and tells how it takes its tensors in a number format.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn uses(source: &Source, dtype: Dtype) -> Result<Uses, LoadError> {
        let device = NativeDevice::new(Kernels::best()?, dtype);
        Ok(Loaded::observed(source, device, &models::architectures())?.1)
    }
}

/// Whether its weights were converted to whole numbers.
///
/// # Errors
/// Headers that lie.
pub fn is_whole(source: &Source) -> Result<bool, nn::Error> {
    Ok(Checkpoint::open(&source.folder)?.is_whole())
}

impl Backend for Native {
    fn description(&self) -> Description {
        let (dtype, kernels) = (self.model.device.dtype(), self.model.device.kernels());
        Description {
            backend: "native",
            device: "cpu".into(),
            device_reason: "this backend computes on the CPU".into(),
            dtype: dtype.name(),
            dtype_reason: self.dtype_reason.into(),
            kernel: kernels.family(dtype).into(),
            arithmetic: dtype.name(),
            batch_invariant: true,
        }
    }

    fn forms(&self) -> &[Form] {
        self.model.forms()
    }

    fn positions(&self) -> Option<usize> {
        self.model.positions()
    }

    fn batch_tokens(&self) -> usize {
        BATCH_TOKENS
    }

    fn takes_help(&self) -> bool {
        true
    }

    fn weights_hash(&self) -> u64 {
        self.model.hash
    }

    fn embed(&self, batch: &Batch, out: &mut [f32]) -> Result<(), Error> {
        self.model.embed(batch, out)
    }
}
