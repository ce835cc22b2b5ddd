//! What of ONNX Runtime computes: its execution providers, as far as the library that is loaded has them.

use ort::ep::{
    CPU, CUDA, CoreML, DirectML, ExecutionProvider, ExecutionProviderDispatch, OpenVINO, TensorRT,
};

use crate::LoadError;

/// An execution provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// NVIDIA's GPUs.
    Cuda,
    /// NVIDIA's compiler of graphs.
    TensorRt,
    /// Apple's.
    CoreMl,
    /// Windows'.
    DirectMl,
    /// Intel's.
    OpenVino,
    /// Any processor's.
    Cpu,
}

impl Provider {
    /// All of them, with their names.
    pub const ALL: [(&str, Self); 6] = [
        ("cuda", Self::Cuda),
        ("tensorrt", Self::TensorRt),
        ("coreml", Self::CoreMl),
        ("directml", Self::DirectMl),
        ("openvino", Self::OpenVino),
        ("cpu", Self::Cpu),
    ];

    /// The provider of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, provider)| provider)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|&&(_, provider)| provider == self).map_or("", |(name, _)| name)
    }

    /// What it needs to start, besides a library that was built with it
    /// (<https://onnxruntime.ai/docs/execution-providers>; onnxruntime-node 1.30.0, `script/install-metadata.js`).
    pub(crate) fn needs(self) -> &'static str {
        match self {
            Self::Cuda => {
                "it needs NVIDIA's driver, CUDA and cuDNN of the versions it was built for, and its own files beside the \
                 library: onnxruntime-node brings those for Linux on x64, for CUDA 12 and cuDNN 9, unless it is installed \
                 with --ignore-scripts"
            }
            Self::TensorRt => {
                "it needs what cuda needs, its own files that come with those, and TensorRT of the version it was built for"
            }
            Self::CoreMl => "it needs macOS 10.15 or later",
            Self::DirectMl => "it needs a GPU of DirectX 12, and DirectML.dll beside the library",
            Self::OpenVino => {
                "it needs Intel's OpenVINO of the version it was built for, and its own files beside the library"
            }
            Self::Cpu => "it needs nothing: the library may be broken",
        }
    }

    /// Whether the library that is loaded was built with it.
    fn is_there(self) -> bool {
        let asked = match self {
            Self::Cuda => CUDA::is_available(),
            Self::TensorRt => TensorRT::is_available(),
            Self::CoreMl => CoreML::is_available(),
            Self::DirectMl => DirectML::is_available(),
            Self::OpenVino => OpenVINO::is_available(),
            Self::Cpu => CPU::is_available(),
        };
        // A library that cannot say what it has has nothing.
        asked.unwrap_or(false)
    }

    /// What a session is told. Memory of the CPU goes back after each run: lengths differ from run to run.
    pub(crate) fn dispatch(self) -> ExecutionProviderDispatch {
        let dispatch = match self {
            Self::Cuda => CUDA::default().build(),
            Self::TensorRt => TensorRT::default().build(),
            Self::CoreMl => CoreML::default().build(),
            Self::DirectMl => DirectML::default().build(),
            Self::OpenVino => OpenVINO::default().build(),
            Self::Cpu => CPU::default().with_arena_allocator(false).build(),
        };
        dispatch.error_on_failure()
    }
}

/// Tries the providers in turn with `open`; gives what the first one that works made, that provider, and why not one
/// before it. None asked for is the CPU.
pub(crate) fn first_usable<T>(
    asked: &[Provider],
    library: &str,
    is_there: impl Fn(Provider) -> bool,
    mut open: impl FnMut(Provider) -> Result<T, LoadError>,
) -> Result<(T, Provider, String), LoadError> {
    let asked = if asked.is_empty() { &[Provider::Cpu][..] } else { asked };
    let mut against = Vec::new();
    for &provider in asked {
        let name = provider.name();
        if !is_there(provider) {
            against.push(format!("{name} is not in {library}"));
            continue;
        }
        match open(provider) {
            Ok(opened) => return Ok((opened, provider, against.join("; "))),
            // The CPU takes every graph that is well: its fault is the graph's.
            Err(error) if provider == Provider::Cpu => return Err(error),
            Err(error @ LoadError::Provider { .. }) => against.push(error.to_string()),
            Err(error) => against.push(format!("{name} does not take the model: {error}")),
        }
    }
    let has = Provider::ALL.iter().filter(|(_, provider)| is_there(*provider)).map(|(name, _)| *name);
    let has = has.collect::<Vec<_>>().join(", ");
    Err(LoadError::NoProvider { against: against.join("; "), library: library.into(), has })
}

/// As [`first_usable`], of the library that is loaded.
pub(crate) fn choose<T>(
    asked: &[Provider],
    library: &str,
    open: impl FnMut(Provider) -> Result<T, LoadError>,
) -> Result<(T, Provider, String), LoadError> {
    first_usable(asked, library, Provider::is_there, open)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: &str = "onnxruntime 1.31.1";

    /// A library with these, of which some start.
    fn tried(
        asked: &[Provider],
        there: &[Provider],
        start: &[Provider],
    ) -> Result<(Provider, String), LoadError> {
        let open = |provider: Provider| match start.contains(&provider) {
            true => Ok(()),
            false => Err(LoadError::Provider {
                provider: provider.name(),
                library: LIBRARY.into(),
                message: "no device".into(),
                needs: provider.needs(),
            }),
        };
        let found = first_usable(asked, LIBRARY, |provider| there.contains(&provider), open);
        found.map(|((), provider, against)| (provider, against))
    }

    #[test]
    fn the_first_that_works_wins() {
        use Provider::{Cpu, Cuda, TensorRt};
        assert_eq!(tried(&[], &[Cuda, Cpu], &[Cuda, Cpu]).unwrap(), (Cpu, String::new()));
        assert_eq!(tried(&[Cuda, Cpu], &[Cuda, Cpu], &[Cuda, Cpu]).unwrap(), (Cuda, String::new()));
        let (provider, against) = tried(&[TensorRt, Cuda, Cpu], &[Cuda, Cpu], &[Cpu]).unwrap();
        assert_eq!(provider, Cpu);
        let expected = "tensorrt is not in onnxruntime 1.31.1; cuda of onnxruntime 1.31.1 does not start: no device (it needs NVIDIA's";
        assert!(against.starts_with(expected) && against.contains("--ignore-scripts"), "{against}");
    }

    #[test]
    fn none_that_works_is_a_fault_with_what_there_is() {
        use Provider::{CoreMl, Cpu, Cuda};
        let error = tried(&[CoreMl, Cuda], &[Cuda, Cpu], &[Cpu]).unwrap_err().to_string();
        assert!(
            error.contains("coreml is not in") && error.contains("1.31.1 has cuda, cpu; name"),
            "{error}"
        );
        // What is against the CPU is told as such.
        assert!(matches!(tried(&[Cuda, Cpu], &[Cpu], &[]), Err(LoadError::Provider { provider: "cpu", .. })));
    }

    #[test]
    fn names() {
        assert!(Provider::ALL.iter().all(|&(name, provider)| Provider::named(name) == Some(provider)));
        assert_eq!((Provider::named("gpu"), Provider::OpenVino.name()), (None, "openvino"));
    }
}
