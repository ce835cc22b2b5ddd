//! Weights that `convert` wrote as whole numbers of 8 bits.
//!
//! A tensor `name` of `I8` has a tensor `name.scale` of `F32` beside it, one scale for each index of its first dimension; the
//! file says so under [`MARKER`]. Whole numbers without that mark are packed in somebody else's way and are refused.
//!
//! A kernel that quantises such weights again finds the same whole numbers and the same scales, bit for bit: the largest number
//! of a row is ±127 and becomes one whose 127th part is the scale, and the others lie near their whole numbers.

use std::collections::HashMap;

/// The field of a header's `__metadata__`.
pub const MARKER: &str = "embed-native";
/// Its value.
pub const INT8: &str = "int8 1";

/// The name of a tensor's scales.
pub fn scales_of(name: &str) -> String {
    format!("{name}.scale")
}

/// The largest whole number.
const LARGEST: f32 = 127.0;

/// Checks that each scale can be one: a positive number, or 0 for a row of zeros.
///
/// # Errors
/// One that is negative, infinite or no number, or 0 beside other numbers.
pub(crate) fn check(numbers: &[u8], scales: &[f32]) -> Result<(), String> {
    let columns = numbers.len() / scales.len().max(1);
    for (row, &scale) in scales.iter().enumerate() {
        let zeros = || numbers[row * columns..(row + 1) * columns].iter().all(|&number| number == 0);
        if !(scale.is_finite() && (scale > 0.0 || (scale == 0.0 && zeros()))) {
            return Err(format!(
                "scale {row} is {scale}, expected a number above 0: convert the model again"
            ));
        }
    }
    Ok(())
}

/// What the whole numbers of rows stand for. Each scale has as many numbers; both are as they lie in the file.
pub(crate) fn widened(numbers: &[u8], scales: &[f32]) -> Vec<f32> {
    let columns = numbers.len() / scales.len().max(1);
    let rows = numbers.chunks_exact(columns.max(1)).zip(scales);
    rows.flat_map(|(row, &scale)| {
        let largest = largest(scale);
        row.iter().map(move |&byte| match f32::from(byte as i8) {
            number if number.abs() == LARGEST => largest.copysign(number),
            number => number * scale,
        })
    })
    .collect()
}

/// The number whose 127th part is the scale. The product is at most one step away from it.
fn largest(scale: f32) -> f32 {
    let product = scale * LARGEST;
    let near = [product, product.next_down(), product.next_up()];
    near.into_iter().find(|near| near / LARGEST == scale).unwrap_or(product)
}

/// Whether a header's `__metadata__` bears the mark.
///
/// # Errors
/// A mark of another version.
pub(crate) fn is_marked(metadata: Option<&HashMap<String, String>>) -> Result<bool, String> {
    match metadata.and_then(|metadata| metadata.get(MARKER)).map(String::as_str) {
        None => Ok(false),
        Some(INT8) => Ok(true),
        Some(other) => Err(format!(
            "was converted as {other:?}, this version reads {INT8:?}: convert it again, or update"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scale_has_a_largest_number() {
        let mut bits = 0x3000_0000_u32;
        while bits < 0x4000_0000 {
            let scale = f32::from_bits(bits) / LARGEST;
            assert_eq!(largest(scale) / LARGEST, scale, "{scale:e}");
            bits += 4_999;
        }
        assert_eq!(largest(0.0), 0.0);
    }

    #[test]
    fn rows_have_scales_of_their_own() {
        let numbers = [127_i8, -64, 0, -127].map(|number| number as u8);
        assert_eq!(widened(&numbers, &[2.0, 0.5]), [254.0, -128.0, 0.0, -63.5]);
        assert_eq!(widened(&[], &[]), [0.0; 0]);
    }

    #[test]
    fn scales_are_positive_numbers() {
        let numbers = [1, 2, 0, 0];
        assert_eq!(check(&numbers, &[0.5, 0.0]), Ok(()));
        assert_eq!(check(&[], &[]), Ok(()));
        for scale in [0.0, -0.0, -0.5, f32::NAN, f32::INFINITY] {
            let problem = check(&numbers, &[scale, 0.0]).unwrap_err();
            assert!(problem.starts_with("scale 0 is "), "{problem}");
        }
        assert!(check(&numbers, &[0.5, -1.0]).unwrap_err().starts_with("scale 1 is -1"));
    }

    #[test]
    fn only_this_version_is_read() {
        let marked = |value: &str| is_marked(Some(&HashMap::from([(MARKER.into(), value.into())])));
        assert_eq!(is_marked(None), Ok(false));
        assert_eq!(marked(INT8), Ok(true));
        assert!(marked("int8 2").is_err());
    }
}
