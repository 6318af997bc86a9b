//! What is found and what is said of it; the whole way from the libraries is in the tests of the driver.

use super::*;

fn found() -> Presence {
    let card = |ordinal: usize, name: &str, capability| Card {
        ordinal,
        name: name.into(),
        capability,
        multiprocessors: 132,
        memory: 150_000_000_000,
        free: Some(149_000_000_000),
    };
    Presence {
        driver: Ok(CudaVersion(12_080)),
        release: Some("570.124.06".into()),
        cards: vec![
            card(0, "NVIDIA H200", (9, 0)),
            card(1, "Tesla V100", (7, 0)),
        ],
        library: Ok(LibraryVersion(120_804)),
        visible: None,
        looked: Looked,
    }
}

fn said(presence: &Presence, ordinal: usize) -> String {
    presence.card(ordinal).expect_err("something is missing").0
}

/// Wherever the tests run, with a driver or without: looking is no panic, and what is missing is a sentence.
#[test]
fn looking_never_panics() {
    let presence = Presence::look();
    let findings = presence.findings();
    for finding in &findings {
        println!("{finding:?}");
        assert!(!finding.text.is_empty());
    }
    assert_eq!(findings[0].what, "driver");
    assert_eq!(findings[0].good, presence.driver.is_ok());
    match presence.driver {
        Err(Missing::Driver) => assert!(
            said(&presence, 0)
                .starts_with("there is no NVIDIA driver (libcuda.so.1 was not found): install")
        ),
        Err(_) => assert!(said(&presence, 0).contains("NVIDIA driver")),
        Ok(_) => eprintln!("skipped the sentence of a missing driver: there is one"),
    }
    assert_eq!(presence, Presence::look(), "looking changes nothing");
}

#[test]
fn a_gpu_that_serves_is_given() {
    let presence = found();
    assert_eq!(presence.card(0).expect("serves").name, "NVIDIA H200");
    let texts: Vec<String> = presence
        .findings()
        .into_iter()
        .map(|finding| finding.text)
        .collect();
    assert_eq!(texts[0], "570.124.06, CUDA 12.8");
    assert_eq!(
        texts[1],
        "GPU 0: NVIDIA H200, compute capability 9.0, 150.0 GB (149.0 GB free)"
    );
    assert!(texts[2].contains("GPU 1 (Tesla V100) has compute capability 7.0"));
    assert_eq!(texts[3], "12.8.4");
    let machine = presence.machine(0).expect("serves");
    assert_eq!(machine.gpu, "NVIDIA H200, 9.0, 132 multiprocessors");
    assert_eq!(
        (&*machine.driver, &*machine.library),
        ("CUDA 12.8, 570.124.06", "12.8.4")
    );
    let good: Vec<bool> = presence
        .findings()
        .iter()
        .map(|finding| finding.good)
        .collect();
    assert_eq!(good, [true, true, false, true]);
}

#[test]
fn the_first_thing_missing_is_said() {
    let mut presence = found();
    assert!(said(&presence, 1).contains("compute capability 7.0"));
    assert!(said(&presence, 2).contains("GPU 2 was asked for and there are 2"));
    presence.library = Err(Missing::Library(Some(CudaVersion(12_080))));
    assert!(said(&presence, 0).contains("no cuBLASLt"));
    presence.cards.clear();
    assert!(said(&presence, 0).contains("sees no GPU"));
    presence.visible = Some("-1".into());
    assert!(said(&presence, 0).contains("CUDA_VISIBLE_DEVICES is \"-1\""));
    assert!(!presence.findings()[1].good);
    presence.driver = Err(Missing::DriverOld(CudaVersion(11_080)));
    assert!(said(&presence, 0).contains("supports CUDA 11.8"));
}

/// A function that is called and not asked for beforehand is a panic on the machine that lacks it.
#[test]
fn every_function_that_is_called_is_asked_for() {
    let sources = [
        include_str!("../presence.rs"),
        include_str!("../calls.rs"),
        include_str!("../gemm.rs"),
    ];
    let mut seen = 0;
    for source in sources {
        let tested = source.split("#[cfg(test)]").next().expect("a beginning");
        // Those that cudarc does not bind are looked up by name.
        for piece in tested.split("(b\"cu").skip(1) {
            let name = format!("cu{}", piece.split('"').next().expect("a beginning"));
            assert!(
                DRIVER.contains(&&*name),
                "{name} is looked up and not asked for"
            );
            seen += 1;
        }
        for piece in tested.split("sys::").skip(1) {
            let name: String = piece
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            let called = piece[name.len()..].starts_with('(');
            if called && (name.starts_with("cu") && !name.ends_with("culib")) {
                assert!(
                    DRIVER.contains(&&*name) || LIBRARY.contains(&&*name),
                    "{name} is called and not asked for"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "only {seen} calls were seen");
}
