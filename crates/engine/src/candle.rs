//! The `candle` executor: its settings out of the options and of where it computes, its faults as ours.

use backend::Backend;
use backend_candle::{Candle, Format, LoadError, Settings};
use nn::Source;

use crate::executor::{as_f32, asked};
use crate::place::{Chosen, Place};
use crate::{Error, LoadOptions};

/// Families whose activations leave the range of half precision: Gemma 3 by its own authors, T5 since its first days
/// (<https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/models/t5/modeling_t5.py>,
/// `clamp inf values to enable fp16 training`), Qwen3 on texts of code.
const TOO_LARGE_FOR_F16: [&str; 6] = ["gemma3", "gemma3_text", "t5", "mt5", "umt5", "qwen3"];

/// Loads a model.
pub(crate) fn open(
    source: &Source,
    options: &LoadOptions,
    chosen: Chosen,
) -> Result<Box<dyn Backend>, Error> {
    let bytes = bytes(source, options, &chosen)?;
    let (format, format_reason) = format(source, options, &chosen)?;
    let places = chosen.places.iter().map(|&place| match place {
        Place::Cpu => backend_candle::Place::Cpu,
        Place::Nvidia(index, _) => backend_candle::Place::Cuda(index),
        Place::Apple => backend_candle::Place::Metal,
    });
    let places = places.collect();
    let settings = Settings { places, place_reason: chosen.reason, format, format_reason, bytes };
    Ok(Box::new(Candle::load(source, settings).map_err(fault)?))
}

/// Two bytes a number in half precision, on each device.
pub(crate) fn bytes(source: &Source, options: &LoadOptions, chosen: &Chosen) -> Result<u64, Error> {
    let whole = as_f32(source)?;
    Ok(if format(source, options, chosen)?.0 == Format::F32 { whole } else { whole / 2 })
}

/// The number format, and why: one that all of the places have.
fn format(source: &Source, options: &LoadOptions, chosen: &Chosen) -> Result<(Format, String), Error> {
    let family = source.config.model_type()?;
    let places = || chosen.places.iter();
    let too_large = TOO_LARGE_FOR_F16.contains(&family);
    let lacks_bf16 = places().find_map(|place| match place {
        Place::Nvidia(_, capability) if !capability.has_bf16() => {
            Some(format!("compute capability {capability}"))
        }
        Place::Apple => Some("this device".into()),
        _ => None,
    });
    if let Some(dtype) = asked(&options.dtype) {
        return match (dtype, lacks_bf16) {
            ("bf16", Some(device)) => Err(Error::Unavailable {
                what: "dtype \"bf16\"".into(),
                remedy: format!("{device} does not multiply it; use f16 or f32"),
            }),
            ("bf16", None) => Ok((Format::Bf16, "as asked for".into())),
            ("f16", _) => Ok((Format::F16, "as asked for".into())),
            _ => Ok((Format::F32, "as asked for".into())),
        };
    }
    if !chosen.on_gpu() {
        return Ok((Format::F32, "on the CPU this backend computes in f32".into()));
    }
    let slow_f16 = places().any(|place| matches!(place, Place::Nvidia(_, of) if !of.has_f16()));
    Ok(match lacks_bf16 {
        None => (Format::Bf16, "auto: this GPU multiplies it fast".into()),
        Some(_) if too_large => (Format::F32, format!("auto: {family} leaves the range of f16")),
        Some(_) if slow_f16 => (Format::F32, "auto: this GPU has no fast f16".into()),
        Some(_) => (Format::F16, "auto: this GPU multiplies it fast, and not bf16".into()),
    })
}

fn fault(error: LoadError) -> Error {
    match error {
        LoadError::Model(error) => Error::Model(error),
        LoadError::Memory(error) => Error::Run(error),
        LoadError::Device { device, error } => Error::Device { device, reason: error.to_string() },
        other => Error::Internal { message: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use devices::Capability;

    use super::*;

    fn of(family: &str, dtype: &str, places: &[Place]) -> Result<Format, Error> {
        let json = serde_json::json!({ "model_type": family });
        let source = Source {
            folder: "x".into(),
            config: nn::Config::implied(std::path::Path::new("config.json"), json),
            adapter: None,
            head: nn::HeadSource::Vocabulary { largest: true },
        };
        let options = LoadOptions { dtype: Some(dtype.into()), ..LoadOptions::default() };
        let chosen = Chosen { places: places.to_vec(), reason: String::new(), warning: None };
        format(&source, &options, &chosen).map(|(format, _)| format)
    }

    #[test]
    fn the_format_follows_the_capability_and_the_family() {
        let nvidia = |number: u32| Place::Nvidia(0, Capability::new(number / 10, number % 10));
        for (family, dtype, places, expected) in [
            ("bert", "auto", vec![nvidia(90)], Format::Bf16),
            ("bert", "auto", vec![nvidia(80)], Format::Bf16),
            ("bert", "auto", vec![nvidia(75)], Format::F16),
            ("bert", "auto", vec![nvidia(61)], Format::F32),
            ("bert", "auto", vec![nvidia(90), nvidia(75)], Format::F16),
            ("gemma3_text", "auto", vec![nvidia(75)], Format::F32),
            ("gemma3_text", "auto", vec![nvidia(80)], Format::Bf16),
            ("t5", "auto", vec![Place::Apple], Format::F32),
            ("bert", "auto", vec![Place::Apple], Format::F16),
            ("bert", "auto", vec![Place::Cpu], Format::F32),
            ("bert", "f32", vec![nvidia(90)], Format::F32),
            ("bert", "f16", vec![nvidia(90)], Format::F16),
        ] {
            assert_eq!(of(family, dtype, &places).unwrap(), expected, "{family} {dtype} {places:?}");
        }
        let refused = of("bert", "bf16", &[nvidia(75)]).unwrap_err();
        assert!(refused.to_string().contains("compute capability 7.5 does not multiply it"), "{refused}");
        assert_eq!(refused.code(), "ERR_UNSUPPORTED");
    }
}
