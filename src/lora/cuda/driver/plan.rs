//! Which algorithm of the library a product uses: chosen once for a machine, written down, used ever after.
//!
//! The library offers several for each shape; they differ in speed and in the order of their sums. The fastest is found by
//! timing, and timing is chance: the choice is therefore recorded as text, and the next process reads it instead of timing
//! again, so that a resumed run makes the same bytes. An algorithm is 64 bytes that only the same version of the library
//! understands, and its sums depend on the GPU: both stand at the head of the file, and other machines' plans are not used.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::lora::backend::{Done, Trouble};

use crate::lora::cuda::driver::device::{Element, Gemm};

const TITLE: &str = "campaignd matrix product plans, 1";

/// The machine that plans hold for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Name, capability and multiprocessors of the GPU: the library chooses by all three.
    pub gpu: String,
    /// Of the driver.
    pub driver: String,
    /// Of cuBLASLt.
    pub library: String,
}

/// What the choice of an algorithm depends on; addresses and numbers are no part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// m, n and k.
    pub shape: [usize; 3],
    /// Leading dimensions of A, B and D.
    pub ld: [usize; 3],
    /// Whether A and B are transposed.
    pub transposed: [bool; 2],
    /// How D is stored.
    pub element: Element,
    /// Whether D's old numbers are read.
    pub adds: bool,
    /// Whether a bias is added.
    pub bias: bool,
}

impl Key {
    /// That of a product.
    pub fn of(gemm: &Gemm) -> Self {
        Self {
            shape: [gemm.m, gemm.n, gemm.k],
            ld: [gemm.a.ld, gemm.b.ld, gemm.ldd],
            transposed: [gemm.a.transposed, gemm.b.transposed],
            element: gemm.element,
            adds: gemm.beta != 0.0,
            bias: gemm.bias.is_some(),
        }
    }

    /// `8192x4096x4160 ld 4160 4160 4096 tn bf16 add bias`: t for a transposed A or B, n for a plain one.
    fn text(&self) -> String {
        let [m, n, k] = self.shape;
        let [a, b, d] = self.ld;
        let [ta, tb] = self.transposed.map(|is| if is { 't' } else { 'n' });
        let element = match self.element {
            Element::Bf16 => "bf16",
            Element::F32 => "f32",
        };
        let adds = if self.adds { "add" } else { "set" };
        let bias = if self.bias { "bias" } else { "bare" };
        format!("{m}x{n}x{k} ld {a} {b} {d} {ta}{tb} {element} {adds} {bias}")
    }

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let &[shape, "ld", a, b, d, transposed, element, adds, bias] = words.as_slice() else {
            return None;
        };
        let sizes: Vec<usize> = shape
            .split('x')
            .map(|size| size.parse().ok())
            .collect::<Option<_>>()?;
        let pick = |word: &str, no: &str, yes: &str| match word {
            _ if word == yes => Some(true),
            _ if word == no => Some(false),
            _ => None,
        };
        let key = Self {
            shape: sizes.try_into().ok()?,
            ld: [a.parse().ok()?, b.parse().ok()?, d.parse().ok()?],
            transposed: [
                pick(transposed.get(..1)?, "n", "t")?,
                pick(transposed.get(1..)?, "n", "t")?,
            ],
            element: match pick(element, "bf16", "f32")? {
                true => Element::F32,
                false => Element::Bf16,
            },
            adds: pick(adds, "set", "add")?,
            bias: pick(bias, "bare", "bias")?,
        };
        // One way to write each: no leading zeros or signs.
        (key.text() == text).then_some(key)
    }
}

/// An algorithm, as the library wrote it, and what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// `cublasLtMatmulAlgo_t`.
    pub algorithm: [u64; 8],
    /// Microseconds of one run; none where there was no room to try it: then it is the library's first proposal.
    pub microseconds: Option<f32>,
}

/// The plans of one machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Plans {
    machine: Machine,
    plans: BTreeMap<Key, Plan>,
}

impl Plans {
    /// None yet.
    pub fn new(machine: Machine) -> Self {
        Self {
            machine,
            plans: BTreeMap::new(),
        }
    }

    /// The plan of a key.
    pub fn get(&self, key: &Key) -> Option<&Plan> {
        self.plans.get(key)
    }

