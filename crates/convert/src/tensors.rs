//! The tensors of a `state_dict`: a name, and a view of a storage.

use std::collections::HashSet;
use std::io::Write;

use safetensors::Dtype;

use crate::Error;
use crate::archive::Archive;
use crate::pickle::{self, Id, Name, Value, Values};
use crate::safetensors::Writer;

/// A tensor of an archive.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// Numbers from one index of a dimension to the next.
    strides: Vec<usize>,
    /// Numbers of the storage before its first.
    start: usize,
    storage: String,
    /// Numbers of the storage.
    length: usize,
}

/// Tensors that share a storage are written each; more than so many times the file is no model.
const MOST_GROWTH: u64 = 4;

/// Reads the program of an archive and checks where its tensors lie.
pub(crate) fn read(archive: &mut Archive) -> Result<Vec<Tensor>, Error> {
    let pickle = archive.pickle()?;
    let (path, most) = (archive.path().to_path_buf(), archive.size().saturating_mul(MOST_GROWTH));
    let broken = |message: String| Error::broken(&path, message);
    let (values, whole) =
        pickle::run(&pickle).map_err(|message| broken(format!("its pickle is refused: {message}")))?;
    let Value::Dict(fields) = values.get(whole) else {
        return Err(broken("holds no dictionary of tensors, as model.state_dict() is one".into()));
    };
    let (mut names, mut tensors, mut bytes) = (HashSet::new(), Vec::new(), 0_u64);
    for &(name, value) in fields {
        let Value::Text(name) = values.get(name) else {
            return Err(broken("has a tensor whose name is no text".into()));
        };
        if name.is_empty() || name == "__metadata__" || !names.insert(name) {
            return Err(broken(format!("has a tensor named {name:?} that has no place in a file")));
        }
        let tensor = tensor(&values, name, value).map_err(|message| broken(format!("{name:?} {message}")))?;
        bytes = bytes.saturating_add(tensor.bytes());
        if bytes > most {
            return Err(broken(format!(
                "its tensors have more than {most} bytes, {MOST_GROWTH} times the file's"
            )));
        }
        tensors.push(tensor);
    }
    if tensors.is_empty() {
        return Err(broken("holds no tensors".into()));
    }
    Ok(tensors)
}

fn tensor(values: &Values, name: &str, value: Id) -> Result<Tensor, String> {
    let Value::Tensor(arguments) = values.get(value) else {
        return Err("is no tensor; only tensors are read".into());
    };
    let [storage, start, shape, strides, ..] = arguments[..] else { return Err("is no tensor".into()) };
    let (dtype, storage, length) = storage_of(values, storage)?;
    let (shape, strides) = (sizes(values, shape)?, sizes(values, strides)?);
    let tensor =
        Tensor { name: name.into(), dtype, shape, strides, start: size(values, start)?, storage, length };
    if tensor.fits() { Ok(tensor) } else { Err("lies outside of its storage".into()) }
}

/// `("storage", class, key, device, length)`.
fn storage_of(values: &Values, id: Id) -> Result<(Dtype, String, usize), String> {
    let Value::Outside(id) = values.get(id) else { return Err("has no storage".into()) };
    let Value::Tuple(parts) = values.get(*id) else { return Err("has no storage".into()) };
    let &[kind, class, key, _, length] = parts.as_slice() else { return Err("has no storage".into()) };
    match (values.get(kind), values.get(class), values.get(key)) {
        (Value::Text(kind), Value::Name(Name::Storage(class)), Value::Text(key)) if kind == "storage" => {
            Ok((dtype(class), key.clone(), size(values, length)?))
        }
        _ => Err("has no storage".into()),
    }
}

fn dtype(class: &str) -> Dtype {
    match class {
        "DoubleStorage" => Dtype::F64,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        _ => Dtype::F32,
    }
}

/// More dimensions are no weight.
const MOST_DIMENSIONS: usize = 8;

