//! A loaded model on candle.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use backend::{Backend, Batch, Description, Error, Form};
use nn::{Loaded, Source};

use crate::split::in_halves;
use crate::{CandleDevice, Format, Place};

/// Tokens that make a batch worth while on the CPU: candle brings a weight into the multiply's order at every call, so
/// more rows a call pay more than what stays in a cache.
const BATCH_TOKENS: usize = 512;
/// The same on a GPU, where a launch costs as much as some thousand tokens of a small model.
const GPU_BATCH_TOKENS: usize = 16_384;

/// A GPU takes the tokens of a small model from several threads.
const READERS: usize = 3;

/// What a load decides. Empty: the CPU, in f32.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where, a copy of the weights on each; none is the CPU.
    pub places: Vec<Place>,
    /// Why there.
    pub place_reason: String,
    /// In which numbers.
    pub format: Format,
    /// Why in those.
    pub format_reason: String,
    /// Bytes that its weights take, to be held against what is free.
    pub bytes: u64,
}

/// Why a model cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The model's files.
    #[error(transparent)]
    Model(#[from] nn::Error),
    /// A device that is there and does not open.
    #[error("{device} does not open: {error}")]
    Device {
        /// Which one.
        device: String,
        /// What it said.
        error: Error,
    },
    /// A device whose memory is full.
    #[error(transparent)]
    Memory(Error),
}

/// A model with its head, ready on one or several devices of candle's.
pub struct Candle {
    replicas: Vec<Loaded<CandleDevice>>,
    settings: Settings,
    turns: AtomicUsize,
}

impl Candle {
    /// Loads a model.
    ///
    /// # Errors
    /// A device that cannot be opened or whose memory is full; files that are missing, broken or ask for what is not
    /// supported.
    pub fn load(source: &Source, mut settings: Settings) -> Result<Self, LoadError> {
        if settings.places.is_empty() {
            settings.places = vec![Place::Cpu];
        }
        let load = |&place: &Place| {
            let opened = CandleDevice::open(place, settings.format);
            let device = opened.map_err(|error| LoadError::Device { device: name(place), error })?;
            check_free(&device, settings.bytes).map_err(LoadError::Memory)?;
            // One thread a device, also while weights are brought there.
            let processor = device.processor.clone();
            let _turn = processor.turn.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(Loaded::open(source, device, &models::architectures())?)
        };
        let replicas = settings.places.iter().map(load).collect::<Result<_, LoadError>>()?;
        Ok(Self { replicas, settings, turns: AtomicUsize::new(0) })
    }

    fn is_on_cpu(&self) -> bool {
        self.settings.places.iter().all(|&place| place == Place::Cpu)
    }

    /// The replica whose device is free, else one after the other.
    fn on_a_device(&self, batch: &Batch, out: &mut [f32]) -> Result<(), Error> {
        let free = self.replicas.iter().find_map(|replica| {
            let turn = replica.device.processor.turn.try_lock().ok()?;
            Some((replica, turn))
        });
        let (replica, _turn) = free.unwrap_or_else(|| {
            let next = self.turns.fetch_add(1, Ordering::Relaxed) % self.replicas.len();
            let replica = &self.replicas[next];
            (replica, replica.device.processor.turn.lock().unwrap_or_else(PoisonError::into_inner))
        });
        self.run(replica, batch, out)
    }

    fn run(&self, replica: &Loaded<CandleDevice>, batch: &Batch, out: &mut [f32]) -> Result<(), Error> {
        in_halves(batch, out, replica.forms(), &mut |batch, out| {
            replica.embed(batch, out).map_err(|error| self.memory(replica, batch, error))
        })
    }

    /// Full memory with its numbers; what was let go meanwhile is free before the next try.
    fn memory(&self, replica: &Loaded<CandleDevice>, batch: &Batch, error: Error) -> Error {
        let Error::DeviceMemory { .. } = &error else { return error };
        let device = &replica.device;
        if let Err(lost) = device.processor.settle() {
            return lost;
        }
        let what = format!("{} tokens of {} texts", batch.tokens(), batch.len());
        Error::DeviceMemory { device: name(device.place), what, free: device.processor.free().unwrap_or(0) }
    }
}

fn check_free(device: &CandleDevice, bytes: u64) -> Result<(), Error> {
    match device.processor.free() {
        Some(free) if free < bytes => {
            let what = format!("{bytes} bytes of weights");
            Err(Error::DeviceMemory { device: name(device.place), what, free })
        }
        _ => Ok(()),
    }
}

fn name(place: Place) -> String {
    match place {
        Place::Cpu => "cpu".into(),
        Place::Cuda(index) => format!("cuda:{index}"),
        Place::Metal => "metal".into(),
    }
}

impl Backend for Candle {
    fn description(&self) -> Description {
        let Settings { places, place_reason, format, format_reason, .. } = &self.settings;
        let names: Vec<_> = places.iter().map(|&place| name(place)).collect();
        Description {
            backend: "candle",
            device: names.join(","),
            device_reason: place_reason.clone(),
            dtype: format.name(),
            dtype_reason: format_reason.clone(),
            kernel: multiplies(places).into(),
            arithmetic: match format {
                Format::F32 => "f32",
                Format::F16 => "candle f16",
                Format::Bf16 => "candle bf16",
            },
            batch_invariant: false,
        }
    }

    fn forms(&self) -> &[Form] {
        self.replicas[0].forms()
    }

    fn positions(&self) -> Option<usize> {
        self.replicas[0].positions()
    }

    fn batch_tokens(&self) -> usize {
        if self.is_on_cpu() { BATCH_TOKENS } else { GPU_BATCH_TOKENS }
    }

    fn concurrency(&self) -> usize {
        if self.is_on_cpu() { usize::MAX } else { self.replicas.len() }
    }

    fn readers(&self) -> usize {
        if self.is_on_cpu() { 0 } else { READERS * self.replicas.len() }
    }

    fn weights_hash(&self) -> u64 {
        self.replicas[0].hash
    }

    fn embed(&self, batch: &Batch, out: &mut [f32]) -> Result<(), Error> {
        match self.is_on_cpu() {
            true => self.replicas[0].embed(batch, out),
            false => self.on_a_device(batch, out),
        }
    }
}

/// What multiplies there.
fn multiplies(places: &[Place]) -> &'static str {
    match places.first() {
        Some(Place::Cuda(_)) => "cublas",
        Some(Place::Metal) => "metal",
        _ if cfg!(feature = "mkl") => "mkl",
        _ if cfg!(feature = "accelerate") => "accelerate",
        _ => "gemm",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_as_users_name_it() {
        assert_eq!([Place::Cpu, Place::Cuda(3), Place::Metal].map(name), ["cpu", "cuda:3", "metal"]);
    }
}