    /// Writes a plan down.
    pub fn insert(&mut self, key: Key, plan: Plan) {
        self.plans.insert(key, plan);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.plans.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }

    /// As a file: a title, three lines on the machine, then a plan a line in order of key.
    pub fn text(&self) -> String {
        let Machine {
            gpu,
            driver,
            library,
        } = &self.machine;
        let mut text = format!("{TITLE}\ngpu {gpu}\ndriver {driver}\ncublaslt {library}\n");
        for (key, plan) in &self.plans {
            let words: Vec<String> = plan
                .algorithm
                .iter()
                .map(|word| format!("{word:016x}"))
                .collect();
            let time = plan
                .microseconds
                .map_or("-".into(), |time| format!("{time:.1}"));
            writeln!(text, "{} = {} {time}", key.text(), words.join("")).expect("text grows");
        }
        text
    }

    /// The plans of a file, if it was made on this machine.
    ///
    /// # Errors
    ///
    /// Says what differs, or names the line that is not understood. The caller reports it, begins with [`Plans::new`], and the
    /// file is written anew.
    pub fn parse(text: &str, machine: &Machine) -> Done<Self> {
        let mut lines = text.lines().enumerate();
        let mut head = |wanted: String| match lines.next() {
            Some((_, line)) if line == wanted => Ok(()),
            Some((_, line)) => Err(Trouble(format!(
                "the recorded plans say `{line}`, and this is `{wanted}`"
            ))),
            None => Err(Trouble(format!("the recorded plans end before `{wanted}`"))),
        };
        head(TITLE.into())?;
        head(format!("gpu {}", machine.gpu))?;
        head(format!("driver {}", machine.driver))?;
        head(format!("cublaslt {}", machine.library))?;
        let mut plans = Self::new(machine.clone());
        for (number, line) in lines {
            let (key, plan) = parse(line).ok_or_else(|| {
                Trouble(format!(
                    "line {} of the recorded plans is not understood: `{line}`",
                    number + 1
                ))
            })?;
            if plans.plans.insert(key, plan).is_some() {
                return Err(Trouble(format!(
                    "line {} of the recorded plans repeats a key",
                    number + 1
                )));
            }
        }
        Ok(plans)
    }
}

fn parse(line: &str) -> Option<(Key, Plan)> {
    let (key, plan) = line.split_once(" = ")?;
    let (words, time) = plan.split_once(' ')?;
    if words.len() != 128 || !words.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut algorithm = [0; 8];
    for (place, word) in algorithm.iter_mut().enumerate() {
        *word = u64::from_str_radix(&words[16 * place..16 * (place + 1)], 16).ok()?;
    }
    let microseconds = match time {
        "-" => None,
        _ => Some(
            time.parse()
                .ok()
                .filter(|time: &f32| time.is_finite() && *time >= 0.0)?,
        ),
    };
    Some((
        Key::parse(key)?,
        Plan {
            algorithm,
            microseconds,
        },
    ))
}

