//! Weights in fewer bits stand for what a kernel makes of the original.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use convert::{Format, place, smaller};
use kernels::{Dtype, from_bf16, to_bf16, whole_weights};
use nn::{Checkpoint, Use};

fn original() -> Checkpoint {
    Checkpoint::of_file(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/data/pickles/tensors.safetensors"),
    )
    .unwrap()
}

fn of_name(name: &str) -> &'static [Use] {
    match name {
        "base" => &[Use::Matrix { inputs: 4 }],
        "transposed" => &[Use::Table],
        "rows" => &[Use::Matrix { inputs: 4 }, Use::Table],
        "columns" => &[Use::Matrix { inputs: 100_000 }],
        "bfloat" => &[Use::Exact, Use::Table],
        _ => &[],
    }
}

fn made(name: &str, format: Format) -> Checkpoint {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    place(&path, |file| smaller(&original(), format, of_name, file, &AtomicBool::new(false))).unwrap();
    Checkpoint::of_file(path).unwrap()
}

fn types(checkpoint: &Checkpoint, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{:?}", checkpoint.stored(name).unwrap().0)).collect()
}

const NAMES: [&str; 7] = ["base", "transposed", "rows", "columns", "bfloat", "half", "ids"];

#[test]
fn each_tensor_is_as_small_as_its_uses_allow() {
    let int8 = Format { dtype: Dtype::Int8, tables: false };
    assert_eq!(types(&made("int8", int8), &NAMES), ["I8", "BF16", "F32", "BF16", "BF16", "F16", "I64"]);
    let tables = Format { tables: true, ..int8 };
    assert_eq!(types(&made("tables", tables), &NAMES), ["I8", "I8", "F32", "BF16", "BF16", "F16", "I64"]);
    let bf16 = Format { dtype: Dtype::Bf16, tables: false };
    assert_eq!(types(&made("bf16", bf16), &NAMES), ["BF16", "BF16", "BF16", "BF16", "BF16", "F16", "I64"]);
    let f32 = Format { dtype: Dtype::F32, tables: false };
    assert_eq!(types(&made("f32", f32), &NAMES), ["F32", "F32", "F32", "F32", "F32", "F32", "I64"]);
}

#[test]
fn whole_numbers_come_back_as_the_same_whole_numbers_and_scales() {
    let (from, to) =
        (original().values("base").unwrap(), made("same", Format { dtype: Dtype::Int8, tables: false }));
    let back = to.values("base").unwrap();
    assert_ne!(from, back);
    for (row, back) in from.chunks(4).zip(back.chunks(4)) {
        let ((numbers, scale), (again, same)) = (whole_weights(row), whole_weights(back));
        assert_eq!((numbers, scale.to_bits()), (again, same.to_bits()));
    }
    assert_eq!(to.values("transposed").unwrap(), rounded(&original().values("transposed").unwrap()));
}

fn rounded(values: &[f32]) -> Vec<f32> {
    values.iter().map(|&value| from_bf16(to_bf16(value))).collect()
}

#[test]
fn what_was_converted_can_be_converted_again() {
    let int8 = Format { dtype: Dtype::Int8, tables: false };
    let once = made("once", int8);
    for (dtype, name) in [(Dtype::Int8, "twice"), (Dtype::F32, "back")] {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let format = Format { dtype, tables: false };
        place(&path, |file| smaller(&once, format, of_name, file, &AtomicBool::new(false))).unwrap();
        let again = Checkpoint::of_file(path).unwrap();
        for name in ["base", "transposed", "half"] {
            assert_eq!(again.values(name).unwrap(), once.values(name).unwrap(), "{dtype:?} {name}");
        }
        assert_eq!(again.is_whole(), dtype == Dtype::Int8);
    }
}
