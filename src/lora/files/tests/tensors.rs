//! Checkpoint files: the same bytes for the same numbers, and no damage goes unseen.

use super::made;
use crate::{
    artifacts::is_starved,
    lora::files::{Contents, read_tensors, write_tensors},
};
use std::{collections::BTreeMap, fs, io, path::Path};

fn metadata() -> BTreeMap<String, String> {
    BTreeMap::from([("step".to_string(), "17".to_string())])
}

fn written(path: &Path) -> Contents {
    let (a, mut b) = (made::values(1, 6), made::values(2, 70_000));
    (b[0], b[1]) = (f32::NAN, -0.0);
    let tensors = [
        ("b".to_string(), vec![700, 100], &b[..]),
        ("a".to_string(), vec![2, 3], &a[..]),
        ("none".to_string(), vec![0], &[][..]),
    ];
    write_tensors(path, &tensors, metadata()).unwrap();
    let tensors = tensors.map(|(name, shape, values)| (name, (shape, values.to_vec())));
    Contents {
        tensors: tensors.into(),
        metadata: metadata(),
    }
}

#[test]
fn numbers_come_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    let (right, found) = (written(&path), read_tensors(&path).unwrap());
    let bits = |contents: &Contents| {
        let tensors = contents.tensors.clone().into_iter();
        tensors
            .map(|(name, (shape, values))| {
                (
                    name,
                    shape,
                    values.into_iter().map(f32::to_bits).collect::<Vec<_>>(),
                )
            })
            .collect::<Vec<_>>()
    };
    assert!(bits(&found) == bits(&right));
    assert_eq!(found.metadata, metadata());
    let bytes = fs::read(&path).unwrap();
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(theirs.tensor("b").unwrap().shape(), [700, 100]);
    // The order of the arguments is not in the bytes.
    let (a, b) = (made::values(1, 2), made::values(2, 2));
    let [x, y] = ["x", "y"].map(|name| dir.path().join(name));
    let [first, second] = [
        ("a".to_string(), vec![2], &a[..]),
        ("b".to_string(), vec![2], &b[..]),
    ];
    write_tensors(&x, &[first.clone(), second.clone()], metadata()).unwrap();
    write_tensors(&y, &[second, first], metadata()).unwrap();
    assert_eq!(fs::read(x).unwrap(), fs::read(y).unwrap());
}

#[test]
fn no_damage_goes_unseen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    let (a, b) = (made::values(1, 6), made::values(2, 4));
    let tensors = [
        ("first".to_string(), vec![2, 3], &a[..]),
        ("second".to_string(), vec![4], &b[..]),
    ];
    write_tensors(&path, &tensors, metadata()).unwrap();
    let good = fs::read(&path).unwrap();
    let contents = read_tensors(&path).unwrap();
    for end in 0..good.len() {
        fs::write(&path, &good[..end]).unwrap();
        assert!(read_tensors(&path).is_err(), "cut at {end}");
    }
    let at = good.windows(5).position(|bytes| bytes == b"[2,3]").unwrap();
    let mut turned = good.clone();
    turned[at..at + 5].copy_from_slice(b"[3,2]");
    fs::write(&path, &turned).unwrap();
    assert!(
        read_tensors(&path).is_err(),
        "another shape of the same size"
    );
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            fs::write(&path, &bad).unwrap();
            // Blank space in the header may differ and mean the same; nothing else may.
            match read_tensors(&path) {
                Ok(found) => assert!(found == contents, "bit {bit} of byte {at}"),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}"),
            }
        }
    }
}

#[test]
fn files_of_others_and_tensors_that_are_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    made::save(
        &path,
        &[made::raw(
            "a",
            &[2],
            crate::lora::files::Dtype::F32,
            &[1.0, 2.0],
        )],
    );
    assert!(
        read_tensors(&path)
            .unwrap_err()
            .to_string()
            .contains("no checksum")
    );
    assert_eq!(
        read_tensors(&dir.path().join("none")).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    let values = [1.0; 4];
    let tensor = |name: &str, shape: Vec<usize>| (name.to_string(), shape, &values[..]);
    let refused = |tensors: &[_], metadata| {
        write_tensors(&path, tensors, metadata)
            .unwrap_err()
            .to_string()
    };
    assert!(
        refused(&[tensor("a", vec![3])], metadata()).contains("a has 4 numbers, its shape is [3]")
    );
    assert!(
        refused(&[tensor("a", vec![4]), tensor("a", vec![4])], metadata())
            .contains("a is there twice")
    );
    let own = BTreeMap::from([("crc32".to_string(), "0".to_string())]);
    assert!(refused(&[tensor("a", vec![4])], own).contains("crc32"));
}

/// What the system says must come through the sentence around it.
#[test]
fn a_full_disk_is_told_as_one() {
    let error = || io::Error::from(io::ErrorKind::StorageFull);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let full = crate::artifacts::write_atomic_with(&path, |_| Err(error())).unwrap_err();
    assert!(
        is_starved(&full) && full.to_string().contains("x"),
        "{full}"
    );
    assert!(
        fs::read_dir(dir.path()).unwrap().next().is_none(),
        "no temporary file stays"
    );
}
