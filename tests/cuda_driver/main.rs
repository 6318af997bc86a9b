//! The driver's and the library's side of a device, run whole without a GPU: the shared library of `fake/cuda.rs` stands where the
//! loader finds libcuda and libcublasLt. Each case is a process of its own, since a process loads them once.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    process::{Command, Output},
    rc::Rc,
    sync::OnceLock,
};

use campaignd::lora::{
    backend::Trouble,
    cuda::{
        device::{Address, Arg, Device, Element, Gemm, Kernel, Launch, Matrix},
        driver::{
            gpu::{Gpu, Options},
            plan::Plans,
            presence::Presence,
            taken::{Taken, Untaken},
        },
        kernels,
        trial::{self, Verdict},
    },
};
use cudarc::driver::sys;

const KERNELS: &str = "
.version 8.0
.target sm_80
.visible .entry scale(
\t.param .u64 scale_param_0,
\t.param .u32 scale_param_1,
\t.param .f32 scale_param_2
)
.maxntid 128, 1, 1
{
\tret;
}
";

/// The folder with the two libraries, compiled once; none where there is no compiler to be started.
fn libraries() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fake");
        std::fs::create_dir_all(&folder).expect("a folder");
        let source = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/cuda_driver/fake/cuda.rs"
        );
        compile(Path::new(source), &folder.join("libcuda.so"))?;
        link(Path::new("libcuda.so"), &folder.join("libcublasLt.so"));
        Some(folder)
    })
    .as_deref()
}

/// Makes a shared library of a source; none where there is no compiler to be started.
fn compile(source: &Path, made: &Path) -> Option<()> {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let fresh = made.with_extension(std::process::id().to_string());
    let mut command = Command::new(compiler);
    command.args([
        "--edition=2024",
        "--crate-type=cdylib",
        "-Copt-level=1",
        "-o",
    ]);
    let output = command.arg(&fresh).arg(source).output().ok()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::rename(fresh, made).expect("one file system");
    Some(())
}

/// A link, in the place of whatever is there.
fn link(to: &Path, at: &Path) {
    let fresh = at.with_extension(std::process::id().to_string());
    std::os::unix::fs::symlink(to, &fresh).expect("a link");
    std::fs::rename(fresh, at).expect("one file system");
}

