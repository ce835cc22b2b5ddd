//! Where this executor computes, and how it keeps weights there.

use std::sync::{Arc, Mutex, PoisonError};

use backend::{Batch, Error};
use candle_core::{DType, Tensor};
use nn::Device;

use crate::fault::{failed, library};
use crate::pass::CandlePass;

/// A processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The CPU.
    Cpu,
    /// A GPU of NVIDIA's, by its place.
    Cuda(usize),
    /// Apple's GPU.
    Metal,
}

/// The number format of weights and activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As the reference.
    #[default]
    F32,
    /// Half precision: GPUs.
    F16,
    /// bfloat16: GPUs.
    Bf16,
}

impl Format {
    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }
}

/// A device of candle's that is not the CPU. One stream, and one thread at a time: whoever computes has the turn.
pub(crate) struct Processor {
    device: candle_core::Device,
    pub(crate) turn: Mutex<()>,
}

/// The processors that the process has opened, which stay open: a tensor is of one device of candle's, and shared
/// weights must be of the same as what they are multiplied by.
static PROCESSORS: Mutex<Vec<(Place, Arc<Processor>)>> = Mutex::new(Vec::new());

impl Processor {
    fn open(place: Place) -> Result<Arc<Self>, Error> {
        let mut processors = PROCESSORS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = processors.iter().find(|(known, _)| *known == place) {
            return Ok(known.clone());
        }
        let device = match place {
            Place::Cpu => Ok(candle_core::Device::Cpu),
            // A stream of its own: candle's other constructor takes that of whichever thread calls.
            Place::Cuda(index) => candle_core::Device::new_cuda_with_stream(index),
            Place::Metal => candle_core::Device::new_metal(0),
        };
        let opened = Arc::new(Self { device: device.map_err(failed)?, turn: Mutex::new(()) });
        processors.push((place, opened.clone()));
        Ok(opened)
    }

    /// Free bytes of its memory, where it tells.
    pub(crate) fn free(&self) -> Option<u64> {
        match &self.device {
            #[cfg(feature = "cuda")]
            candle_core::Device::Cuda(cuda) => {
                cuda.cuda_stream().context().mem_get_info().ok().map(|(free, _)| free as u64)
            }
            _ => None,
        }
    }

    /// Waits for what was queued; memory that was let go is free then.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        self.device.synchronize().map_err(failed)
    }
}

/// A device of candle's, and the number format of what lies there.
#[derive(Clone)]
pub struct CandleDevice {
    pub(crate) processor: Arc<Processor>,
    pub(crate) place: Place,
    dtype: DType,
    layout: String,
}

impl CandleDevice {
    /// The CPU, in f32.
    pub fn cpu() -> Self {
        let processor = Processor { device: candle_core::Device::Cpu, turn: Mutex::new(()) };
        Self::of(processor.into(), Place::Cpu, DType::F32)
    }

    /// The CPU in f64, by the operations that other devices take: for tests of those.
    pub fn as_elsewhere() -> Self {
        Self { dtype: DType::F64, layout: "candle-cpu-f64".into(), ..Self::cpu() }
    }

    /// Any of them.
    ///
    /// # Errors
    /// The device cannot be opened; the CPU computes in f32 only.
    pub fn open(place: Place, format: Format) -> Result<Self, Error> {
        if place == Place::Cpu && format != Format::F32 {
            return Err(library(&format!("the CPU computes in f32, not in {}", format.name())));
        }
        Ok(Self::of(Processor::open(place)?, place, format.dtype()))
    }

    fn of(processor: Arc<Processor>, place: Place, dtype: DType) -> Self {
        let layout = format!("candle-{place:?}-{dtype:?}").to_lowercase();
        Self { processor, place, dtype, layout }
    }

    /// Where its tensors lie.
    pub(crate) fn device(&self) -> &candle_core::Device {
        &self.processor.device
    }

    /// What they are made of.
    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    /// Whether attention goes over padded groups of texts, and not text by text on the calling thread.
    pub(crate) fn pads(&self) -> bool {
        self.place != Place::Cpu || self.dtype != DType::F32
    }

    fn tensor(
        &self,
        values: Vec<f32>,
        shape: impl candle_core::shape::ShapeWithOneHole,
    ) -> Result<Tensor, Error> {
        let there = Tensor::from_vec(values, shape, self.device()).map_err(failed)?;
        there.to_dtype(self.dtype).map_err(failed)
    }
}

impl Device for CandleDevice {
    /// `[outputs, inputs]`, as the file has it.
    type Matrix = Tensor;
    /// `[rows, columns]`.
    type Rows = Tensor;
    /// `[columns]`.
    type Vector = Tensor;
    /// `[rows, columns]`, contiguous, and nobody else's: operations that own one may write into it.
    type Tensor = Tensor;
    type Pass<'a> = CandlePass<'a>;

    fn layout(&self) -> &str {
        &self.layout
    }

    fn matrix(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<Tensor, Error> {
        self.tensor(values, (rows, columns))
    }

    fn rows(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<Tensor, Error> {
        self.tensor(values, (rows, columns))
    }

    fn vector(&self, values: Vec<f32>) -> Result<Tensor, Error> {
        let columns = values.len();
        self.tensor(values, columns)
    }

    fn pass<'a>(&'a self, batch: &'a Batch) -> CandlePass<'a> {
        CandlePass::new(self, batch)
    }
}
