//! Archives that nobody made in good faith: each is an error or harmless, and takes no more time or memory than its bytes.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use convert::{Error, unpickle};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn run(name: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{name}"));
    std::fs::write(&path, bytes).unwrap();
    let mut out = Vec::new();
    unpickle(&path, &mut out, &AtomicBool::new(false)).map(|()| out)
}

fn refused(name: &str, bytes: &[u8], says: &str) {
    let error = run(name, bytes).unwrap_err().to_string();
    assert!(error.contains(says), "{name}: {error}");
}

fn int(number: i64) -> Vec<u8> {
    [&[0x8a, 8][..], &number.to_le_bytes()].concat()
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn tuple(items: &[i64]) -> Vec<u8> {
    let items: Vec<u8> = items.iter().flat_map(|&item| int(item)).collect();
    [b"(", &items[..], b"t"].concat()
}

/// `{"w": a view of storage "0" of `length` numbers}`.
fn program(length: i64, start: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let storage = [
        b"(",
        &text("storage")[..],
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        &int(length),
        b"tQ",
    ]
    .concat();
    let arguments = [&storage[..], &int(start), &tuple(shape), &tuple(strides), b"\x89N"].concat();
    [b"\x80\x02}", &text("w")[..], b"ctorch._utils\n_rebuild_tensor_v2\n(", &arguments, b"tRs."].concat()
}

fn view(length: i64, start: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    archive(&[("x/data.pkl", &program(length, start, shape, strides)), ("x/data/0", &[0; 48])])
}

fn pickled(program: &[u8]) -> Vec<u8> {
    archive(&[("x/data.pkl", program), ("x/data/0", &[0; 48])])
}

#[test]
fn views_stay_in_their_storage() {
    assert!(run("right", &view(12, 0, &[3, 4], &[4, 1])).is_ok());
    assert!(run("nothing", &view(12, 99, &[0, 4], &[4, 1])).is_ok());
    let large = i64::MAX;
    for (number, (length, start, shape, strides)) in [
        (12, 1, &[3, 4][..], &[4, 1][..]),
        (12, 0, &[3, 5], &[4, 1]),
        (12, 0, &[3, 4], &[5, 1]),
        (12, large, &[3, 4], &[4, 1]),
        (12, 0, &[large, large], &[1, 1]),
        (12, 0, &[3, 4], &[large, large]),
        // A number over and over.
        (12, 0, &[1 << 40], &[0]),
        (12, 0, &[13], &[0]),
        (12, 0, &[3, 4], &[1]),
    ]
    .into_iter()
    .enumerate()
    {
        refused(&format!("view-{number}"), &view(length, start, shape, strides), "outside of its storage");
    }
    refused("negative", &view(12, 0, &[-3, 4], &[4, 1]), "the size -3");
    refused("long", &view(12, 0, &[1; 9], &[1; 9]), "at most 8 dimensions");
    refused("claims", &view(1 << 40, 0, &[3, 4], &[4, 1]), "has 48 bytes, its tensors say");
    refused("claims-all", &view(large, 0, &[3, 4], &[4, 1]), "outside of its storage");
}

#[test]
fn programs_end_or_are_refused() {
    for (name, program, says) in [
        ("empty", &b""[..], "ends too soon"),
        ("no-end", b"\x80\x02}", "ends too soon"),
        ("nothing", b"\x80\x02.", "not there"),
        ("mark", b"\x80\x02t.", "a mark that is not there"),
        ("below-mark", b"\x80\x02}(s.", "not there"),
        ("memo", b"\x80\x02h\x07.", "does not know"),
        ("protocol", b"\x80\x04\x95", "protocol 4"),
        ("opcode", b"\x80\x02c__builtin__\neval\n(X\x01\x00\x00\x001tR.", "__builtin__.eval"),
        ("instance", b"\x80\x02(c__builtin__\neval\no.", "__builtin__.eval"),
        ("old", b"(lp0\n.", "0x70"),
        ("global", b"\x80\x02ctorch\nload\n.", "torch.load"),
        ("storage-of-others", b"\x80\x02cos\nFloatStorage\n.", "os.FloatStorage"),
        ("text", b"\x80\x02X\xff\xff\xff\xffa.", "ends too soon"),
        ("not-text", b"\x80\x02X\x01\x00\x00\x00\xff.", "UTF-8"),
        ("long", b"\x80\x02\x8a\xff.", "ends too soon"),
        ("call", b"\x80\x02ccollections\nOrderedDict\n}R.", "without arguments"),
        ("state", b"\x80\x02}}X\x01\x00\x00\x00aK\x01sb.", "a state"),
        ("number", b"\x80\x02}X\x01\x00\x00\x00aK\x01s.", "\"a\" is no tensor"),
        ("name", b"\x80\x02}K\x01K\x01s.", "no text"),
        ("itself", b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.", "\"a\" is no tensor"),
    ] {
        refused(&format!("program-{name}"), &pickled(program), says);
    }
}

#[test]
fn depth_and_number_cost_what_their_bytes_cost() {
    let nested = [b"\x80\x02)", &[0x85; 900_000][..], b"."].concat();
    refused("nested", &pickled(&nested), "no dictionary");
    let many = [b"\x80\x02", &[b')'; 2_000_000][..], b"."].concat();
    refused("many", &pickled(&many), "more than 1048576 values");
    // One long tuple as the arguments of many calls, and one long dictionary as many states.
    let calls = [
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00Nq\x01(",
        &b"h\x01".repeat(100_000)[..],
        b"tq\x02",
        &b"h\x00h\x02R".repeat(100_000),
        b".",
    ];
    refused("calls", &pickled(&calls.concat()), "torch.save would not");
    let field = [&text("_metadata")[..], b"q\x01Nq\x02"].concat();
    let states = [
        b"\x80\x02}}q\x00(",
        &field[..],
        &b"h\x01h\x02".repeat(100_000),
        b"u",
        &b"h\x00b".repeat(100_000),
        b".",
    ];
    refused("states", &pickled(&states.concat()), "a state");
    refused("no-tensors", &pickled(b"\x80\x02}."), "holds no tensors");
    let long = vec![b'N'; 5 << 20];
    refused("too-long", &pickled(&long), "longer than");
}

#[test]
fn one_storage_under_many_names_does_not_grow_for_ever() {
    let named = |names: u32| {
        let mut program = program(120, 0, &[120], &[1]);
        let end = program.len() - 2;
        let again = (0..names).flat_map(|name| [&text(&name.to_string())[..], b"h\x00s"].concat());
        program.splice(end.., b"q\x00s".iter().copied().chain(again).chain(*b"."));
        archive(&[("x/data.pkl", &program), ("x/data/0", &[0; 480])])
    };
    assert!(run("few-names", &named(2)).is_ok());
    refused("many-names", &named(5000), "4 times the file's");
}

#[test]
fn archives_are_as_torch_writes_them() {
    let program = program(12, 0, &[3, 4], &[4, 1]);
    refused("empty-zip", &archive(&[]), "since 1.6");
    refused("no-pickle", &archive(&[("x/data/0", &[0; 48])]), "0 files data.pkl");
    refused("two", &archive(&[("x/data.pkl", &program), ("y/data.pkl", &program)]), "2 files data.pkl");
    refused("no-storage", &archive(&[("x/data.pkl", &program)]), "data/0");
    refused("short", &archive(&[("x/data.pkl", &program), ("x/data/0", &[0; 44])]), "has 44 bytes");
    let big = archive(&[("x/data.pkl", &program), ("x/data/0", &[0; 48]), ("x/byteorder", b"big")]);
    refused("big", &big, "little is read");
    // Names are compared and never opened.
    let outside = archive(&[("../../x/data.pkl", &program), ("../../x/data/0", &[0; 48])]);
    assert!(run("outside", &outside).is_ok());
}

#[test]
fn cuts_and_flipped_bytes_are_an_error_or_harmless() {
    let good =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/data/pickles/tensors.pt"))
            .unwrap();
    for end in (0..good.len()).step_by(7) {
        assert!(run("cut", &good[..end]).is_err(), "cut at {end}");
    }
    for at in (0..good.len()).step_by(3) {
        for bits in [0x01, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= bits;
            drop(run("flipped", &bytes));
        }
    }
}