/// Runs one of the ignored tests below, with `settings` pretended, and libraries from `folder`.
fn run_in(folder: &Path, case: &str, settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args([
        case,
        "--exact",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command
        .env("LD_LIBRARY_PATH", folder)
        .env_remove("CUDA_VISIBLE_DEVICES")
        .envs(settings.iter().copied());
    command.output().expect("a process")
}

/// As [`run_in`], and it must pass; what it prints. None, with a reason, where the libraries cannot be made.
fn run(test: &str, case: &str, settings: &[(&str, &str)]) -> Option<String> {
    let Some(folder) = libraries() else {
        eprintln!("skipped {test}: no Rust compiler can be started to make the fake libraries");
        return None;
    };
    let output = run_in(folder, case, settings);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{case} {settings:?}:\n{text}"
    );
    Some(text)
}

#[test]
fn bytes_and_launches_arrive() {
    run("bytes_and_launches_arrive", "case_bytes_and_launches", &[]);
}

#[test]
fn products_are_planned_once_and_right() {
    // What the library does for those who want no partial sums: proposes, proposes nothing, fails.
    for none in ["none=0", "none=1", "none=15"] {
        let test = "products_are_planned_once_and_right";
        run(test, "case_products", &[("FAKE", none)]);
    }
}

#[test]
fn recorded_work_is_done_again() {
    run("recorded_work_is_done_again", "case_recording", &[]);
}

#[test]
fn what_is_wrong_never_reaches_the_gpu() {
    run("what_is_wrong_never_reaches_the_gpu", "case_wrong", &[]);
}

#[test]
fn a_lost_gpu_is_said_and_stays_lost() {
    for code in ["214", "700", "719", "999"] {
        let fail = format!("fail={code}@2");
        run(
            "a_lost_gpu_is_said_and_stays_lost",
            "case_lost",
            &[("FAKE", &fail)],
        );
    }
}

/// The fake GPU runs no kernel of ours, and says that it fails as a wrong one would; or it breaks as it is told.
#[test]
fn a_trial_tells_a_wrong_kernel_from_a_gpu_that_broke() {
    let test = "a_trial_tells_a_wrong_kernel_from_a_gpu_that_broke";
    for (fake, wanted) in [
        (
            "",
            "Fails(Trouble(\"the GPU failed its trial: the GPU was lost",
        ),
        (
            "fail=716@1",
            "Fails(Trouble(\"the GPU failed its trial: the GPU was lost",
        ),
        (
            "fail=2@1",
            "Unavailable(Trouble(\"the GPU had too little memory",
        ),
        ("fail=214@1", "Unavailable(Trouble(\"the GPU was lost"),
    ] {
        let Some(text) = run(test, "case_trial", &[("FAKE", fake)]) else {
            return;
        };
        assert!(text.contains(&format!("SAID {wanted}")), "{fake}: {text}");
    }
}

/// Each thing that may be missing, as the whole way from the libraries to the sentence.
#[test]
fn what_is_missing_is_said() {
    let test = "what_is_missing_is_said";
    let cases: [(&[(&str, &str)], &str); 12] = [
        (&[], "everything is there"),
        (
            &[("FAKE", "version=11040")],
            "the NVIDIA driver supports CUDA 11.4, and the kernels need 12.0",
        ),
        (
            &[("FAKE", "init=803")],
            "the NVIDIA driver would not start (CUDA error 803, driver and library do not match)",
        ),
        (
            &[("FAKE", "init=34")],
            "the NVIDIA driver would not start (CUDA error 34, stub library): libcuda.so is the stub",
        ),
        (&[("FAKE", "init=100")], "the NVIDIA driver sees no GPU"),
        (&[("FAKE", "devices=0")], "the NVIDIA driver sees no GPU"),
        (
            &[("FAKE", "devices=0"), ("CUDA_VISIBLE_DEVICES", "")],
            "CUDA_VISIBLE_DEVICES is \"\" and leaves no GPU",
        ),
        (
            &[("FAKE", "capability=75")],
            "GPU 0 (Fake 40) has compute capability 7.5, and the kernels need 8.0",
        ),
        (
            &[("FAKE", "library=110901")],
            "cuBLASLt is 11.9.1, and 12.0 is the oldest",
        ),
        (
            &[("FAKE", "library=130002,version=12040")],
            "cuBLASLt 13.0.2 needs a newer driver",
        ),
        (
            &[("FAKE", "free=700000000")],
            "Fake 40 has 700.0 MB of memory free, which is too little",
        ),
        (&[("FAKE", "free=900000000")], "everything is there"),
    ];
    for (settings, wanted) in cases {
        let Some(text) = run(test, "case_open", settings) else {
            return;
        };
        assert!(
            text.contains(&format!("SAID {wanted}")),
            "{settings:?}:\n{text}"
        );
        let found = "FOUND gpu true: GPU 0: Fake 40, compute capability 9.0, 40.0 GB (1.0 GB free)";
        assert!(!settings.is_empty() || text.contains(found), "{text}");
    }
}

/// The fake GPU has 40 GB, and as much of it is free as it is told.
#[test]
fn memory_is_shared_by_those_side_by_side() {
    let test = "memory_is_shared_by_those_side_by_side";
    // What is left to the driver, and what it takes for each.
    let (margin, context) = (768 << 20, 768 << 20);
    let share = (2_000_000_000 - margin - context) / 256 * 256;
    let cases = [
        ("3000000000", "1", format!("{} bytes of it", (3_000_000_000_u64 - margin) / 256 * 256)),
        ("3000000000", "20", format!("everything is there, {share} bytes of it")),
        ("1000000000", "20", format!("{} bytes of it", (1_000_000_000_u64 - margin) / 256 * 256)),
        ("3000000000", "40", "Fake 40 has 40.0 GB of memory, of which 40 side by side leave each nothing beside the 1.6 GB".into()),
        ("3000000000", "40", "(limits.max_training_jobs), passes: false".into()),
        ("700000000", "20", "which is too little to begin with".into()),
        ("700000000", "20", "passes: true".into()),
    ];
    for (free, many, wanted) in cases {
        let fake = format!("free={free}");
        let settings = [("FAKE", fake.as_str()), ("SIDE_BY_SIDE", many)];
        let Some(text) = run(test, "case_open", &settings) else {
            return;
        };
        assert!(text.contains(&wanted), "{settings:?}: {wanted}\n{text}");
    }
}

/// Libraries that are there and are not what their names say.
#[test]
fn libraries_that_lack_functions_are_said() {
    let test = "libraries_that_lack_functions_are_said";
    let Some(folder) = libraries() else {
        eprintln!("skipped {test}: no Rust compiler can be started to make the fake libraries");
        return;
    };
    let other = folder.join("other");
    std::fs::create_dir_all(&other).expect("a folder");
    let source = other.join("empty.rs");
    std::fs::write(&source, "//! A library without a function.\n").expect("a file");
    let empty = other.join("libempty.so");
    compile(&source, &empty).expect("a compiler, as before");
    let fake = folder.join("libcuda.so");
    for (driver, library, wanted) in [
        (
            Some(&empty),
            &fake,
            "the NVIDIA driver lacks cuCtxGetCurrent",
        ),
        (Some(&fake), &empty, "cuBLASLt lacks cublasLtCreate"),
        (None, &fake, "there is no NVIDIA driver"),
    ] {
        let _ = std::fs::remove_file(other.join("libcuda.so"));
        if let Some(driver) = driver {
            link(driver, &other.join("libcuda.so"));
        } else if Path::new("/proc/driver/nvidia/version").exists() {
            eprintln!("skipped {test}, no driver: this machine has one");
            continue;
        }
        link(library, &other.join("libcublasLt.so"));
        let output = run_in(&other, "case_open", &[]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains(&format!("SAID {wanted}")),
            "{text}"
        );
    }
}

/// A number that the fake libraries count.
#[allow(unsafe_code, reason = "asks a library that these tests have written")]
fn counted(name: &str) -> u64 {
    type Count = unsafe extern "C" fn() -> u64;
    // SAFETY: the fake library was loaded by what is tested, and its functions of these names take nothing.
    unsafe {
        sys::culib()
            .get::<Count>(name.as_bytes())
            .expect("the fake library")()
    }
}

/// How many handles and pieces of memory are alive.
fn live() -> u64 {
    counted("fake_live")
}

/// How often algorithms were asked for.
fn heuristics() -> u64 {
    counted("fake_heuristics")
}

fn no_record(_: &Plans) -> Result<(), Trouble> {
    Ok(())
}

fn options(plans: Plans) -> Options {
    Options {
        memory: Some(100 << 20),
        side_by_side: 1,
        plans,
        record: Box::new(no_record),
    }
}

fn opened(presence: &Presence, options: Options) -> Result<Gpu, Untaken> {
    Taken::open(presence, 0, &[("scale.ptx", KERNELS)])?.gpu(options)
}

fn open() -> Gpu {
    let presence = Presence::look();
    let plans = Plans::new(presence.machine(0).expect("a fake"));
    opened(&presence, options(plans)).expect("a fake")
}

/// Numbers from a seed, exact in bf16.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }

    fn numbers(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.below(9) as f32 - 4.0).collect()
    }
}

