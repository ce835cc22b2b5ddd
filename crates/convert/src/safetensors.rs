//! A safetensors file, written from its beginning to its end (<https://huggingface.co/docs/safetensors>).

use std::collections::HashMap;
use std::io::Write;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::Error;

/// Data begin at a multiple of it.
const ALIGNMENT: usize = 8;

/// A file whose header is written; bytes follow in the order of its tensors.
pub(crate) struct Writer<'a, W: Write>(&'a mut W);

impl<'a, W: Write> Writer<'a, W> {
    /// Writes the header. `format` is what every such file by PyTorch says, `mark` our own word.
    pub(crate) fn begin(
        out: &'a mut W,
        mark: Option<&str>,
        tensors: Vec<(String, Dtype, Vec<usize>)>,
    ) -> Result<Self, Error> {
        let mut metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
        metadata.extend(mark.map(|mark| (nn::whole::MARKER.into(), mark.into())));
        let mut end = 0;
        let mut infos = Vec::new();
        for (name, dtype, shape) in tensors {
            let numbers = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
            let bytes = numbers.and_then(|numbers| numbers.checked_mul(dtype.bitsize() / 8));
            let next = bytes.and_then(|bytes| bytes.checked_add(end)).ok_or_else(too_large)?;
            infos.push((name, TensorInfo { dtype, shape, data_offsets: (end, next) }));
            end = next;
        }
        let header = Metadata::new(Some(metadata), infos).map_err(|error| other(error.to_string()))?;
        let mut header = serde_json::to_vec(&header).map_err(|error| other(error.to_string()))?;
        header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
        let mut writer = Self(out);
        writer.push(&(header.len() as u64).to_le_bytes())?;
        writer.push(&header)?;
        Ok(writer)
    }

    /// The next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0.write_all(bytes).map_err(Error::Write)
    }

    /// All bytes were written.
    pub(crate) fn finish(self) -> Result<(), Error> {
        self.0.flush().map_err(Error::Write)
    }
}

fn too_large() -> Error {
    other("more bytes than this machine can count".into())
}

fn other(message: String) -> Error {
    Error::Write(std::io::Error::other(message))
}
