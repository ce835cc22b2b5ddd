//! Files that are made of a hub's.

use std::cell::Cell;
use std::fs;
use std::io::Write;

use hub::{Error, Settings, Snapshot};

use crate::server::{COMMIT, Server, digest_of};
use crate::support::{Folder, check_cache, files, load, load_from, settings};

const MADE: &str = "made.safetensors";

/// Makes a file of twice the bytes; tells whether it had to.
fn derive(snapshot: &Snapshot) -> Result<bool, Error> {
    let made = Cell::new(false);
    snapshot.derive("model.safetensors", MADE, |from, to| {
        made.set(true);
        let bytes = fs::read(from).unwrap();
        to.write_all(&bytes).and_then(|()| to.write_all(&bytes)).unwrap();
        Ok::<_, Error>(())
    })?;
    Ok(made.get())
}

fn expected() -> Vec<u8> {
    files().pop().unwrap().1.repeat(2)
}

fn with_links(mut settings: Settings, links: bool) -> Settings {
    settings.links = links;
    settings
}

#[test]
fn a_derived_file_is_made_once_and_checked_like_others() {
    let server = Server::new(&files());
    for links in [true, false] {
        let folder = Folder::new("derived");
        let own = with_links(settings(&server.endpoint(), &folder.0, |_| {}), links);
        let place = load(&own).unwrap().folder().join(MADE);
        assert!(derive(&load(&own).unwrap()).unwrap());
        assert_eq!(fs::read(&place).unwrap(), expected());
        assert!(!derive(&load(&own).unwrap()).unwrap(), "it is there");
        check_cache("derived", &folder.0);
        // Somebody damages it; somebody removes the link.
        fs::write(&place, b"damaged").unwrap();
        assert!(derive(&load(&own).unwrap()).unwrap(), "links {links}");
        assert_eq!(fs::read(&place).unwrap(), expected());
        fs::remove_file(&place).unwrap();
        assert_eq!(derive(&load(&own).unwrap()).unwrap(), !links);
        assert_eq!(fs::read(&place).unwrap(), expected());
        assert_eq!(hub::verify(&own, None, &hub::Task::silent()).unwrap(), []);
        let offline = settings(&server.endpoint(), &folder.0, |options| options.offline = Some(true));
        let offline = with_links(offline, links);
        assert!(!derive(&load(&offline).unwrap()).unwrap());
        assert_eq!(hub::prune(&own).unwrap(), 0);
    }
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let (server, folder) = (Server::new(&files()), Folder::new("not-derived"));
    let snapshot = load_from(&server, &folder.0).unwrap();
    let outcome = snapshot.derive("model.safetensors", MADE, |_, to| {
        to.write_all(b"half of it").unwrap();
        Err::<(), _>(Error::Cancelled)
    });
    assert!(matches!(outcome, Err(Error::Cancelled)));
    let blobs = folder.0.join("models--org--tiny/blobs");
    let (_, large) = files().pop().unwrap();
    let names: Vec<String> = fs::read_dir(&blobs)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("made") || name.contains("incomplete"))
        .collect();
    assert_eq!(names, [] as [String; 0]);
    // A process that was killed leaves a file on its way, which nothing takes for the original's.
    let left = blobs.join(format!("made-of-{}.01234567.incomplete", digest_of(&large)));
    fs::write(&left, b"half of it").unwrap();
    fs::remove_file(blobs.join(digest_of(&large))).unwrap();
    let snapshot = load_from(&server, &folder.0).unwrap();
    assert!(left.exists());
    assert!(derive(&snapshot).unwrap());
    assert_eq!(
        fs::read(folder.0.join("models--org--tiny/snapshots").join(COMMIT).join(MADE)).unwrap(),
        expected()
    );
}