fn bytes(numbers: &[f32], element: Element) -> Vec<u8> {
    match element {
        Element::Bf16 => numbers
            .iter()
            .flat_map(|one| half::bf16::from_f32(*one).to_le_bytes())
            .collect(),
        Element::F32 => numbers.iter().flat_map(|one| one.to_le_bytes()).collect(),
    }
}

fn put(gpu: &Gpu, numbers: &[f32], element: Element) -> Address {
    let bytes = bytes(numbers, element);
    let at = gpu.reserve(bytes.len() as u64).expect("room");
    gpu.upload(&bytes, at).expect("an upload");
    at
}

fn get(gpu: &Gpu, at: Address, len: usize, element: Element) -> Vec<f32> {
    let mut bytes = vec![0; len * element.bytes() as usize];
    gpu.download(at, &mut bytes).expect("a download");
    match element {
        Element::Bf16 => bytes
            .chunks(2)
            .map(|one| half::bf16::from_le_bytes([one[0], one[1]]).to_f32())
            .collect(),
        Element::F32 => bytes
            .chunks(4)
            .map(|one| f32::from_le_bytes(one.try_into().expect("4")))
            .collect(),
    }
}

fn scale(gpu: &Gpu, at: Address, count: u32, by: f32) -> Result<(), Trouble> {
    let args: [Arg; 3] = [at.into(), count.into(), by.into()];
    gpu.launch(
        Kernel("scale"),
        &Launch::row(count.div_ceil(128), 128, 0),
        &args,
    )
}

