//! A loaded model on the CPU.

use backend::{Backend, Batch, Description, Error};
use nn::{Device, Head, Model, Pass};

use crate::NativeDevice;

/// Tokens that make a batch worth while: enough rows to use each weight panel many times while the
/// activations of one core stay in its cache. `docs/performance.md` has the measurement.
const BATCH_TOKENS: usize = 256;

/// A model with its head, ready on this CPU.
pub struct Native {
    device: NativeDevice,
    model: Box<dyn Model<NativeDevice>>,
    head: Head<NativeDevice>,
    weights_hash: u64,
}

impl Native {
    /// Puts a loaded model and its head together.
    pub fn new(
        device: NativeDevice,
        model: Box<dyn Model<NativeDevice>>,
        head: Head<NativeDevice>,
        weights_hash: u64,
    ) -> Self {
        Self { device, model, head, weights_hash }
    }

    fn check(&self, batch: &Batch) -> Result<(), Error> {
        for text in batch.texts() {
            match self.model.positions() {
                _ if text.is_empty() => return Err(Error::Empty),
                Some(limit) if text.len() > limit => return Err(Error::TooLong { tokens: text.len(), limit }),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Backend for Native {
    fn description(&self) -> Description {
        Description {
            backend: "native",
            device: "cpu".into(),
            device_reason: "this backend computes on the CPU".into(),
            dtype: "f32",
            kernel: self.device.kernels().name().into(),
            arithmetic: "native f32",
            batch_invariant: true,
        }
    }

    fn dims(&self) -> usize {
        self.head.dims(self.model.width())
    }

    fn batch_tokens(&self) -> usize {
        BATCH_TOKENS
    }

    fn weights_hash(&self) -> u64 {
        self.weights_hash
    }

    fn embed(&self, batch: &Batch, out: &mut [f32]) -> Result<(), Error> {
        self.check(batch)?;
        let mut pass = self.device.pass(batch);
        let hidden = self.model.forward(&mut pass)?;
        let vectors = self.head.forward(&mut pass, &hidden)?;
        pass.read(&vectors, out)
    }
}
