use std::{collections::BTreeMap, os::unix::fs::symlink, sync::mpsc};

use model::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::key_repository::*;
use crate::random;

const A: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const B: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
const C: &str = "AgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICE=";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// The files of a folder by name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_keys().collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn encrypted(keys: &Keys) -> String {
    keys.encrypt(b"hello", Timestamp::UNIX_EPOCH, random::bytes())
}

fn encrypted_by(key: &str) -> String {
    encrypted(&Key::parse(key).unwrap().into())
}

#[test]
fn setup_creates_a_staged_and_a_primary_key_that_only_the_owner_reads() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("etc/fernet-keys");
    let repository = KeyRepository::new(&path);
    assert!(repository.setup(3, None).unwrap());
    assert_eq!(names(&path), ["0", "1"]);
    assert_eq!(mode(&path), 0o700);
    for (name, key) in files(&path) {
        assert_eq!(mode(&path.join(name)), 0o600);
        assert_eq!(key.len(), 44);
    }
    assert_eq!(repository.load().unwrap().count(), 2);
}

#[test]
fn setup_leaves_a_repository_alone_that_has_a_staged_key() {
    let folder = folder(&[("0", A)]);
    assert!(!KeyRepository::new(folder.path()).setup(3, None).unwrap());
    assert_eq!(names(folder.path()), ["0"]);
}

#[test]
fn setup_gives_new_files_to_the_owner() {
    let parent = tempfile::tempdir().unwrap();
    // Any process may give files to itself.
    let own = fs::metadata(parent.path()).unwrap();
    let owner = Owner {
        uid: own.uid(),
        gid: own.gid(),
    };
    let path = parent.path().join("keys");
    KeyRepository::new(&path).setup(3, Some(owner)).unwrap();
    let staged = fs::metadata(path.join("0")).unwrap();
    assert_eq!((staged.uid(), staged.gid()), (own.uid(), own.gid()));
}

#[test]
fn a_rotation_promotes_the_staged_key_and_deletes_the_oldest() {
    let folder = folder(&[("0", A), ("1", B), ("2", C)]);
    let repository = KeyRepository::new(folder.path());
    repository.rotate(3, None).unwrap();
    let files = files(folder.path());
    assert_eq!(names(folder.path()), ["0", "2", "3"]);
    assert_eq!((&*files["2"], &*files["3"]), (C, A));
    assert_ne!(files["0"], A);
    assert_eq!(mode(&folder.path().join("0")), 0o600);

    repository.rotate(3, None).unwrap();
    assert_eq!(names(folder.path()), ["0", "3", "4"]);
}

#[test]
fn a_rotation_with_room_deletes_nothing_and_with_less_deletes_several() {
    let folder = folder(&[("0", A), ("1", B)]);
    let repository = KeyRepository::new(folder.path());
    repository.rotate(5, None).unwrap();
    repository.rotate(5, None).unwrap();
    repository.rotate(5, None).unwrap();
    assert_eq!(names(folder.path()), ["0", "1", "2", "3", "4"]);
    repository.rotate(2, None).unwrap();
    assert_eq!(names(folder.path()), ["0", "5"]);
    repository.rotate(1, None).unwrap();
    assert_eq!(names(folder.path()), ["0"]);
    assert_eq!(repository.load().unwrap().count(), 1);
}

#[test]
fn a_rotation_survives_what_an_interrupted_one_left_behind() {
    let folder = folder(&[("0", A), ("1", B), ("0.tmp", "half a k")]);
    KeyRepository::new(folder.path()).rotate(3, None).unwrap();
    assert_eq!(names(folder.path()), ["0", "1", "2"]);
    assert_eq!(KeyRepository::new(folder.path()).load().unwrap().count(), 3);
}

#[test]
fn nothing_is_rotated_without_a_staged_key() {
    for (name, key) in [("1", B), ("0", "")] {
        let folder = folder(&[(name, key)]);
        let error = KeyRepository::new(folder.path())
            .rotate(3, None)
            .unwrap_err();
        assert!(
            matches!(error, KeyRepositoryError::NoStagedKey(_)),
            "{error}"
        );
        assert_eq!(names(folder.path()), [name]);
    }
}

#[test]
fn the_highest_number_encrypts_and_every_key_decrypts() {
    let folder = folder(&[("0", A), ("9", B), ("10", C)]);
    let keys = KeyRepository::new(folder.path()).load().unwrap();
    assert_eq!(encrypted_by_which(&encrypted(&keys)), C);
    for key in [A, B, C] {
        assert!(keys.decrypt(&encrypted_by(key)).is_ok());
    }
}

