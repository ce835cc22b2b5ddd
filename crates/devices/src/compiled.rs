//! The kernels that are in this binary.

use crate::Capability;

/// What was compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compiled {
    /// Images.
    pub images: Vec<Capability>,
    /// PTX, which later GPUs run, too.
    pub ptx: Vec<Capability>,
    /// PTX and images that use what one architecture alone has (`90a`): for GPUs of exactly that capability.
    pub only: Vec<Capability>,
    /// The version of CUDA that compiled it, which the driver must know; (0, 0) where nothing was.
    pub toolkit: (u32, u32),
}

impl Compiled {
    /// What the build script recorded. candle's own kernels are PTX; those of flash attention are images, and a binary
    /// with both runs where its images do (candle-kernels 0.11.1 and candle-flash-attn 0.11.1, `build.rs`).
    pub fn this() -> Self {
        let images = cfg!(feature = "flash-attn");
        Self::parse(env!("EMBED_NATIVE_CAPABILITY"), images, env!("EMBED_NATIVE_TOOLKIT"))
    }

    /// `capabilities` as CUDA_COMPUTE_CAP has them, several with commas, and `toolkit` as `13.0`. From 9.0 on, candle's
    /// build asks for what the architecture, or its family, alone has (cudaforge 0.1.6, `GpuArch::auto_suffix`).
    fn parse(capabilities: &str, images: bool, toolkit: &str) -> Self {
        let mut compiled = Self { toolkit: version(toolkit), ..Self::default() };
        for word in capabilities.split(',').map(str::trim) {
            let number = word.trim_start_matches("sm_").trim_end_matches(['a', 'f']);
            let Ok(capability) = number.parse::<Capability>() else { continue };
            let alone = word.ends_with(['a', 'f']) || capability >= Capability::new(9, 0);
            let kind = match (alone, images) {
                (true, _) => &mut compiled.only,
                (false, true) => &mut compiled.images,
                (false, false) => &mut compiled.ptx,
            };
            kind.push(capability);
        }
        compiled
    }

    /// For people: `PTX for 8.0`.
    pub fn describe(&self) -> String {
        let part = |what: &str, of: &[Capability]| {
            let names: Vec<_> = of.iter().map(ToString::to_string).collect();
            (!of.is_empty()).then(|| format!("{what} {}", names.join(" and ")))
        };
        let parts = [
            part("images for", &self.images),
            part("PTX for", &self.ptx),
            part("kernels for nothing but", &self.only),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "no kernels for GPUs".into() } else { parts.join(", ") }
    }
}

fn version(text: &str) -> (u32, u32) {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, accepts};

    #[test]
    fn the_record_is_read() {
        let compiled = Compiled::parse("75, 8.0,90,sm_100a,121f", false, "13.2");
        assert_eq!(compiled.ptx, [Capability::new(7, 5), Capability::new(8, 0)]);
        let only = [Capability::new(9, 0), Capability::new(10, 0), Capability::new(12, 1)];
        assert_eq!(compiled.only, only);
        assert_eq!(compiled.toolkit, (13, 2));
        assert_eq!(compiled.describe(), "PTX for 7.5 and 8.0, kernels for nothing but 9.0 and 10.0 and 12.1");
        assert_eq!(Compiled::parse("", false, ""), Compiled::default());
        assert_eq!(Compiled::default().describe(), "no kernels for GPUs");
    }

    #[test]
    fn images_narrow_what_ptx_would_run_on() {
        let [plain, flash] = [false, true].map(|images| Compiled::parse("80", images, "13.0"));
        let h100 = Capability::new(9, 0);
        assert_eq!(accepts(h100, &plain), Verdict::Ptx(Capability::new(8, 0)));
        assert_eq!(accepts(h100, &flash), Verdict::Refused);
        assert_eq!(accepts(Capability::new(8, 9), &flash), Verdict::Image(Capability::new(8, 0)));
        assert_eq!(flash.describe(), "images for 8.0");
        assert_eq!(accepts(h100, &Compiled::parse("90", true, "13.0")), Verdict::Image(h100));
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_kernels_says_so() {
        assert_eq!(Compiled::this(), Compiled::default());
    }
}
