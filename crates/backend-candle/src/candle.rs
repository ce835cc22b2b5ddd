//! A loaded model on candle.

use backend::{Backend, Batch, Description, Error, Form};
use nn::{Loaded, Source};

use crate::CandleDevice;

/// Tokens that make a batch worth while: candle brings a weight into the multiply's order at every call, so more
/// rows a call pay more than what stays in a cache.
const BATCH_TOKENS: usize = 512;

/// A model with its head, ready on a device of candle's.
pub struct Candle(Loaded<CandleDevice>);

impl Candle {
    /// Loads a model for the CPU.
    ///
    /// # Errors
    /// Files that are missing, broken or ask for what is not supported.
    pub fn load(source: &Source) -> Result<Self, nn::Error> {
        Ok(Self(Loaded::open(source, CandleDevice::cpu(), &models::architectures())?))
    }
}

impl Backend for Candle {
    fn description(&self) -> Description {
        Description {
            backend: "candle",
            device: "cpu".into(),
            device_reason: "this backend computes on the CPU".into(),
            dtype: "f32",
            dtype_reason: "this backend computes in f32".into(),
            kernel: "gemm".into(),
            arithmetic: "f32",
            batch_invariant: false,
        }
    }

    fn forms(&self) -> &[Form] {
        self.0.forms()
    }

    fn positions(&self) -> Option<usize> {
        self.0.positions()
    }

    fn batch_tokens(&self) -> usize {
        BATCH_TOKENS
    }

    fn weights_hash(&self) -> u64 {
        self.0.hash
    }

    fn embed(&self, batch: &Batch, out: &mut [f32]) -> Result<(), Error> {
        self.0.embed(batch, out)
    }
}