#[test]
#[ignore = "run by bytes_and_launches_arrive, with the fake libraries"]
fn case_bytes_and_launches() {
    let mut drawn = Drawn(2026);
    let gpu = open();
    assert_eq!(gpu.name(), "Fake 40");
    // More than both halves that uploads pass through, and no whole multiple of one.
    let sent: Vec<u8> = (0..(40 << 20) + 12_345)
        .map(|_| drawn.below(256) as u8)
        .collect();
    let at = gpu.reserve(sent.len() as u64).expect("room");
    gpu.upload(&sent, at).expect("an upload");
    let mut came = vec![0; sent.len()];
    gpu.download(at, &mut came).expect("a download");
    assert!(sent == came, "an upload came back changed");

    let other = gpu.reserve(sent.len() as u64).expect("room");
    gpu.copy(at.plus(256), other, 1000).expect("a copy");
    gpu.zero(other.plus(500), 300).expect("zeroing");
    gpu.download(other, &mut came[..1000]).expect("a download");
    assert_eq!(came[..500], sent[256..756]);
    assert_eq!(came[500..800], [0; 300]);
    assert_eq!(came[800..1000], sent[1056..1256]);

    let numbers = drawn.numbers(300);
    let at = put(&gpu, &numbers, Element::F32);
    scale(&gpu, at, 299, -2.5).expect("a launch");
    scale(&gpu, at.f32(299), 1, 7.0).expect("a launch");
    let nothing = Launch::row(0, 128, 0);
    gpu.launch(Kernel("scale"), &nothing, &[])
        .expect("an empty grid launches nothing");
    let made = get(&gpu, at, 300, Element::F32);
    for (place, (made, was)) in made.iter().zip(&numbers).enumerate() {
        assert_eq!(*made, was * if place < 299 { -2.5 } else { 7.0 });
    }
    gpu.synchronize().expect("nothing failed");
    assert!(live() > 5);
    drop(gpu);
    assert_eq!(live(), 0, "everything is given back");
}

/// D as [`Gemm`] describes it, from numbers that sums keep exact.
fn plain(gemm: &Gemm, a: &[f32], b: &[f32], d: &[f32], bias: &[f32]) -> Vec<f32> {
    let at = |from: &[f32], matrix: &Matrix, row: usize, column: usize| match matrix.transposed {
        true => from[column * matrix.ld + row],
        false => from[row * matrix.ld + column],
    };
    let mut after = d.to_vec();
    for i in 0..gemm.m {
        for j in 0..gemm.n {
            let sum: f32 = (0..gemm.k)
                .map(|k| at(a, &gemm.a, i, k) * at(b, &gemm.b, k, j))
                .sum();
            let old = if gemm.beta == 0.0 {
                0.0
            } else {
                gemm.beta * d[i * gemm.ldd + j]
            };
            let made = gemm.alpha * sum + old + bias.get(j).copied().unwrap_or(0.0);
            after[i * gemm.ldd + j] = match gemm.element {
                Element::Bf16 => half::bf16::from_f32(made).to_f32(),
                Element::F32 => made,
            };
        }
    }
    after
}

fn product(gpu: &Gpu, drawn: &mut Drawn) {
    let [m, n, k] = [0; 3].map(|_| 1 + drawn.below(30));
    let mut factor = |rows: usize, columns: usize| {
        let transposed = drawn.below(2) == 1;
        let (rows, columns) = if transposed {
            (columns, rows)
        } else {
            (rows, columns)
        };
        let ld = columns.next_multiple_of(8) + 8 * drawn.below(2);
        let numbers = drawn.numbers(rows * ld);
        let at = put(gpu, &numbers, Element::Bf16);
        (Matrix { at, ld, transposed }, numbers)
    };
    let ((a, a_numbers), (b, b_numbers)) = (factor(m, k), factor(k, n));
    let element = [Element::Bf16, Element::F32][drawn.below(2)];
    let ldd = n.next_multiple_of(8) + 8 * drawn.below(2);
    let old = drawn.numbers(m * ldd);
    let d = put(gpu, &old, element);
    let biases = if element == Element::Bf16 {
        n * drawn.below(2)
    } else {
        0
    };
    let bias = drawn.numbers(biases);
    let gemm = Gemm {
        element,
        alpha: [1.0, 0.5][drawn.below(2)],
        beta: [0.0, 1.0][drawn.below(2)],
        bias: (!bias.is_empty()).then(|| put(gpu, &bias, Element::Bf16)),
        ..Gemm::new([m, n, k], a, b, d, ldd)
    };
    let room = gpu.room();
    gpu.gemm(&gemm).expect("a product");
    assert_eq!(gpu.room(), room, "trying took room for good");
    let made = get(gpu, d, m * ldd, element);
    assert_eq!(
        made,
        plain(&gemm, &a_numbers, &b_numbers, &old, &bias),
        "{gemm:?}"
    );
}

