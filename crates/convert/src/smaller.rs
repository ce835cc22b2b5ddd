//! The same weights in fewer bits, as a number format of our kernels would keep them once loaded.
//!
//! What a load takes as a matrix or as a table is written as that format rounds it; all else is copied. So loading the result
//! in that format computes with the same bits as loading the original in it.

use std::io::Write;
use std::sync::atomic::AtomicBool;

use kernels::{Dtype, to_bf16, whole_weights};
use nn::{Checkpoint, Use, whole};
use safetensors::Dtype as Stored;

use crate::Error;
use crate::error::check;
use crate::safetensors::Writer;

/// What weights become.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The number format that they are loaded in afterwards.
    pub dtype: Dtype,
    /// Tables as whole numbers, too, where matrices become such: half as large as bfloat16, and no longer the same bits.
    pub tables: bool,
}

/// How a tensor is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    Stored,
    F32,
    Bf16,
    /// And a tensor of scales behind it.
    Whole,
}

/// Writes the weights of a checkpoint in a number format, `uses` telling how a load in that format takes each tensor.
///
/// # Errors
/// A tensor that cannot be read or holds what is not finite; what cannot be written; who waits has gone.
pub fn smaller<'a>(
    from: &Checkpoint,
    format: Format,
    uses: impl Fn(&str) -> &'a [Use],
    to: &mut impl Write,
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    let mut names: Vec<&str> = from.names().filter(|name| !is_scale(from, name)).collect();
    names.sort_unstable();
    let mut plan = Vec::new();
    let mut entries = Vec::new();
    for name in names {
        let (stored, shape) = from.stored(name)?;
        let how = match stored {
            Stored::F32 | Stored::F16 | Stored::BF16 => {
                target(format, shape, uses(name)).unwrap_or(As::Stored)
            }
            // Nothing finer comes back of whole numbers that an earlier conversion left.
            Stored::I8 if from.is_whole() => target(format, shape, uses(name)).unwrap_or(As::F32),
            _ => As::Stored,
        };
        let dtype = match how {
            As::Stored => stored,
            As::F32 => Stored::F32,
            As::Bf16 => Stored::BF16,
            As::Whole => Stored::I8,
        };
        entries.push((name.to_string(), dtype, shape.to_vec()));
        if how == As::Whole {
            entries.push((whole::scales_of(name), Stored::F32, vec![shape[0]]));
        }
        plan.push((name, how));
    }
    let mark = plan.iter().any(|(_, how)| *how == As::Whole).then_some(whole::INT8);
    let mut out = Writer::begin(to, mark, entries)?;
    for (name, how) in plan {
        check(cancelled)?;
        write(from, name, how, &mut out)?;
    }
    out.finish()
}

/// Whether it is the scales of a tensor of whole numbers, which goes with that.
fn is_scale(from: &Checkpoint, name: &str) -> bool {
    let of = name.strip_suffix(".scale").filter(|_| from.is_whole());
    of.is_some_and(|of| from.stored(of).is_ok_and(|(stored, _)| stored == Stored::I8))
}

/// How real numbers are written that are taken so; `None`: with all their digits.
fn target(Format { dtype, tables }: Format, shape: &[usize], uses: &[Use]) -> Option<As> {
    let narrow = |how: &Use| matches!(how, Use::Matrix { inputs } if *inputs <= dtype.most_inputs());
    let table = |how: &Use| tables && *how == Use::Table;
    match dtype {
        Dtype::F32 => Some(As::F32),
        _ if uses.is_empty() || uses.contains(&Use::Exact) => None,
        Dtype::Bf16 => Some(As::Bf16),
        Dtype::Int8 if shape.len() > 1 && (uses.iter().all(narrow) || uses.iter().all(table)) => {
            Some(As::Whole)
        }
        Dtype::Int8 if !uses.iter().any(narrow) => Some(As::Bf16),
        // Both a matrix and a table, which is bfloat16.
        Dtype::Int8 => None,
    }
}

fn write(from: &Checkpoint, name: &str, how: As, out: &mut Writer<'_, impl Write>) -> Result<(), Error> {
    if how == As::Stored {
        return out.push(&from.bytes(name)?);
    }
    let values = from.values(name)?;
    match how {
        As::Bf16 => push_all(&values, |value| to_bf16(value).to_le_bytes(), out),
        As::Whole => {
            let rows = from.stored(name)?.1.first().copied().unwrap_or(1);
            write_whole(from, name, rows, &values, out)
        }
        As::F32 | As::Stored => push_all(&values, f32::to_le_bytes, out),
    }
}

fn push_all<const N: usize>(
    values: &[f32],
    bytes_of: impl Fn(f32) -> [u8; N],
    out: &mut Writer<'_, impl Write>,
) -> Result<(), Error> {
    for some in values.chunks(1 << 16) {
        let bytes: Vec<u8> = some.iter().flat_map(|&value| bytes_of(value)).collect();
        out.push(&bytes)?;
    }
    Ok(())
}

fn write_whole(
    from: &Checkpoint,
    name: &str,
    rows: usize,
    values: &[f32],
    out: &mut Writer<'_, impl Write>,
) -> Result<(), Error> {
    if values.iter().any(|value| !value.is_finite()) {
        let message =
            format!("tensor \"{name}\" holds a number that is not finite, which no whole number stands for");
        return Err(Error::broken(from.path(), message));
    }
    let mut scales = Vec::with_capacity(rows);
    for row in values.chunks_exact((values.len() / rows.max(1)).max(1)) {
        let (numbers, scale) = whole_weights(row);
        scales.push(scale);
        let bytes: Vec<u8> = numbers.iter().map(|&number| number as u8).collect();
        out.push(&bytes)?;
    }
    push_all(&scales, f32::to_le_bytes, out)
}