/// The candidate whose median time is least, and that time; of equals the first, so the library's own order decides. A candidate
/// that has no time, or one that is no number, is passed over.
pub fn fastest(times: &[Vec<f32>]) -> Option<(usize, f32)> {
    let medians = times.iter().enumerate().filter_map(|(candidate, times)| {
        let mut times = times.clone();
        times.sort_by(f32::total_cmp);
        let median = *times.get(times.len() / 2)?;
        times
            .iter()
            .all(|time| time.is_finite())
            .then_some((candidate, median))
    });
    medians.min_by(|(_, a), (_, b)| a.total_cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::cuda::driver::device::{Address, Matrix};

    fn machine() -> Machine {
        Machine {
            gpu: "NVIDIA H200, 9.0, 132 multiprocessors".into(),
            driver: "12.8, 570.124.06".into(),
            library: "12.8.4".into(),
        }
    }

    fn gemm() -> Gemm {
        Gemm::new(
            [8192, 4096, 4160],
            Matrix::plain(Address(256), 4160),
            Matrix::transposed(Address(512), 4160),
            Address(1024),
            4096,
        )
    }

    fn plans() -> Plans {
        let mut plans = Plans::new(machine());
        let plan = Plan {
            algorithm: [1, u64::MAX, 3, 0, 0, 6, 7, 0x0123_4567_89ab_cdef],
            microseconds: Some(354.25),
        };
        plans.insert(Key::of(&gemm()), plan);
        let other = Gemm {
            beta: 1.0,
            element: Element::F32,
            a: Matrix::transposed(Address(256), 8192),
            ..gemm()
        };
        let untimed = Plan {
            microseconds: None,
            ..plan
        };
        plans.insert(Key::of(&other), untimed);
        let biased = Gemm {
            bias: Some(Address(16)),
            ..gemm()
        };
        plans.insert(Key::of(&biased), plan);
        plans
    }

    #[test]
    fn what_is_written_is_read() {
        let text = plans().text();
        println!("{text}");
        assert!(text.starts_with(
            "campaignd matrix product plans, 1\ngpu NVIDIA H200, 9.0, 132 multiprocessors\ndriver 12.8, 570.124.06\ncublaslt 12.8.4\n"
        ));
        assert!(text.contains(
            "\n8192x4096x4160 ld 4160 4160 4096 nt bf16 set bare = 0000000000000001ffffffffffffffff"
        ));
        let read = Plans::parse(&text, &machine()).expect("the same machine");
        assert_eq!(read.len(), 3);
        assert_eq!(read.text(), text);
        assert_eq!(
            read.get(&Key::of(&gemm())).expect("planned").algorithm[7],
            0x0123_4567_89ab_cdef
        );
    }

    #[test]
    fn plans_of_another_machine_are_not_used() {
        let text = plans().text();
        let others = [
            Machine {
                gpu: "NVIDIA A100".into(),
                ..machine()
            },
            Machine {
                driver: "13.0, 580.65.06".into(),
                ..machine()
            },
            Machine {
                library: "12.9.1".into(),
                ..machine()
            },
        ];
        for other in others {
            let Trouble(said) = Plans::parse(&text, &other).expect_err("another machine");
            assert!(said.contains("and this is"), "{said}");
        }
    }

    #[test]
    fn a_torn_or_changed_file_is_refused_by_line() {
        let text = plans().text();
        for cut in 1..text.len() {
            let Ok(read) = Plans::parse(&text[..cut], &machine()) else {
                continue;
            };
            // What is left are whole plans, but for the last digits of the last time.
            for (key, plan) in &read.plans {
                assert_eq!(plan.algorithm, plans().plans[key].algorithm);
            }
        }
        let said = |text: String| Plans::parse(&text, &machine()).expect_err("refused").0;
        assert!(
            said(text.replace(" bf16 set bare", " bf16 set naked"))
                .contains("line 5 of the recorded plans is not understood")
        );
        assert!(said(text.replace("8192x4096", "08192x4096")).contains("not understood"));
        assert!(said(text.replace("354.2", "NaN")).contains("not understood"));
        assert!(
            said(text.replace("0123456789abcdef", "0123456789abcdeg")).contains("not understood")
        );
        let line = text.lines().last().expect("a plan");
        assert!(
            said(format!("{text}{line}\n")).contains("line 8 of the recorded plans repeats a key")
        );
        assert!(said(String::new()).contains("end before"));
    }

    #[test]
    fn keys_differ_where_the_library_may_choose_otherwise() {
        let one = gemm();
        let others = [
            Gemm { m: 8191, ..one },
            Gemm { ldd: 4160, ..one },
            Gemm { beta: 1.0, ..one },
            Gemm {
                bias: Some(Address(16)),
                ..one
            },
            Gemm {
                element: Element::F32,
                ..one
            },
            Gemm {
                b: Matrix::plain(Address(512), 4160),
                ..one
            },
        ];
        for other in others {
            assert_ne!(Key::of(&one), Key::of(&other));
        }
        let moved = Gemm {
            d: Address(4096),
            alpha: 2.0,
            ..one
        };
        assert_eq!(Key::of(&one), Key::of(&moved));
    }

    #[test]
    fn the_fastest_median_is_chosen_and_the_first_of_equals() {
        let times = [
            vec![5.0, 1.0, 9.0],
            vec![4.0, 4.0, 90.0],
            vec![4.0, 4.0, 4.0],
        ];
        assert_eq!(fastest(&times), Some((1, 4.0)));
        assert_eq!(
            fastest(&[vec![], vec![f32::NAN, 1.0], vec![7.0]]),
            Some((2, 7.0))
        );
        assert_eq!(fastest(&[vec![], vec![]]), None);
        assert_eq!(fastest(&[]), None);
    }
}