#[test]
#[ignore = "run by products_are_planned_once_and_right, with the fake libraries"]
fn case_products() {
    let presence = Presence::look();
    let machine = presence.machine(0).expect("a fake");
    let written = Rc::new(RefCell::new(String::new()));
    let recorded = written.clone();
    let gpu = opened(
        &presence,
        Options {
            record: Box::new(move |plans| {
                *recorded.borrow_mut() = plans.text();
                Ok(())
            }),
            ..options(Plans::new(machine.clone()))
        },
    )
    .expect("a fake");
    for seed in 0..40 {
        product(&gpu, &mut Drawn(seed));
    }
    let asked = heuristics();
    assert!(asked > 30, "{asked} questions");
    for seed in 0..40 {
        product(&gpu, &mut Drawn(seed));
    }
    assert_eq!(heuristics(), asked, "each shape is planned once");
    drop(gpu);
    assert_eq!(live(), 0);

    let text = written.borrow().clone();
    for line in text.lines().skip(4) {
        let (_, plan) = line.split_once(" = ").expect("a plan");
        assert!(
            plan.starts_with("0000000000000005"),
            "the fastest that serves is number 5: {line}"
        );
        let time: f32 = plan
            .rsplit(' ')
            .next()
            .expect("a time")
            .parse()
            .expect("a time");
        assert!((30.0..40.0).contains(&time), "{line}");
    }
    let plans = Plans::parse(&text, &machine).expect("what was written");
    let again = opened(&presence, options(plans)).expect("a fake");
    for seed in 0..40 {
        product(&again, &mut Drawn(seed));
    }
    assert_eq!(heuristics(), asked, "recorded plans are used");
    drop(again);

    // A recorded algorithm that the library does not know is not used.
    let changed = text.replace("= 0000000000000005", "= 0000000000000055");
    let plans = Plans::parse(&changed, &machine).expect("as good as any");
    let third = opened(&presence, options(plans)).expect("a fake");
    for seed in 0..40 {
        product(&third, &mut Drawn(seed));
    }
    assert_eq!(heuristics(), 2 * asked);

    drop(third);

    // Without room to try it out, the first proposal that serves is taken.
    let recorded = written.clone();
    let fourth = opened(
        &presence,
        Options {
            record: Box::new(move |plans| {
                *recorded.borrow_mut() = plans.text();
                Ok(())
            }),
            ..options(Plans::new(machine))
        },
    )
    .expect("a fake");
    let x = fourth.reserve(fourth.room()).expect("all of it");
    let at = |numbers| x.bf16(numbers);
    fourth.zero(x, 3 * 8192).expect("zeroing");
    let [a, b] = [at(0), at(4096)].map(|at| Matrix::plain(at, 64));
    let gemm = Gemm {
        beta: 1.0,
        ..Gemm::new([64, 64, 64], a, b, at(8192), 64)
    };
    fourth.gemm(&gemm).expect("a product");
    let text = written.borrow().clone();
    let line = text.lines().last().expect("a plan");
    assert!(
        line.contains(" add bare = 0000000000000003") && line.ends_with(" -"),
        "{line}"
    );
    drop(fourth);
    assert_eq!(live(), 0);
}