fn encrypted_by_which(message: &str) -> &'static str {
    let fits = |key: &str| {
        Keys::from(Key::parse(key).unwrap())
            .decrypt(message)
            .is_ok()
    };
    [A, B, C, NULL_KEY]
        .into_iter()
        .find(|key| fits(key))
        .unwrap()
}

#[test]
fn other_names_and_empty_files_are_ignored() {
    let folder = folder(&[
        ("0", A),
        ("1", B),
        ("2", ""),
        ("0.tmp", "half a k"),
        ("README", "keys"),
        ("-1", C),
        ("+3", C),
        ("99999999999999999999", C),
    ]);
    fs::create_dir(folder.path().join("7")).unwrap();
    let keys = KeyRepository::new(folder.path()).load().unwrap();
    assert_eq!(keys.count(), 2);
    assert_eq!(encrypted_by_which(&encrypted(&keys)), B);
}

#[test]
fn links_to_keys_are_followed() {
    let (target, folder) = (folder(&[("key", B)]), folder(&[("0", A)]));
    symlink(target.path().join("key"), folder.path().join("1")).unwrap();
    let keys = KeyRepository::new(folder.path()).load().unwrap();
    assert_eq!(encrypted_by_which(&encrypted(&keys)), B);
}

#[test]
fn a_repository_that_is_missing_empty_or_damaged_is_not_opened() {
    let missing = KeyRing::open("/nonexistent/keys").err().unwrap();
    assert!(
        matches!(missing, KeyRepositoryError::Io { .. }),
        "{missing}"
    );
    let empty = KeyRing::open(folder(&[]).path()).err().unwrap();
    assert!(matches!(empty, KeyRepositoryError::Empty(_)), "{empty}");
    let folder = folder(&[("0", A), ("1", "nonsense")]);
    let damaged = KeyRing::open(folder.path()).err().unwrap();
    assert!(matches!(&damaged, KeyRepositoryError::InvalidKey(path) if path.ends_with("1")));
}

#[test]
fn a_refresh_reads_the_keys_only_when_the_files_have_changed() {
    let folder = folder(&[("0", A), ("1", B)]);
    let ring = KeyRing::open(folder.path()).unwrap();
    let before = ring.current();
    assert!(!ring.refresh());
    assert!(Arc::ptr_eq(&before, &ring.current()));

    KeyRepository::new(folder.path()).rotate(3, None).unwrap();
    assert!(ring.refresh());
    assert_eq!(encrypted_by_which(&encrypted(&ring.current())), A);
    assert!(!ring.refresh());
}

#[test]
fn a_file_that_is_replaced_by_one_of_the_same_name_and_length_is_noticed() {
    let folder = folder(&[("0", A), ("1", B)]);
    let ring = KeyRing::open(folder.path()).unwrap();
    let new = folder.path().join("new");
    fs::write(&new, C).unwrap();
    fs::rename(&new, folder.path().join("1")).unwrap();
    assert!(ring.refresh());
    assert_eq!(encrypted_by_which(&encrypted(&ring.current())), C);
}

#[test]
fn a_repository_that_is_emptied_damaged_or_removed_leaves_the_keys_in_use() {
    let folder = folder(&[("0", A), ("1", B)]);
    let ring = KeyRing::open(folder.path()).unwrap();
    let primary = folder.path().join("1");

    fs::write(&primary, "nonsense").unwrap();
    assert!(!ring.refresh());
    fs::remove_file(&primary).unwrap();
    fs::remove_file(folder.path().join("0")).unwrap();
    assert!(!ring.refresh());
    fs::remove_dir(folder.path()).unwrap();
    assert!(!ring.refresh());
    assert_eq!(encrypted_by_which(&encrypted(&ring.current())), B);

    fs::create_dir(folder.path()).unwrap();
    fs::write(&primary, C).unwrap();
    assert!(ring.refresh());
    assert_eq!(encrypted_by_which(&encrypted(&ring.current())), C);
}

