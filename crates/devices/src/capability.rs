//! Compute capabilities, and which compiled kernels run on which.

use std::fmt;
use std::str::FromStr;

use crate::Compiled;

/// A compute capability: what a GPU is, or what kernels were compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability {
    major: u32,
    minor: u32,
}

/// GPUs of Tegra boards run images of their own capability only, and no other GPU runs those: Xavier, Orin, Thor.
/// CUDA C++ Programming Guide 13.0, "Binary Compatibility": it holds for desktop parts.
const TEGRA: [Capability; 3] = [Capability::new(7, 2), Capability::new(8, 7), Capability::new(11, 0)];

/// Whether kernels run on a GPU, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// An image compiled for this capability.
    Image(Capability),
    /// PTX for this capability; the driver compiles it when it is first loaded.
    Ptx(Capability),
    /// None of them.
    Refused,
}

impl Capability {
    /// As `8.6`.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// The way the compiler writes it: 86.
    pub fn number(self) -> u32 {
        self.major * 10 + self.minor
    }

    /// Whether its tensor cores multiply bfloat16.
    pub fn has_bf16(self) -> bool {
        self >= Self::new(8, 0)
    }

    /// Whether it multiplies half precision fast.
    pub fn has_f16(self) -> bool {
        self >= Self::new(7, 0)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// `8.6` and `86`; one digit behind the dot, as all there are.
impl FromStr for Capability {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.replacen('.', "", 1);
        let number: u32 = digits.parse().map_err(drop)?;
        let dotted = text.find('.').is_none_or(|dot| dot + 2 == text.len());
        if dotted && (10..1000).contains(&number) { Ok(Self::new(number / 10, number % 10)) } else { Err(()) }
    }
}

/// What of `compiled` a GPU of this capability runs: an image sooner than PTX, the nearest of several.
pub fn accepts(runtime: Capability, compiled: &Compiled) -> Verdict {
    let exact = compiled.only.iter().filter(|only| **only == runtime);
    let images = compiled.images.iter().filter(|image| runs_image(runtime, **image));
    if let Some(image) = exact.chain(images).max() {
        return Verdict::Image(*image);
    }
    match compiled.ptx.iter().filter(|ptx| **ptx <= runtime).max() {
        Some(ptx) => Verdict::Ptx(*ptx),
        None => Verdict::Refused,
    }
}

/// Forward within a major version.
fn runs_image(runtime: Capability, image: Capability) -> bool {
    if TEGRA.contains(&runtime) || TEGRA.contains(&image) {
        return runtime == image;
    }
    runtime.major == image.major && image.minor <= runtime.minor
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A GPU, and the images that it runs.
    const IMAGES: [(u32, &[u32]); 12] = [
        (70, &[70]),
        (75, &[70, 75]),
        (80, &[80]),
        (86, &[80, 86]),
        (87, &[87]),
        (89, &[80, 86, 89]),
        (90, &[90]),
        (100, &[100]),
        (103, &[100, 103]),
        (110, &[110]),
        (120, &[120]),
        (121, &[120, 121]),
    ];
    /// A GPU, and how many of the capabilities above, from the first, are those of PTX that it runs.
    const PTX: [(u32, usize); 12] = [
        (70, 1),
        (75, 2),
        (80, 3),
        (86, 4),
        (87, 5),
        (89, 6),
        (90, 7),
        (100, 8),
        (103, 9),
        (110, 10),
        (120, 11),
        (121, 12),
    ];

    fn capability(number: u32) -> Capability {
        Capability::new(number / 10, number % 10)
    }

    fn numbers() -> impl Iterator<Item = u32> {
        IMAGES.iter().map(|(number, _)| *number)
    }

    #[test]
    fn every_pair_of_gpu_and_image() {
        for (gpu, runs) in IMAGES {
            for image in numbers() {
                let compiled = Compiled { images: vec![capability(image)], ..Compiled::default() };
                let expected = match runs.contains(&image) {
                    true => Verdict::Image(capability(image)),
                    false => Verdict::Refused,
                };
                assert_eq!(accepts(capability(gpu), &compiled), expected, "image {image} on {gpu}");
            }
        }
    }

    #[test]
    fn every_pair_of_gpu_and_ptx() {
        for (gpu, count) in PTX {
            for (place, ptx) in numbers().enumerate() {
                let compiled = Compiled { ptx: vec![capability(ptx)], ..Compiled::default() };
                let expected = if place < count { Verdict::Ptx(capability(ptx)) } else { Verdict::Refused };
                assert_eq!(accepts(capability(gpu), &compiled), expected, "PTX {ptx} on {gpu}");
            }
        }
    }

    #[test]
    fn what_is_compiled_for_one_capability_alone_runs_on_no_other() {
        for gpu in numbers() {
            let compiled = Compiled { only: vec![capability(100)], ..Compiled::default() };
            let expected = if gpu == 100 { Verdict::Image(capability(100)) } else { Verdict::Refused };
            assert_eq!(accepts(capability(gpu), &compiled), expected, "{gpu}");
        }
    }

    #[test]
    fn of_several_the_nearest_and_images_before_ptx() {
        let of = |numbers: &[u32]| numbers.iter().copied().map(capability).collect::<Vec<_>>();
        let compiled = Compiled { images: of(&[80, 86, 90]), ptx: of(&[75, 90]), ..Compiled::default() };
        for (gpu, expected) in [
            (89, Verdict::Image(capability(86))),
            (87, Verdict::Ptx(capability(75))),
            (90, Verdict::Image(capability(90))),
            (120, Verdict::Ptx(capability(90))),
            (70, Verdict::Refused),
        ] {
            assert_eq!(accepts(capability(gpu), &compiled), expected, "{gpu}");
        }
        assert_eq!(accepts(capability(90), &Compiled::default()), Verdict::Refused);
    }

    #[test]
    fn both_ways_of_writing_are_read() {
        for (text, number) in [("8.6", 86), ("86", 86), ("10.3", 103), ("103", 103)] {
            assert_eq!(text.parse::<Capability>().map(Capability::number), Ok(number));
        }
        for text in ["", "8", "8.", "8.65", "86a", "-80", "8600", "x"] {
            assert!(text.parse::<Capability>().is_err(), "{text}");
        }
        assert_eq!(capability(103).to_string(), "10.3");
    }
}
