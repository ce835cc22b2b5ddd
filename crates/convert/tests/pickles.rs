//! Files that torch wrote, against what safetensors' own library wrote of the same tensors; and files that hold something else.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use convert::{Error, unpickle};
use safetensors::SafeTensors;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/data/pickles").join(name)
}

fn converted(name: &str) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    unpickle(&file(name), &mut out, &AtomicBool::new(false)).map(|()| out)
}

#[test]
fn tensors_are_those_of_torch_bit_for_bit() {
    for (name, count) in [("tensors", 13), ("linear", 2)] {
        let (ours, theirs) = (
            converted(&format!("{name}.pt")).unwrap(),
            std::fs::read(file(&format!("{name}.safetensors"))).unwrap(),
        );
        let (ours, theirs) =
            (SafeTensors::deserialize(&ours).unwrap(), SafeTensors::deserialize(&theirs).unwrap());
        assert_eq!((ours.len(), theirs.len()), (count, count));
        for (tensor, want) in theirs.tensors() {
            let got = ours.tensor(&tensor).unwrap();
            assert_eq!((got.dtype(), got.shape()), (want.dtype(), want.shape()), "{name} {tensor}");
            assert_eq!(got.data(), want.data(), "{name} {tensor}");
        }
    }
}

#[test]
fn anything_but_tensors_is_an_error_that_says_what() {
    for (name, says) in [
        ("code.pt", "posix.system"),
        ("module.pt", "torch.nn.modules.linear.Linear"),
        ("training.pt", "\"state_dict\" is no tensor"),
        ("list.pt", "no dictionary of tensors"),
        ("sparse.pt", "torch._utils._rebuild_sparse_tensor"),
        ("quantized.pt", "torch._utils._rebuild_qtensor"),
        ("before-1.6.pt", "since 1.6"),
        ("tensors.safetensors", "since 1.6"),
    ] {
        let error = converted(name).unwrap_err();
        assert!(error.to_string().contains(says), "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn nobody_waits_any_more() {
    let outcome = unpickle(&file("tensors.pt"), &mut Vec::new(), &AtomicBool::new(true));
    assert!(matches!(outcome, Err(Error::Cancelled)));
}