#[test]
#[ignore = "run by recorded_work_is_done_again, with the fake libraries"]
fn case_recording() {
    let gpu = open();
    let at = put(&gpu, &[1.0, 2.0, 3.0], Element::F32);
    let factor = put(&gpu, &[1.0; 64], Element::Bf16);
    let d = put(&gpu, &[0.0; 64], Element::F32);
    let gemm = Gemm {
        element: Element::F32,
        beta: 1.0,
        ..Gemm::new(
            [8, 8, 8],
            Matrix::plain(factor, 8),
            Matrix::plain(factor, 8),
            d,
            8,
        )
    };
    let body = || {
        scale(&gpu, at, 3, 2.0)?;
        gpu.gemm(&gemm)
    };
    let Trouble(said) = gpu
        .record(body)
        .err()
        .expect("the product is not planned yet");
    assert_eq!(
        said,
        "the first run of a 8 x 8 x 8 matrix product cannot be part of a recording"
    );
    body().expect("run once");
    let recorded = gpu.record(body).expect("a recording");
    assert_eq!(
        get(&gpu, at, 3, Element::F32),
        [2.0, 4.0, 6.0],
        "recording does nothing"
    );
    gpu.replay(&recorded).expect("a replay");
    gpu.replay(&recorded).expect("a replay");
    assert_eq!(get(&gpu, at, 3, Element::F32), [8.0, 16.0, 24.0]);
    assert_eq!(get(&gpu, d, 1, Element::F32), [24.0]);

    let refused = |what: &str, body: &dyn Fn() -> Result<(), Trouble>| {
        let Trouble(said) = gpu.record(body).err().expect("refused");
        assert_eq!(said, format!("{what} cannot be part of a recording"));
    };
    refused("an upload", &|| gpu.upload(&[1], at));
    refused("a download", &|| gpu.download(at, &mut [1]));
    refused("waiting", &|| gpu.synchronize());
    refused("a recording", &|| gpu.record(|| Ok(())).map(|_| ()));
    refused("a replay", &|| gpu.replay(&recorded));
    gpu.replay(&recorded).expect("all is as before");
    let before = live();
    drop(gpu);
    assert_eq!(live(), before, "recorded work keeps what it uses");
    drop(recorded);
    assert_eq!(live(), 0);
}

#[test]
#[ignore = "run by what_is_wrong_never_reaches_the_gpu, with the fake libraries"]
fn case_wrong() {
    let gpu = open();
    let at = put(&gpu, &[1.0; 64], Element::F32);
    let said = |done: Result<(), Trouble>| done.expect_err("refused").0;
    assert_eq!(
        said(gpu.upload(&[0; 257], at)),
        format!(
            "an upload uses 257 bytes at {:#x}, which are not reserved",
            at.0
        )
    );
    assert!(said(gpu.download(at.plus(250), &mut [0; 10])).starts_with("a download uses 10 bytes"));
    assert!(said(gpu.zero(Address(64), 1)).starts_with("zeroing uses 1 bytes at 0x40"));
    assert!(said(gpu.copy(at, at.plus(1 << 20), 8)).starts_with("a copy uses 8 bytes"));
    assert!(
        said(scale(&gpu, Address(64), 1, 1.0))
            .contains("0x40 as argument 0, which is not reserved")
    );
    let launch = Launch::row(1, 128, 0);
    assert_eq!(
        said(gpu.launch(Kernel("missing"), &launch, &[])),
        "there is no kernel called missing"
    );
    assert!(
        said(gpu.launch(Kernel("scale"), &launch, &[at.into()])).contains("1 arguments, and has 3")
    );
    let args: [Arg; 3] = [at.into(), 1u32.into(), 2.0.into()];
    gpu.launch(
        Kernel("scale"),
        &Launch {
            shared: 100 << 10,
            ..launch
        },
        &args,
    )
    .expect("more than 48 KiB, after asking");
    gpu.launch(
        Kernel("scale"),
        &Launch {
            shared: 49 << 10,
            ..launch
        },
        &args,
    )
    .expect("less than what was asked for");
    let much = Launch {
        shared: 300 << 10,
        ..launch
    };
    assert!(
        said(gpu.launch(Kernel("scale"), &much, &args))
            .starts_with("the NVIDIA driver refused kernel scale (CUDA error 1")
    );
    let gemm = Gemm::new(
        [8, 8, 8],
        Matrix::plain(at, 8),
        Matrix::plain(at, 8),
        at.plus(4096),
        8,
    );
    assert!(said(gpu.gemm(&gemm)).starts_with("D of a matrix product uses 128 bytes"));
    gpu.gemm(&Gemm { m: 0, ..gemm })
        .expect("no rows are nothing to do");
    assert!(said(gpu.reserve(1 << 40).map(|_| ())).contains("take fewer tokens to a batch"));
    assert!(!gpu.is_lost());
    scale(&gpu, at, 1, 2.0).expect("nothing of it harmed the GPU");

    let presence = Presence::look();
    let plans = || Plans::new(presence.machine(0).expect("a fake"));
    let taken = |ordinal: usize, texts: &[(&str, &str)]| {
        let untaken = Taken::open(&presence, ordinal, texts).err();
        let Untaken { trouble, passes } = untaken.expect("refused");
        assert!(!passes, "{trouble}");
        trouble.0
    };
    let text = format!("{KERNELS}// nonsense");
    let twice = [("one.ptx", KERNELS), ("two.ptx", KERNELS)];
    assert!(taken(0, &[("bad.ptx", &text)]).contains("refused the kernels of bad.ptx"));
    assert!(taken(0, &twice).contains("two kernels are called scale, the second in two.ptx"));
    assert!(taken(1, &[]).contains("GPU 1 was asked for and there are 1"));
    let much = Options {
        memory: Some(80_000_000_000),
        ..options(plans())
    };
    let untaken = opened(&presence, much).err().expect("refused");
    assert!(untaken.passes, "others may be using it");
    assert!(
        untaken
            .trouble
            .0
            .contains("training needs 80.0 GB of memory")
    );
    drop(gpu);
    assert_eq!(live(), 0, "what failed half-way gave back what it had");
}