#[tokio::test]
async fn a_key_that_another_process_has_just_rotated_in_is_found_at_once() {
    let folder = folder(&[("0", A), ("1", B)]);
    let ring = Arc::new(KeyRing::open(folder.path()).unwrap());
    let _follower = ring.follow().unwrap();
    assert_eq!(ring.decrypt(&encrypted_by(C)), Err(DecryptError::NoKeyFits));
    fs::write(folder.path().join("2"), C).unwrap();
    ring.next_look().await;
    assert_eq!(ring.decrypt(&encrypted_by(C)).unwrap().content, b"hello");
}

#[tokio::test]
async fn a_flood_of_bad_messages_asks_the_disk_only_now_and_then() {
    let folder = folder(&[("0", A), ("1", B)]);
    let ring = Arc::new(KeyRing::open(folder.path()).unwrap());
    let _follower = ring.follow().unwrap();
    let bad = encrypted_by(C);
    let began = Stopwatch::start();
    for _ in 0..2000 {
        assert_eq!(ring.decrypt(&bad), Err(DecryptError::NoKeyFits));
    }
    ring.next_look().await;
    let most = began.elapsed().as_millis() / RETRY_INTERVAL.as_millis() + 3;
    assert!(u128::from(ring.looks.borrow().begun) <= most);
}

#[test]
fn anyone_who_decrypts_never_reads_the_folder() {
    let folder = folder(&[("0", A), ("1", B)]);
    let ring = KeyRing::open(folder.path()).unwrap();
    fs::write(folder.path().join("2"), C).unwrap();
    assert_eq!(ring.decrypt(&encrypted_by(C)), Err(DecryptError::NoKeyFits));
    assert_eq!(ring.decrypt("nonsense"), Err(DecryptError::Malformed));
    assert!(ring.refresh());
    assert!(ring.decrypt(&encrypted_by(C)).is_ok());
}

#[tokio::test]
async fn a_folder_that_hangs_holds_up_nobody_for_long_who_shows_a_token() {
    let folder = folder(&[("0", A), ("1", B)]);
    let ring = Arc::new(KeyRing::open(folder.path()).unwrap());
    let _follower = ring.follow().unwrap();
    let known = encrypted_by(A);
    // As long as a read of the folder does not end, this is held.
    let (hold, held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let hanging = Arc::clone(&ring);
    let reader = thread::spawn(move || {
        let _polled = hanging.polled.lock().unwrap();
        hold.send(()).unwrap();
        let _ = released.recv();
    });
    held.recv().unwrap();
    let ask = async || {
        assert_eq!(ring.decrypt(&encrypted_by(C)), Err(DecryptError::NoKeyFits));
        ring.next_look().await;
        assert!(ring.decrypt(&known).is_ok());
    };
    let is_known_to_hang = || {
        let since = ring.looks.borrow().since;
        since.is_some_and(|at| at.elapsed() > PATIENCE)
    };
    while !is_known_to_hang() {
        tokio::time::timeout(20 * PATIENCE, ask()).await.unwrap();
    }
    // Now nobody waits at all, and nobody else looks at it.
    let looks = ring.looks.borrow().begun;
    for _ in 0..20 {
        let mut ask = std::pin::pin!(ask());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(ask.as_mut().poll(&mut context).is_ready());
    }
    assert!(is_known_to_hang());
    assert_eq!(ring.looks.borrow().begun, looks);
    drop(release);
    reader.join().unwrap();
    // It is looked at again as soon as it answers.
    fs::write(folder.path().join("2"), C).unwrap();
    let found = async {
        while ring.decrypt(&encrypted_by(C)).is_err() {
            tokio::task::yield_now().await;
            ring.next_look().await;
        }
    };
    tokio::time::timeout(20 * PATIENCE, found).await.unwrap();
}

#[test]
fn the_null_key_serves_until_the_repository_can_be_used_and_decrypts_ever_after() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("credential-keys");
    let ring = KeyRing::open_with_null_key(&path);
    assert_eq!(ring.current().count(), 1);
    assert_eq!(encrypted_by_which(&encrypted(&ring.current())), NULL_KEY);
    assert!(!ring.refresh());

    fs::create_dir(&path).unwrap();
    assert!(!ring.refresh());
    fs::write(path.join("0"), A).unwrap();
    fs::write(path.join("1"), B).unwrap();
    assert!(ring.refresh());
    assert_eq!(ring.current().count(), 3);
    assert_eq!(encrypted_by_which(&encrypted(&ring.current())), B);
    assert!(ring.decrypt(&encrypted_by(NULL_KEY)).is_ok());
    assert_eq!(KeyRing::open_with_null_key(&path).current().count(), 3);
}
