//! Drivers in every state, made by the C compiler.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use devices::{Capability, Libraries, NoDriver, NoLibraries, driver_of};

/// A library of its own for each state: one that is open already is not opened again.
fn fake(name: &str, defines: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drivers");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("lib{name}.so"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_driver.c");
    let defines = defines.iter().map(|define| format!("-D{define}"));
    let compiler = std::env::var("CC").unwrap_or("cc".into());
    let ended = Command::new(compiler)
        .args(["-shared", "-fPIC", "-o"])
        .arg(&file)
        .arg(source)
        .args(defines)
        .status()
        .unwrap();
    assert!(ended.success());
    file
}

fn reason(name: &str, defines: &[&str]) -> NoDriver {
    driver_of(fake(name, defines).as_os_str()).unwrap_err()
}

#[test]
fn devices_are_told() {
    let driver = driver_of(fake("well", &[]).as_os_str()).unwrap();
    assert_eq!((driver.version, driver.gpus.len()), ((13, 0), 2));
    let [first, second] = &driver.gpus[..] else { panic!("two") };
    assert_eq!((first.index, first.name.as_str(), first.memory), (0, "Fake H100", 80 << 30));
    assert_eq!(first.capability, Capability::new(9, 0));
    assert_eq!(first.uuid.as_deref(), Some("GPU-28292a2b-2c2d-2e2f-3031-323334353637"));
    assert_eq!(first.bus.as_deref(), Some("0000:65:00.0"));
    // A name without an end, and an address that it will not tell.
    assert_eq!((second.name.len(), second.bus.as_deref()), (255, None));
}

#[test]
fn an_older_driver_may_lack_what_only_people_read() {
    let driver = driver_of(fake("no_uuid", &["NO_UUID"]).as_os_str()).unwrap();
    assert_eq!(driver.gpus[0].uuid, None);
}

#[test]
fn whatever_is_wrong_is_a_reason() {
    for (name, defines, words) in [
        ("no_init", vec!["NO_INIT"], "has no function cuInit"),
        ("no_memory", vec!["NO_MEMORY"], "has no function cuDeviceTotalMem_v2"),
        ("old", vec!["VERSION=10020"], "is of CUDA 10.2; at least 11.0 is needed: update the driver"),
        ("senseless", vec!["VERSION=-7"], "is of CUDA 0.0"),
        ("none", vec!["COUNT=0"], "has no device to show"),
        ("less_than_none", vec!["COUNT=-3"], "has no device to show"),
        ("no_device", vec!["INIT=100"], "has no device to show"),
        ("unknown", vec!["INIT=999"], "cuInit gave 999 (unknown: are the device files there"),
        ("mismatch", vec!["INIT=803"], "cuInit gave 803 (driver and kernel module are of different versions"),
        ("stub", vec!["INIT=34"], "a stub for linking"),
        ("odd", vec!["INIT=12345"], "cuInit gave 12345"),
        ("unnamed", vec!["FAIL=2"], "cuDeviceGetName gave 2 (out of memory)"),
    ] {
        let reason = reason(name, &defines).to_string();
        assert!(reason.contains(words), "{name}: {reason}");
    }
    assert!(matches!(reason("none_again", &["COUNT=0"]), NoDriver::NoDevice { .. }));
}

#[test]
fn what_is_no_library_is_a_reason() {
    let text = Path::new(env!("CARGO_TARGET_TMPDIR")).join("text.so");
    fs::write(&text, "this is a text").unwrap();
    for file in [OsStr::new("libno-such-driver.so.1"), text.as_os_str()] {
        let NoDriver::Library { library, reason } = driver_of(file).unwrap_err() else { panic!("{file:?}") };
        let named = file.to_str().unwrap();
        assert!(library.contains(named) && reason.contains(named), "{library}: {reason}");
    }
}

/// Each is a whole library but for its header or its end.
#[test]
fn a_library_for_another_machine_or_cut_short_is_a_reason() {
    let whole = fs::read(fake("whole_one", &[])).unwrap();
    let with = |place: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[place] = value;
        bytes
    };
    for (name, bytes, words) in [
        ("arm64", with(0x12, 0xb7), "does not load"),
        ("32_bits", with(0x04, 1), "wrong ELF class"),
        ("half", whole[..whole.len() / 2].to_vec(), "was cut short"),
        ("empty", Vec::new(), "does not load"),
    ] {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.so"));
        fs::write(&file, bytes).unwrap();
        let reason = driver_of(file.as_os_str()).unwrap_err();
        assert!(matches!(reason, NoDriver::Library { .. }), "{name}: {reason}");
        assert!(reason.to_string().contains(words), "{name}: {reason}");
    }
}

#[test]
fn a_missing_library_is_named_with_its_package() {
    let empty = Libraries::of(vec![PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("empty")]);
    let Err(NoLibraries::Missing { library, package, .. }) = empty.open() else {
        // A machine that has them all.
        return;
    };
    assert!(library.starts_with("lib") && package.starts_with("nvidia-"), "{library} {package}");
}

#[test]
fn libraries_are_opened_where_their_folder_is_named() {
    let [folder, broken] = ["libraries", "broken"].map(|name| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    });
    let any = fake("any", &[]);
    let names = ["libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10"];
    for name in names {
        fs::copy(&any, folder.join(name)).unwrap();
    }
    fs::write(broken.join("libcublas.so.13"), "cut").unwrap();
    assert_eq!(Libraries::of(vec![folder.clone()]).open(), Ok(()));
    // Not every binary needs it.
    fs::write(folder.join("libcudart.so.13"), "cut").unwrap();
    assert_eq!(Libraries::of(vec![folder.clone()]).open(), Ok(()));
    let error = Libraries::of(vec![broken, folder]).open().unwrap_err().to_string();
    assert!(
        error.contains("libcublas.so.13 is not found") && error.contains("EMBED_NATIVE_CUDA_LIBS"),
        "{error}"
    );
}
