//! Headers: whatever bytes a file has, reading them ends in a header that holds or in a sentence.

use super::made;
use crate::lora::files::{Dtype, header, tensor_file::TensorFile};
use proptest::prelude::*;
use std::{collections::BTreeMap, fs, path::Path};

fn opened(bytes: &[u8]) -> Result<TensorFile, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    TensorFile::open(file.path()).map_err(|error| error.to_string())
}

fn with(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn good() -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let a = made::raw("a", &[2, 3], Dtype::F32, &made::values(1, 6));
    let b = made::raw("b", &[5], Dtype::Bf16, &made::values(2, 5));
    made::save(file.path(), &[a, b]);
    fs::read(file.path()).unwrap()
}

#[test]
fn what_others_write_is_read() {
    let file = opened(&good()).unwrap();
    let [a, b] = ["a", "b"].map(|name| file.entry(name).unwrap());
    assert_eq!((&a.shape[..], &b.shape[..]), (&[2, 3][..], &[5][..]));
    assert_eq!(file.read(a).unwrap(), made::values(1, 6));
    assert_eq!(file.read(b).unwrap().len(), 5);
    assert_eq!(file.header().metadata["format"], "pt");
}

#[test]
fn what_is_written_others_read() {
    let metadata = BTreeMap::from([("k\"ey".to_string(), "välue\n".to_string())]);
    let shapes = [("one", &[2, 2][..]), ("scalar", &[]), ("none", &[0, 3])];
    let mut bytes = header::written(shapes.into_iter(), &metadata);
    assert_eq!(bytes.len() % 8, 0);
    bytes.resize(bytes.len() + 4 * 5, 0);
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(theirs.tensor("one").unwrap().shape(), [2, 2]);
    assert_eq!(theirs.tensor("scalar").unwrap().data().len(), 4);
    assert_eq!(theirs.tensor("none").unwrap().shape(), [0, 3]);
    assert_eq!(opened(&bytes).unwrap().header().metadata, metadata);
}