#[test]
#[ignore = "run by a_lost_gpu_is_said_and_stays_lost, with the fake libraries"]
fn case_lost() {
    let gpu = open();
    let at = put(&gpu, &[1.0; 4], Element::F32);
    scale(&gpu, at, 4, 2.0).expect("the first launch");
    gpu.synchronize().expect("the first launch");
    scale(&gpu, at, 4, 2.0).expect("told, and not done yet");
    let factor = gpu.reserve(256).expect("room");
    let Trouble(said) = gpu.synchronize().expect_err("lost");
    println!("{said}");
    assert!(
        said.starts_with("the GPU was lost at or before the end of what it was told (CUDA error ")
    );
    assert!(gpu.is_lost());
    let gemm = Gemm::new(
        [8, 8, 8],
        Matrix::plain(factor, 8),
        Matrix::plain(factor, 8),
        at,
        8,
    );
    for after in [
        gpu.synchronize(),
        gpu.upload(&[1], at),
        gpu.download(at, &mut [1]),
        gpu.zero(at, 1),
        scale(&gpu, at, 1, 1.0),
        gpu.gemm(&gemm),
        gpu.record(|| Ok(())).map(|_| ()),
    ] {
        assert_eq!(after.expect_err("lost").0, said);
    }
    drop(gpu);
    assert_eq!(live(), 0, "a lost GPU is let go of without a panic");
}

#[test]
#[ignore = "run by a_trial_tells_a_wrong_kernel_from_a_gpu_that_broke, with the fake libraries"]
fn case_trial() {
    let presence = Presence::look();
    let taken = Taken::open(&presence, 0, kernels::ALL).expect("a fake");
    let plans = Plans::new(presence.machine(0).expect("a fake"));
    let gpu = Rc::new(taken.gpu(options(plans)).expect("room"));
    println!("SAID {:?}", Verdict::of(trial::run(&gpu), gpu.passes()));
    drop((gpu, taken));
    assert_eq!(live(), 0, "all is given back");
}

#[test]
#[ignore = "run by what_is_missing_is_said, with other libraries"]
fn case_open() {
    let presence = Presence::look().measured();
    for finding in presence.findings() {
        println!("FOUND {} {}: {}", finding.what, finding.good, finding.text);
    }
    let side_by_side = std::env::var("SIDE_BY_SIDE").map_or(1, |n| n.parse().expect("a number"));
    let machine = presence.machine(0).map_err(Untaken::from);
    let gpu = machine.and_then(|machine| {
        let options = Options {
            memory: None,
            side_by_side,
            ..options(Plans::new(machine))
        };
        opened(&presence, options)
    });
    match gpu {
        Ok(gpu) => {
            assert_eq!(gpu.side_by_side(), side_by_side);
            println!("SAID everything is there, {} bytes of it", gpu.room());
        }
        Err(Untaken { trouble, passes }) => println!("SAID {trouble}, passes: {passes}"),
    }
}