fn sizes(values: &Values, id: Id) -> Result<Vec<usize>, String> {
    match values.get(id) {
        Value::Tuple(items) if items.len() <= MOST_DIMENSIONS => {
            items.iter().map(|&item| size(values, item)).collect()
        }
        _ => Err(format!("has no shape of at most {MOST_DIMENSIONS} dimensions")),
    }
}

fn size(values: &Values, id: Id) -> Result<usize, String> {
    match values.get(id) {
        Value::Int(number) => usize::try_from(*number).map_err(|_| format!("has the size {number}")),
        _ => Err("has a size that is no whole number".into()),
    }
}

impl Tensor {
    fn item(&self) -> usize {
        self.dtype.bitsize() / 8
    }

    /// Checked by [`fits`](Self::fits).
    fn numbers(&self) -> usize {
        self.shape.iter().product()
    }

    fn bytes(&self) -> u64 {
        self.numbers() as u64 * self.item() as u64
    }

    /// Whether all its numbers lie in its storage, and no more of them than there are.
    fn fits(&self) -> bool {
        let product = self.shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        let counted = self.length.checked_mul(self.item()).is_some();
        match (product, self.reach()) {
            (Some(0), _) => self.shape.len() == self.strides.len(),
            (Some(product), Some(reach)) => {
                let end = self.start.checked_add(reach);
                counted && product <= self.length && end.is_some_and(|end| end < self.length)
            }
            _ => false,
        }
    }

    /// From the first number to the last.
    fn reach(&self) -> Option<usize> {
        if self.shape.len() != self.strides.len() {
            return None;
        }
        let spans = self
            .shape
            .iter()
            .zip(&self.strides)
            .map(|(size, stride)| size.saturating_sub(1).checked_mul(*stride));
        spans.into_iter().try_fold(0_usize, |sum, span| sum.checked_add(span?))
    }

    /// Whether its numbers stand in the order in which they are written.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let right = size == 1 || stride == expected;
            expected *= size;
            right
        })
    }

    /// Copies its bytes, row-major.
    pub(crate) fn copy(&self, archive: &mut Archive, out: &mut Writer<'_, impl Write>) -> Result<(), Error> {
        if self.numbers() == 0 {
            return Ok(());
        }
        let item = self.item();
        let path = archive.path().to_path_buf();
        let mut storage = archive.storage(&self.storage, (self.length * item) as u64)?;
        storage.seek((self.start * item) as u64)?;
        if !self.is_contiguous() {
            let mut window = room(&path, &self.name, (self.reach().unwrap_or(0) + 1) * item)?;
            storage.read(&mut window)?;
            return self.gather(&window, out);
        }
        let mut buffer = vec![0; (1 << 18).min(self.numbers() * item)];
        let mut left = self.numbers() * item;
        while left > 0 {
            let count = left.min(buffer.len());
            storage.read(&mut buffer[..count])?;
            out.push(&buffer[..count])?;
            left -= count;
        }
        Ok(())
    }

    /// The numbers one by one, the last dimension the fastest.
    fn gather(&self, window: &[u8], out: &mut Writer<'_, impl Write>) -> Result<(), Error> {
        let item = self.item();
        let mut index = vec![0; self.shape.len()];
        let mut row = Vec::new();
        for _ in 0..self.numbers() {
            let place: usize = index.iter().zip(&self.strides).map(|(index, stride)| index * stride).sum();
            row.extend_from_slice(&window[place * item..][..item]);
            if row.len() >= 1 << 16 {
                out.push(&row)?;
                row.clear();
            }
            for (index, size) in index.iter_mut().zip(&self.shape).rev() {
                *index += 1;
                if *index < *size {
                    break;
                }
                *index = 0;
            }
        }
        out.push(&row)
    }
}

/// Zeros, if they can be had.
fn room(path: &std::path::Path, tensor: &str, bytes: usize) -> Result<Vec<u8>, Error> {
    let mut room = Vec::new();
    room.try_reserve_exact(bytes).map_err(|_| nn::Error::Memory {
        path: path.into(),
        tensor: tensor.into(),
        bytes,
    })?;
    room.resize(bytes, 0);
    Ok(room)
}