#[test]
fn every_lie_is_a_sentence() {
    let of = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
    };
    let a = of("F32", "[2]", "[0,8]");
    let cases = [
        (
            format!(r#"{{"a":{}}}"#, of("F32", "[3]", "[0,8]")),
            8,
            "a has 8 bytes, which is not what F32 [3] takes",
        ),
        (
            format!(r#"{{"a":{}}}"#, of("F32", "[2]", "[8,0]")),
            8,
            "a has none bytes",
        ),
        (
            format!(r#"{{"a":{}}}"#, of("F31", "[2]", "[0,8]")),
            8,
            "unknown type \"F31\"",
        ),
        (
            format!(
                r#"{{"a":{}}}"#,
                of("F32", "[4611686018427387904,4]", "[0,8]")
            ),
            8,
            "not what F32",
        ),
        (
            format!(
                r#"{{"a":{}}}"#,
                of("U8", "[0]", "[18446744073709551615,18446744073709551615]")
            ),
            0,
            "beyond every file",
        ),
        (
            format!(r#"{{"a":{a},"b":{}}}"#, of("F32", "[2]", "[4,12]")),
            12,
            "the bytes of b overlap",
        ),
        (
            format!(r#"{{"a":{a},"b":{}}}"#, of("F32", "[2]", "[12,20]")),
            20,
            "leave a gap",
        ),
        (
            format!(r#"{{"a":{a},"a":{}}}"#, of("F32", "[2]", "[8,16]")),
            16,
            "a is there twice",
        ),
        (format!(r#"{{"a":{a}}}"#), 7, "it is truncated"),
        (format!(r#"{{"a":{a}}}"#), 9, "something follows them"),
        (
            r#"{"__metadata__":{},"__metadata__":{}}"#.into(),
            0,
            "duplicate field",
        ),
        (r#"{"a":[]}"#.into(), 0, "no safetensors header"),
        ("[]".into(), 0, "no safetensors header"),
        ("{".into(), 0, "no safetensors header"),
    ];
    for (header, data, expected) in cases {
        let error = opened(&with(&header, data)).unwrap_err();
        assert!(error.contains(expected), "{header}: {error}");
    }
    assert!(opened(b"short").unwrap_err().contains("5 bytes"));
    let missing = TensorFile::open(Path::new("/none/x.safetensors")).unwrap_err();
    assert!(missing.to_string().contains("/none/x.safetensors"));
}

/// A length beyond the file is not allocated: the test would not get that memory.
#[test]
fn a_header_of_any_length_is_refused() {
    for length in [u64::MAX, 1 << 40, 99_999_999] {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(b"{}");
        assert!(
            opened(&bytes).unwrap_err().contains("truncated"),
            "{length}"
        );
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let good = good();
    for end in 0..good.len() {
        assert!(
            opened(&good[..end]).is_err(),
            "cut at {end} of {}",
            good.len()
        );
    }
}

#[test]
fn numbers_that_are_none_are_named() {
    let mut values = made::values(3, 6);
    for (broken, text) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
        for dtype in Dtype::ALL {
            values[4] = broken;
            let file = tempfile::NamedTempFile::new().unwrap();
            made::save(file.path(), &[made::raw("w", &[2, 3], *dtype, &values)]);
            let file = TensorFile::open(file.path()).unwrap();
            let error = file.read(file.entry("w").unwrap()).unwrap_err().to_string();
            assert!(error.contains(&format!("w[1, 1] is {text}")), "{error}");
        }
    }
}

#[test]
fn numbers_are_widened_exactly_and_rounded_to_even() {
    let stored = |dtype: Dtype, value: f32| {
        let mut bytes = Vec::new();
        dtype.encode(&[value], &mut bytes);
        let mut back = Vec::new();
        dtype.decode(&bytes, &mut back);
        back[0]
    };
    let (bf16, half) = (1.0 / 128.0, 1.0 / 1024.0);
    for (dtype, step) in [(Dtype::Bf16, bf16), (Dtype::F16, half)] {
        assert_eq!(stored(dtype, 1.0 + step), 1.0 + step);
        assert_eq!(
            stored(dtype, 1.0 + step / 2.0),
            1.0,
            "{dtype}: a tie goes to the even one"
        );
        assert_eq!(stored(dtype, 1.0 + step * 1.5), 1.0 + 2.0 * step, "{dtype}");
        assert_eq!(stored(dtype, 1.0 + step * 0.51), 1.0 + step, "{dtype}");
    }
    assert_eq!(stored(Dtype::F16, 65520.0), f32::INFINITY);
    assert_eq!(
        stored(Dtype::F16, 6e-8),
        2f32.powi(-24),
        "the smallest there is"
    );
    assert_eq!(stored(Dtype::F32, f32::MIN_POSITIVE), f32::MIN_POSITIVE);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_header_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..200), length in any::<u64>()) {
        let _ = header::parse(&text, length);
    }

    #[test]
    fn a_header_that_passes_holds(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = good();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(file) = opened(&bytes) {
            let mut end = file.header().data;
            for entry in &file.header().entries {
                prop_assert_eq!(entry.bytes.start, end);
                end = entry.bytes.end;
                let _ = file.read(entry);
            }
            prop_assert_eq!(end, bytes.len() as u64);
        }
    }

    #[test]
    fn what_is_written_is_read(shapes in prop::collection::btree_map("[a-z.\"\u{e4}]{1,8}", prop::collection::vec(0usize..4, 0..4), 0..6)) {
        let list = shapes.iter().map(|(name, shape)| (name.as_str(), &shape[..]));
        let bytes = header::written(list, &BTreeMap::new());
        let data: usize = shapes.values().map(|shape| 4 * shape.iter().product::<usize>()).sum();
        let read = header::parse(&bytes[8..], (bytes.len() + data) as u64).unwrap();
        let found: BTreeMap<String, Vec<usize>> = read.entries.into_iter().map(|entry| (entry.name, entry.shape)).collect();
        prop_assert_eq!(found, shapes);
    }
}
