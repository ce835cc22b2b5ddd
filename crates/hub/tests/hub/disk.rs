//! Disks that are full, closed or swept away while files come. A process with limits of its own is this test again.

use std::fs;

use hub::Error;

use crate::server::{Place, Server};
use crate::support::{Folder, check_cache, check_whole, files, load, load_from, settings};

fn kind(outcome: &Result<hub::Snapshot, Error>) -> String {
    let error = outcome.as_ref().err().map(|error| format!("{error:?}"));
    error.as_deref().and_then(|text| text.split([' ', '{', '(']).next()).unwrap_or("ok").into()
}

/// The child's work; nothing in a run of all tests.
#[test]
fn limited_child() {
    let (Ok(endpoint), Ok(cache)) =
        (std::env::var("HUB_LIMITED_ENDPOINT"), std::env::var("HUB_LIMITED_CACHE"))
    else {
        return;
    };
    println!("outcome {}", kind(&load(&settings(&endpoint, cache.as_ref(), |_| {}))));
}

/// What a load comes to in a process under these limits of the shell.
#[cfg(unix)]
fn limited(server: &Server, cache: &std::path::Path, limits: &str) -> String {
    // Without the trap a file that is too large ends the process, where a full disk would only be an error.
    let script = format!(
        "trap '' XFSZ; {limits}; exec \"$0\" --exact disk::limited_child --nocapture --test-threads 1"
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env("HUB_LIMITED_ENDPOINT", server.endpoint())
        .env("HUB_LIMITED_CACHE", cache)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{limits}: {text} {}", String::from_utf8_lossy(&output.stderr));
    let outcome = text.lines().find_map(|line| line.split("outcome ").nth(1));
    outcome.unwrap_or_default().trim().into()
}

#[cfg(unix)]
#[test]
fn a_disk_without_room_is_an_error_at_each_write() {
    let server = Server::new(&files());
    let mut outcomes = Vec::new();
    // Blocks of 512 or 1,024 bytes: nothing fits, small files do, parts of the large one, all of it.
    for blocks in [0, 1, 8, 100, 250, 400, 2000] {
        let (case, folder) = (format!("{blocks} blocks"), Folder::new("full"));
        let outcome = limited(&server, &folder.0, &format!("ulimit -f {blocks}"));
        assert_eq!(outcome, if blocks == 2000 || outcome == "ok" { "ok" } else { "Disk" }, "{case}");
        check_cache(&case, &folder.0);
        check_whole(&case, &load_from(&server, &folder.0).unwrap_or_else(|error| panic!("{case}: {error}")));
        check_cache(&case, &folder.0);
        outcomes.push(outcome);
    }
    assert_eq!((outcomes[0].as_str(), outcomes[3].as_str(), outcomes[6].as_str()), ("Disk", "Disk", "ok"));
}

#[cfg(unix)]
#[test]
fn a_process_without_files_left_gets_an_error() {
    let (server, folder) = (Server::new(&files()), Folder::new("files"));
    for files in [6, 8, 10, 12, 14] {
        let outcome = limited(&server, &folder.0, &format!("ulimit -n {files}"));
        assert!(["Disk", "Network", "ok"].contains(&outcome.as_str()), "{files}: {outcome}");
        check_cache("files", &folder.0);
    }
    check_whole("files", &load_from(&server, &folder.0).unwrap());
}

#[test]
fn a_place_that_can_hold_no_cache_is_an_error() {
    let (server, folder) = (Server::new(&files()), Folder::new("no-place"));
    let file = folder.0.join("file");
    fs::write(&file, b"a file").unwrap();
    let outcome = load_from(&server, &file);
    assert_eq!(kind(&outcome), "Disk");
    assert!(outcome.err().unwrap().to_string().contains("cacheDir"));
    assert_eq!(fs::read(&file).unwrap(), b"a file");
}

/// Only who is not allowed everything sees it: not root.
#[cfg(unix)]
#[test]
fn a_cache_that_may_not_be_written_serves_what_is_whole() {
    use std::os::unix::fs::PermissionsExt;
    let (server, folder) = (Server::new(&files()), Folder::new("read-only"));
    load_from(&server, &folder.0).unwrap();
    let allow = |mode| {
        let mut folders = vec![folder.0.clone()];
        while let Some(place) = folders.pop() {
            folders.extend(
                fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()),
            );
            fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    allow(0o500);
    check_whole("read-only", &load_from(&server, &folder.0).unwrap());
    allow(0o700);
}

#[test]
fn a_cache_that_is_swept_away_meanwhile_is_made_again() {
    let server = Server::new(&files());
    for _ in 0..20 {
        let folder = Folder::new("swept");
        std::thread::scope(|scope| {
            let loading = scope.spawn(|| load_from(&server, &folder.0));
            while !loading.is_finished() {
                drop(fs::remove_dir_all(folder.0.join("models--org--tiny")));
            }
            let outcome = kind(&loading.join().unwrap());
            assert!(["ok", "Disk"].contains(&outcome.as_str()), "{outcome}");
        });
        check_whole("swept", &load_from(&server, &folder.0).unwrap());
        check_cache("swept", &folder.0);
    }
}

/// As on file systems where every lock succeeds: nothing but bandwidth is lost.
#[test]
fn loads_without_locks_agree() {
    let (server, folder) = (Server::new(&files()), Folder::new("lockless"));
    fs::write(folder.0.join(".locks"), b"no folder").unwrap();
    std::thread::scope(|scope| {
        let loads: Vec<_> = (0..6).map(|_| scope.spawn(|| load_from(&server, &folder.0).unwrap())).collect();
        loads.into_iter().for_each(|load| check_whole("lockless", &load.join().unwrap()));
    });
    check_cache("lockless", &folder.0);
    assert!(server.seen().iter().any(|seen| seen.place == Place::Storage));
    let left = fs::read_dir(folder.0.join("models--org--tiny/blobs")).unwrap();
    let left =
        left.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".incomplete"));
    assert_eq!(left.count(), 0);
}
