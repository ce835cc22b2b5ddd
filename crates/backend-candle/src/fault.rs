//! What candle reports, in the words of the contract.

use backend::Error;

/// A fault of the library, without the trace that it carries where `RUST_BACKTRACE` is set.
pub(crate) fn failed(error: candle_core::Error) -> Error {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => failed(*inner),
        error if is_full(&error.to_string()) => {
            Error::DeviceMemory { device: "the GPU".into(), what: "the next tensor".into(), free: 0 }
        }
        error => library(&error),
    }
}

/// By the names of cuda.h and cublas_api.h, which cudarc prints.
fn is_full(message: &str) -> bool {
    ["CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED"].iter().any(|name| message.contains(name))
}

/// A fault of the library or of what it stands on.
pub(crate) fn library(error: &dyn std::fmt::Display) -> Error {
    Error::Library { library: "candle", message: error.to_string() }
}

/// Refuses what the allocator cannot give: candle would end the process.
pub(crate) fn check_room(rows: usize, columns: usize) -> Result<(), Error> {
    let values = rows.saturating_mul(columns);
    let refused = |_| Error::Memory { bytes: values.saturating_mul(size_of::<f32>()) };
    Vec::<f32>::new().try_reserve_exact(values).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line() {
        let inner = Box::new(candle_core::Error::Msg("no".into()));
        let backtrace = Box::new(std::backtrace::Backtrace::force_capture());
        let fault = failed(candle_core::Error::WithBacktrace { inner, backtrace });
        assert_eq!(fault.to_string(), "candle failed: no; backend \"native\" does without it");
    }

    #[test]
    fn full_memory_is_known_by_its_names() {
        let said = |text: &str| failed(candle_core::Error::Msg(text.into()));
        let driver = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";
        assert!(matches!(said(driver), Error::DeviceMemory { .. }));
        assert!(matches!(said("CublasError(CUBLAS_STATUS_ALLOC_FAILED)"), Error::DeviceMemory { .. }));
        let lost = "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access\")";
        assert!(matches!(said(lost), Error::Library { .. }));
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(matches!(check_room(usize::MAX, 8), Err(Error::Memory { .. })));
        assert!(matches!(check_room(1 << 40, 1 << 10), Err(Error::Memory { .. })));
        assert!(check_room(512, 768).is_ok());
    }
}
