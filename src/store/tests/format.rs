//! The bytes on disk, written out: a change here means that old stores no longer read, unless the version was raised.

use super::super::{
    frame,
    header::Header,
    segment::{self, Body},
};
use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_entry_has_these_bytes() {
    let changes = vec![put(Tree::Outbox, "k", "v"), Change::delete(Tree::Jobs, "j")];
    let mut entry = draft("ab", changes).numbered(300);
    entry.what = "x".into();
    let golden = concat!(
        "0200",               // version 2
        "fb2c01",             // seq 300
        "fd20e7a65b39030000", // at_ms, zigzag
        "01fbe803",           // uid 1000
        "026162",             // campaign
        "086a6f625f6c6f7374", // event
        "0178",               // what
        "0107",               // payload
        "02",                 // two changes
        "03016b010176",       // outbox k = v
        "02016a00",           // jobs j deleted
    );
    assert_eq!(hex(&wire::encode(segment::BODY_VERSION, &entry)), golden);
    assert_eq!(
        wire::decode::<Entry>(1, &wire::encode(1, &entry)),
        Ok(entry)
    );
}

#[test]
fn every_tree_and_body_has_its_number() {
    let number = |tree| hex(&wire::encode(1, &tree)[2..]);
    assert_eq!(Tree::ALL.map(number), ["00", "01", "02", "03", "04", "05"]);
    assert_eq!(Tree::ALL.map(|tree| tree as usize), [0, 1, 2, 3, 4, 5]);
    assert_eq!(hex(&Body::Snapshot(Vec::new()).encode()), "02000000");
    assert_eq!(
        hex(&Body::SnapshotEnd { keys: 1, seq: 2 }.encode()),
        "0200010102"
    );
    assert_eq!(hex(&Body::Batch(Vec::new()).encode()), "02000200");
}

#[test]
fn a_header_and_a_frame_have_these_bytes() {
    let header = Header {
        index: 2,
        store: *b"\x01\x02\x03\x04\x05\x06\x07\x08",
        first_seq: 300,
    };
    let golden = "63616d706a726e6c01000000020000000102030405060708".to_owned()
        + "2c01000000000000"
        + "3e1eaa56";
    assert_eq!(hex(&header.bytes()), golden);
    assert_eq!(
        hex(&frame::frame(header.seal(), 5, b"body")),
        "c563640a040000000500000000000000f8aa040bbdfba42c626f6479"
    );
}

#[test]
fn a_newer_format_or_body_is_refused_by_name() {
    let dir = fresh();
    drop(open(dir.path()));
    let path = segments(dir.path()).remove(0);
    let whole = fs::read(&path).unwrap();

    let mut bytes = whole.clone();
    bytes[8] = 9;
    let crc = frame::checksum(0, &bytes[..32]);
    bytes[32..36].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    assert_newer(dir.path(), &path, 9);

    let seal = u32::from_le_bytes(whole[32..36].try_into().unwrap());
    bytes = whole;
    bytes.extend(frame::frame(seal, 1, &wire::encode(7, &"unheard of")));
    fs::write(&path, &bytes).unwrap();
    assert_newer(dir.path(), &path, 7);
    assert_eq!(
        fs::read(&path).unwrap(),
        bytes,
        "a refused file is left as it is"
    );
}

fn assert_newer(dir: &Path, path: &Path, version: u16) {
    match Store::open(dir, SEGMENT_LIMIT).err() {
        Some(Error::Newer { file, found, .. }) => {
            assert_eq!((file.as_path(), found), (path, version))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn entries_that_do_not_follow_each_other_are_damage() {
    let dir = fresh();
    open(dir.path()).0.commit(vec![numbered(1, 0)]).unwrap();
    let path = segments(dir.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    let seal = u32::from_le_bytes(whole[32..36].try_into().unwrap());
    for (claimed, seq) in [(3, 3), (1, 1), (3, 2)] {
        let body = Body::Batch(vec![numbered(9, 0).numbered(seq)]).encode();
        let bytes = [whole.as_slice(), &frame::frame(seal, claimed, &body)].concat();
        fs::write(&path, bytes).unwrap();
        match Store::open(dir.path(), SEGMENT_LIMIT).err() {
            Some(Error::Damaged { offset, .. }) => assert_eq!(offset as usize, whole.len()),
            other => panic!("{claimed} {seq}: {other:?}"),
        }
    }
}
