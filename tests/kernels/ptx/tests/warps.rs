//! What the lanes of a warp do together: exchanges, votes, barriers that count, divergence, matrix fragments, vectors of
//! loads, banks, and the special registers.

use crate::ptx::{Arg, Counts, Launch, Memory, Mode, Module};
use half::bf16;

/// Runs lines with one word of input (`%r1`) and one of output (`%r2`) for each thread, in every mode.
fn run(lines: &str, threads: u32, input: &[u32]) -> (Vec<u32>, Counts) {
    let text = format!(
        ".version 8.0
.target sm_80
.address_size 64
.const .align 4 .b8 fixed[8] = {{1, 0, 0, 0, 2, 1, 0, 0}};
.global .align 4 .u32 counter = 41;
.extern .shared .align 16 .b8 dynamic[];
.visible .entry test(.param .u64 test_0, .param .u64 test_1)
.maxntid 256, 1, 1
{{
    .reg .pred %p<9>; .reg .b16 %rs<9>; .reg .b32 %r<50>; .reg .f32 %f<9>; .reg .b64 %rd<20>;
    .shared .align 16 .b8 words[1024];
    .local .align 16 .b8 own[64];
    ld.param.u64 %rd1, [test_0];
    ld.param.u64 %rd2, [test_1];
    mov.u32 %r3, %tid.x;
    mov.u32 %r4, %laneid;
    mov.u32 %r5, words;
    mul.wide.u32 %rd3, %r3, 4;
    add.s64 %rd4, %rd1, %rd3;
    add.s64 %rd5, %rd2, %rd3;
    ld.global.nc.u32 %r1, [%rd4];
    {lines}
    st.global.u32 [%rd5], %r2;
    ret;
}}"
    );
    let module = Module::parse(&text).unwrap();
    let mut results = Mode::ALL.map(|mode| {
        let mut memory = Memory::new();
        let (from, to) = (memory.put(input), memory.room::<u32>(threads as usize));
        let launch = Launch {
            grid: [1, 1, 1],
            block: [threads, 1, 1],
            shared: 1024,
        };
        let counts = module
            .kernel("test")
            .run(&launch, &[from.into(), to.into()], &mut memory, mode)
            .unwrap();
        (memory.get(to), counts)
    });
    for result in &results[1..] {
        assert_eq!(*result, results[0]);
    }
    std::mem::take(&mut results[0])
}

fn words(count: u32) -> Vec<u32> {
    (0..count)
        .map(|n| n.wrapping_mul(2_654_435_761) >> 7)
        .collect()
}

fn each(lines: &str, expected: impl Fn(usize, &[u32]) -> u32) {
    let input = words(64);
    let (out, _) = run(lines, 64, &input);
    for (n, got) in out.iter().enumerate() {
        let first = n / 32 * 32;
        assert_eq!(
            *got,
            expected(n % 32, &input[first..first + 32]),
            "{lines}: lane {n}"
        );
    }
}

#[test]
fn shuffles() {
    each("shfl.sync.bfly.b32 %r2|%p1, %r1, 5, 31, -1;", |lane, x| {
        x[lane ^ 5]
    });
    each("shfl.sync.down.b32 %r2, %r1, 3, 31, -1;", |lane, x| {
        x[if lane + 3 < 32 { lane + 3 } else { lane }]
    });
    each("shfl.sync.up.b32 %r2, %r1, 3, 0, -1;", |lane, x| {
        x[if lane >= 3 { lane - 3 } else { lane }]
    });
    each("shfl.sync.idx.b32 %r2, %r1, 7, 31, -1;", |_, x| x[7]);
    // Segments of eight lanes: clamp 0x1800 for idx, up and 0x1807 for down, bfly.
    each("shfl.sync.idx.b32 %r2, %r1, 2, 0x181f, -1;", |lane, x| {
        x[lane / 8 * 8 + 2]
    });
    each(
        "shfl.sync.down.b32 %r2|%p1, %r1, 3, 0x181f, -1; selp.b32 %r2, %r2, 77, %p1;",
        |lane, x| {
            if lane % 8 + 3 < 8 { x[lane + 3] } else { 77 }
        },
    );
    each(
        "shfl.sync.up.b32 %r2|%p1, %r1, 3, 0x1800, -1; selp.b32 %r2, %r2, 77, %p1;",
        |lane, x| {
            if lane % 8 >= 3 { x[lane - 3] } else { 77 }
        },
    );
    each(
        "and.b32 %r6, %r1, 31; shfl.sync.idx.b32 %r2, %r1, %r6, 31, -1;",
        |lane, x| x[(x[lane] & 31) as usize],
    );
}

#[test]
fn votes_and_matches() {
    let odd = |x: &[u32]| (0..32).fold(0, |mask, n| mask | (x[n] & 1) << n);
    let test = "and.b32 %r6, %r1, 1; setp.eq.u32 %p1, %r6, 1;";
    each(
        &format!("{test} vote.sync.ballot.b32 %r2, %p1, -1;"),
        |_, x| odd(x),
    );
    each(
        &format!("{test} vote.sync.ballot.b32 %r2, !%p1, -1;"),
        |_, x| !odd(x),
    );
    each(
        &format!("{test} vote.sync.any.pred %p2, %p1, -1; selp.u32 %r2, 1, 0, %p2;"),
        |_, x| u32::from(odd(x) != 0),
    );
    each(
        &format!("{test} vote.sync.all.pred %p2, %p1, -1; selp.u32 %r2, 1, 0, %p2;"),
        |_, x| u32::from(odd(x) == !0),
    );
    each(
        "setp.lt.u32 %p1, %r4, 40; vote.sync.uni.pred %p2, %p1, -1; selp.u32 %r2, 1, 0, %p2;",
        |_, _| 1,
    );
    each(
        "and.b32 %r6, %r1, 3; match.any.sync.b32 %r2, %r6, -1;",
        |lane, x| (0..32).fold(0, |mask, n| mask | u32::from(x[n] & 3 == x[lane] & 3) << n),
    );
    each(
        "mov.u32 %r6, 9; match.all.sync.b32 %r2|%p1, %r6, -1; @!%p1 mov.u32 %r2, 1;",
        |_, _| !0,
    );
    each(
        "match.all.sync.b32 %r2|%p1, %r4, -1; @%p1 mov.u32 %r2, 1;",
        |_, _| 0,
    );
    each("redux.sync.add.u32 %r2, %r1, -1;", |_, x| {
        x.iter().fold(0, |sum, x| sum.wrapping_add(*x))
    });
    each("redux.sync.max.u32 %r2, %r1, -1;", |_, x| {
        *x.iter().max().unwrap()
    });
    each(
        "sub.s32 %r6, 5, %r4; redux.sync.min.s32 %r2, %r6, -1;",
        |_, _| (-26i32).cast_unsigned(),
    );
    each("redux.sync.xor.b32 %r2, %r1, -1;", |_, x| {
        x.iter().fold(0, |sum, x| sum ^ x)
    });
    each(
        "setp.lt.u32 %p1, %r4, 5; mov.u32 %r2, 0; @%p1 activemask.b32 %r2;",
        |lane, _| if lane < 5 { 31 } else { 0 },
    );
    // Part of a warp on its own.
    each(
        "setp.lt.u32 %p1, %r4, 16; mov.u32 %r2, 3; @!%p1 bra after; shfl.sync.bfly.b32 %r2, %r1, 1, 31, 0xffff; after:",
        |lane, x| if lane < 16 { x[lane ^ 1] } else { 3 },
    );
}

#[test]
fn barriers_that_count() {
    let test = "setp.lt.u32 %p1, %r3, 40;";
    let all = |lines: &str, want: u32| {
        assert_eq!(run(lines, 64, &words(64)).0, vec![want; 64], "{lines}")
    };
    all(&format!("{test} bar.red.popc.u32 %r2, 0, %p1;"), 40);
    all(&format!("{test} bar.red.popc.u32 %r2, 0, !%p1;"), 24);
    all(
        &format!("{test} bar.red.or.pred %p2, 0, %p1; selp.u32 %r2, 1, 0, %p2;"),
        1,
    );
    all(
        &format!("{test} bar.red.and.pred %p2, 0, %p1; selp.u32 %r2, 1, 0, %p2;"),
        0,
    );
    let (_, counts) = run("bar.sync 0; bar.sync 0; mov.u32 %r2, 0;", 64, &words(64));
    assert_eq!(counts.barriers, 2);
}

#[test]
fn divergence() {
    // Each lane counts the steps of its own Collatz sequence, at most 50.
    let lines = "mov.u32 %r2, 0; add.s32 %r6, %r4, 1;
        again: setp.eq.u32 %p1, %r6, 1; @%p1 bra done; and.b32 %r7, %r6, 1; setp.eq.u32 %p2, %r7, 0; @%p2 bra even;
        mad.lo.s32 %r6, %r6, 3, 1; bra.uni next; even: shr.u32 %r6, %r6, 1; next: add.s32 %r2, %r2, 1;
        setp.lt.u32 %p3, %r2, 50; @%p3 bra again; done: shfl.sync.bfly.b32 %r8, %r2, 1, 31, -1; mov.u32 %r2, %r8;";
    let steps = |lane: usize| {
        let (mut n, mut steps) = (lane + 1, 0);
        while n != 1 && steps < 50 {
            n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
            steps += 1;
        }
        steps
    };
    each(lines, |lane, _| steps(lane ^ 1));
    each(
        "and.b32 %r6, %r4, 3; table: .branchtargets one, two, one, three; brx.idx %r6, table;
         one: mov.u32 %r2, 1; bra end; two: mov.u32 %r2, 2; bra end; three: mov.u32 %r2, 3; end: bar.sync 0;",
        |lane, _| [1, 2, 1, 3][lane % 4],
    );
}

#[test]
fn spaces() {
    each(
        "mov.u64 %rd6, own; st.local.u32 [%rd6+8], %r1; ld.local.u32 %r2, [%rd6+8];",
        |lane, x| x[lane],
    );
    // Generic addresses find shared, local and global memory.
    each(
        "mov.u64 %rd6, own; cvta.local.u64 %rd7, %rd6; st.u32 [%rd7], %r1; ld.local.u32 %r6, [%rd6];
         mov.u64 %rd8, words; add.s64 %rd8, %rd8, %rd3; cvta.shared.u64 %rd9, %rd8; st.u32 [%rd9], %r6;
         ld.shared.u32 %r7, [%rd8]; ld.u32 %r8, [%rd4]; add.s32 %r2, %r7, %r8;",
        |lane, x| x[lane].wrapping_mul(2),
    );
    each(
        "mov.u64 %rd6, fixed; ld.const.u32 %r6, [%rd6]; ld.const.u32 %r7, [%rd6+4]; add.s32 %r2, %r6, %r7;",
        |_, _| 259,
    );
    each(
        "ld.const.u16 %rs1, [fixed+4]; cvt.u32.u16 %r2, %rs1;",
        |_, _| 258,
    );
    each("ld.global.u32 %r2, [counter];", |_, _| 41);
    // Dynamic shared memory stands apart from the static.
    each(
        "mov.u32 %r6, dynamic; shl.b32 %r7, %r3, 2; add.s32 %r6, %r6, %r7; st.shared.u32 [%r6], %r1;
         add.s32 %r8, %r5, %r7; st.shared.u32 [%r8], %r3; ld.shared.u32 %r2, [%r6];",
        |lane, x| x[lane],
    );
}

#[test]
fn widths() {
    each(
        "ld.global.u8 %rs1, [%rd4+1]; cvt.u32.u16 %r2, %rs1;",
        |lane, x| x[lane] >> 8 & 255,
    );
    each("ld.global.s8 %r2, [%rd4+1];", |lane, x| {
        i32::from((x[lane] >> 8) as i8).cast_unsigned()
    });
    each("ld.global.s16 %r2, [%rd4];", |lane, x| {
        i32::from(x[lane] as i16).cast_unsigned()
    });
    each(
        "and.b64 %rd6, %rd3, -8; add.s64 %rd6, %rd1, %rd6; ld.global.u64 %rd7, [%rd6]; shr.u64 %rd7, %rd7, 32; cvt.u32.u64 %r2, %rd7;",
        |lane, x| x[lane | 1],
    );
    each(
        "and.b64 %rd6, %rd3, -16; add.s64 %rd6, %rd1, %rd6; ld.global.v4.u32 {%r6, %r7, %r8, %r2}, [%rd6];",
        |lane, x| x[lane | 3],
    );
    each(
        "and.b64 %rd6, %rd3, -8; add.s64 %rd6, %rd1, %rd6; ld.global.v2.f32 {%f1, %f2}, [%rd6]; mov.b32 %r2, %f2;",
        |lane, x| x[lane | 1],
    );
    each(
        "shl.b32 %r6, %r3, 4; add.s32 %r6, %r5, %r6; st.shared.v4.u32 [%r6], {%r1, %r3, %r4, %r1}; ld.shared.v2.u32 {%r7, %r2}, [%r6+8];",
        |lane, x| x[lane],
    );
    // Lanes that do not stand side by side.
    each(
        "shl.b32 %r6, %r3, 5; add.s32 %r6, %r5, %r6; st.shared.v4.u32 [%r6], {%r3, %r1, %r5, %r5}; ld.shared.v2.u32 {%r7, %r2}, [%r6];",
        |lane, x| x[lane],
    );
    each(
        "shl.b32 %r6, %r3, 2; add.s32 %r6, %r5, %r6; cvt.u16.u32 %rs1, %r1; st.shared.u16 [%r6+2], %rs1; st.shared.u8 [%r6], %r1; st.shared.u8 [%r6+1], %r1; ld.shared.u32 %r2, [%r6];",
        |lane, x| (x[lane] << 16) | ((x[lane] & 255) * 257),
    );
}

#[test]
fn special_registers() {
    each("mov.u32 %r2, %laneid;", |lane, _| lane as u32);
    each("mov.u32 %r2, %lanemask_lt;", |lane, _| (1 << lane) - 1);
    each("mov.u32 %r2, %lanemask_ge;", |lane, _| {
        !((1u32 << lane) - 1)
    });
    let text = ".version 8.0\n.target sm_80\n.address_size 64
        .visible .entry test(.param .u64 out, .param .f32 scale, .param .u32 n) {
        .reg .b32 %r<20>; .reg .b64 %rd<5>; .reg .f32 %f<3>;
        mov.u32 %r1, %tid.x; mov.u32 %r2, %tid.y; mov.u32 %r3, %ntid.x; mov.u32 %r4, %ntid.y;
        mov.u32 %r5, %ctaid.x; mov.u32 %r6, %ctaid.y; mov.u32 %r7, %nctaid.x; mov.u32 %r12, %ctaid.z; mov.u32 %r13, %nctaid.y;
        mad.lo.u32 %r14, %r12, %r13, %r6; mad.lo.u32 %r8, %r14, %r7, %r5; mad.lo.u32 %r9, %r8, %r4, %r2; mad.lo.u32 %r10, %r9, %r3, %r1;
        ld.param.u64 %rd1, [out]; mul.wide.u32 %rd2, %r10, 4; add.s64 %rd1, %rd1, %rd2;
        ld.param.f32 %f1, [scale]; ld.param.u32 %r11, [n]; add.u32 %r10, %r10, %r11; cvt.rn.f32.u32 %f2, %r10; mul.f32 %f2, %f2, %f1;
        st.global.f32 [%rd1], %f2; ret; }";
    let module = Module::parse(text).unwrap();
    for mode in Mode::ALL {
        let mut memory = Memory::new();
        let out = memory.room::<f32>(8 * 6 * 3 * 2 * 2);
        let launch = Launch {
            grid: [3, 2, 2],
            block: [8, 6, 1],
            shared: 0,
        };
        let args: [Arg; 3] = [out.into(), 0.5f32.into(), 3u32.into()];
        module
            .kernel("test")
            .run(&launch, &args, &mut memory, mode)
            .unwrap();
        let want: Vec<f32> = (0..8 * 6 * 3 * 2 * 2)
            .map(|n| (n + 3) as f32 / 2.0)
            .collect();
        assert_eq!(memory.get::<f32>(out), want);
    }
}

/// Puts the thread's word at an address of shared memory, reads it back, and counts the conflicts of both.
fn conflicts(address: &str, width: &str, registers: &str) -> u64 {
    let lines = format!("{address} st.shared.{width} [%r6], {registers}; mov.u32 %r2, 0;");
    run(&lines, 32, &words(32)).1.conflicts
}

#[test]
fn bank_conflicts() {
    let shift = |by: u32| format!("shl.b32 %r6, %r4, {by}; add.s32 %r6, %r5, %r6;");
    assert_eq!(conflicts(&shift(2), "u32", "%r1"), 0);
    assert_eq!(conflicts(&shift(3), "u32", "%r1"), 1);
    assert_eq!(conflicts(&shift(4), "u32", "%r1"), 3);
    assert_eq!(conflicts(&shift(3), "v2.u32", "{%r1, %r1}"), 0);
    assert_eq!(conflicts(&shift(4), "v4.u32", "{%r1, %r1, %r1, %r1}"), 0);
    assert_eq!(conflicts(&shift(1), "u16", "%rs1"), 0);
    // Sixteen lanes a turn: at 16 bytes apart every other pair of banks is wanted twice.
    assert_eq!(conflicts(&shift(4), "v2.u32", "{%r1, %r1}"), 2);
    // Eight lanes a turn: at 32 bytes apart every second quarter of the banks is wanted twice.
    assert_eq!(conflicts(&shift(5), "v4.u32", "{%r1, %r1, %r1, %r1}"), 4);
    // One word for all is read at once.
    let (_, counts) = run(
        "setp.eq.u32 %p1, %r4, 0; @%p1 st.shared.u32 [words], %r1; bar.warp.sync -1; ld.shared.u32 %r2, [words];",
        32,
        &words(32),
    );
    assert_eq!(counts.conflicts, 0);
    let (_, counts) = run(
        "and.b32 %r6, %r4, 1; shl.b32 %r6, %r6, 7; add.s32 %r6, %r5, %r6; setp.lt.u32 %p1, %r4, 2; @%p1 st.shared.u32 [%r6], %r1; ld.shared.u32 %r2, [%r6];",
        32,
        &words(32),
    );
    assert_eq!(counts.conflicts, 2);
}

#[test]
fn bytes_and_sectors_of_global_memory() {
    let (_, counts) = run("mov.u32 %r2, 0;", 32, &words(32));
    assert_eq!(
        (
            counts.read,
            counts.sectors_read,
            counts.written,
            counts.sectors_written
        ),
        (128, 4, 128, 4)
    );
    // The same word for all lanes is one word; each second word touches all sectors.
    let (_, counts) = run(
        "ld.global.u32 %r6, [%rd1+4]; mov.u32 %r2, 0;",
        32,
        &words(32),
    );
    assert_eq!((counts.read, counts.sectors_read), (132, 5));
    let (_, counts) = run(
        "and.b64 %rd6, %rd3, -8; add.s64 %rd6, %rd1, %rd6; ld.global.u32 %r6, [%rd6]; mov.u32 %r2, 0;",
        32,
        &words(32),
    );
    assert_eq!((counts.read, counts.sectors_read), (192, 8));
}

/// An 8 x 8 matrix of halves in shared memory for each group of eight lanes; row r of matrix n at 16 (8 n + r), stored by
/// lane 8 n + r from four words that say where they are: n, r and the column.
const MATRICES: &str = "shl.b32 %r6, %r4, 8; or.b32 %r7, %r6, 0x00010000; mov.u32 %r10, 0x00010000;
    add.s32 %r8, %r6, %r10; shl.b32 %r9, %r4, 4; add.s32 %r9, %r5, %r9;
    shl.b32 %r11, %r4, 8; shl.b32 %r12, %r11, 16; or.b32 %r11, %r11, %r12; add.s32 %r11, %r11, 0x00010000;
    add.s32 %r12, %r11, 0x00020002; add.s32 %r13, %r11, 0x00040004; add.s32 %r14, %r11, 0x00060006;
    st.shared.v4.u32 [%r9], {%r11, %r12, %r13, %r14};";

/// What [`MATRICES`] puts at a place: 256 (8 n + row) + column.
fn entry(n: usize, row: usize, column: usize) -> u32 {
    (256 * (8 * n + row) + column) as u32
}

#[test]
fn matrix_fragments() {
    for (n, name) in ["%r20", "%r21", "%r22", "%r23"].into_iter().enumerate() {
        let load = format!(
            "{MATRICES} ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%r20,%r21,%r22,%r23}}, [%r9]; mov.u32 %r2, {name};"
        );
        let (out, counts) = run(&load, 32, &words(32));
        let straight = |lane: usize| {
            entry(n, lane / 4, lane % 4 * 2) | entry(n, lane / 4, lane % 4 * 2 + 1) << 16
        };
        assert_eq!(out, (0..32).map(straight).collect::<Vec<_>>());
        assert_eq!(counts.conflicts, 0);
        let (out, _) = run(
            &load.replace(".x4.shared", ".x4.trans.shared"),
            32,
            &words(32),
        );
        let turned = |lane: usize| {
            entry(n, lane % 4 * 2, lane / 4) | entry(n, lane % 4 * 2 + 1, lane / 4) << 16
        };
        assert_eq!(out, (0..32).map(turned).collect::<Vec<_>>());
    }
    let load = format!("{MATRICES} ldmatrix.sync.aligned.m8n8.x2.shared.b16 {{%r20,%r2}}, [%r9];");
    assert_eq!(
        run(&load, 32, &words(32)).0[5],
        entry(1, 1, 2) | entry(1, 1, 3) << 16
    );
    let load = format!("{MATRICES} ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%r2}}, [%r9];");
    assert_eq!(
        run(&load, 32, &words(32)).0[5],
        entry(0, 1, 2) | entry(0, 1, 3) << 16
    );
    // Rows 128 bytes apart all begin in the same bank: eight turns instead of one.
    let load = "and.b32 %r6, %r4, 7; shl.b32 %r6, %r6, 7; add.s32 %r6, %r5, %r6; st.shared.v4.u32 [%r6], {%r3,%r3,%r3,%r3};";
    let load = load
        .replace("%r3", "%r10")
        .replace("and.b32 %r6", "mov.u32 %r10, 0; and.b32 %r6");
    let store = run(&format!("{load} mov.u32 %r2, 0;"), 32, &words(32))
        .1
        .conflicts;
    let both = run(
        &format!("{load} ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%r2}}, [%r6];"),
        32,
        &words(32),
    )
    .1
    .conflicts;
    assert_eq!(both - store, 7);
}

/// The product of `mma` from fragments laid out by the rule of the manual, register by register.
fn product(k: usize) {
    let number = |seed: usize| bf16::from_f32(((seed * 37 + 11) % 64) as f32 / 8.0 - 4.0);
    let (a, b) = (
        |row: usize, column: usize| number(row * 16 + column),
        |row: usize, column: usize| number(1000 + row * 8 + column),
    );
    let c = |row: usize, column: usize| (row * 8 + column) as f32 / 4.0 - 9.0;
    let pair = |x: bf16, y: bf16| u32::from(y.to_bits()) << 16 | u32::from(x.to_bits());
    // Ten words for each lane: a (four or two), b (two or one), c (four).
    let mut input = vec![[0u32; 10]; 32];
    for (lane, words) in input.iter_mut().enumerate() {
        let (group, member) = (lane / 4, lane % 4 * 2);
        for (n, word) in words.iter_mut().enumerate() {
            *word = match n {
                0..4 => {
                    let (row, column) = (group + n % 2 * 8, member + n / 2 * 8);
                    pair(a(row, column), a(row, column + 1))
                }
                4 | 5 => pair(
                    b(member + (n - 4) * 8, group),
                    b(member + (n - 4) * 8 + 1, group),
                ),
                _ => c(group + (n - 6) / 2 * 8, member + n % 2).to_bits(),
            };
        }
    }
    let fragments = if k == 16 {
        "{%r10,%r11,%r12,%r13}, {%r14,%r15}"
    } else {
        "{%r10,%r11}, {%r14}"
    };
    let loads: String = (0..10)
        .map(|n| format!("mad.lo.u32 %r9, %r4, 40, {}; cvt.u64.u32 %rd6, %r9; add.s64 %rd6, %rd1, %rd6; ld.global.u32 %r{}, [%rd6];", 4 * n, 10 + n))
        .collect();
    for n in 0..4 {
        let names = ["%f4", "%f5", "%f6", "%f7"];
        let lines = format!(
            "{loads} mov.b32 %f4, %r16; mov.b32 %f5, %r17; mov.b32 %f6, %r18; mov.b32 %f7, %r19;
             mma.sync.aligned.m16n8k{k}.row.col.f32.bf16.bf16.f32 {{%f4,%f5,%f6,%f7}}, {fragments}, {{%f4,%f5,%f6,%f7}}; mov.b32 %r2, {};",
            names[n]
        );
        let (out, counts) = run(&lines, 32, &input.concat());
        assert_eq!(counts.multiplies, 1);
        for (lane, got) in out.into_iter().enumerate() {
            let (row, column) = (lane / 4 + n / 2 * 8, lane % 4 * 2 + n % 2);
            let sum: f64 = (0..k)
                .map(|j| a(row, j).to_f64() * b(j, column).to_f64())
                .sum();
            assert_eq!(
                f32::from_bits(got),
                (sum + f64::from(c(row, column))) as f32,
                "row {row} column {column}"
            );
        }
    }
}

#[test]
fn matrix_products() {
    product(16);
    product(8);
}

/// 4096 * 4096 + 1 * 1 - 2^24: no f32 holds the sum of the products.
#[test]
fn matrix_products_are_rounded_once() {
    each(
        "and.b32 %r6, %r4, 3; setp.eq.u32 %p1, %r6, 0; selp.b32 %r6, 0x3f804580, 0, %p1; mov.u32 %r7, 0; mov.f32 %f1, 0fCB800000;
         mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f4,%f5,%f6,%f7}, {%r6,%r6,%r7,%r7}, {%r6,%r7}, {%f1,%f1,%f1,%f1}; mov.b32 %r2, %f4;",
        |_, _| 1f32.to_bits(),
    );
}

#[test]
fn copies_fill_with_zeros() {
    let copy = |size: &str| {
        format!(
            "shl.b32 %r6, %r3, 4; add.s32 %r6, %r5, %r6; cp.async.cg.shared.global [%r6], [%rd1], 16{size};
             cp.async.commit_group; cp.async.wait_group 0; ld.shared.u32 %r7, [%r6+4]; ld.shared.u32 %r8, [%r6+8]; add.s32 %r2, %r7, %r8;"
        )
    };
    let input = words(32);
    let (out, counts) = run(&copy(""), 32, &input);
    assert_eq!(out, vec![input[1] + input[2]; 32]);
    assert_eq!(counts.read, 128 + 16);
    let (out, counts) = run(&copy(", 8"), 32, &input);
    assert_eq!(out, vec![input[1]; 32]);
    assert_eq!(counts.read, 128 + 8);
    assert_eq!(run(&copy(", 0"), 32, &input).0, vec![0; 32]);
}

#[test]
fn late_copies_read_when_they_are_waited_for() {
    // The source changes between: a late copy sees the new number, an eager one the old. The kernel rests on neither.
    let text = ".version 8.0\n.target sm_80\n.address_size 64
        .visible .entry test(.param .u64 from, .param .u64 to) {
        .reg .b32 %r<5>; .reg .b64 %rd<5>; .shared .align 4 .b8 word[4];
        ld.param.u64 %rd1, [from]; ld.param.u64 %rd2, [to];
        cp.async.ca.shared.global [word], [%rd1], 4; mov.u32 %r1, 9; st.global.u32 [%rd1], %r1;
        cp.async.wait_all; ld.shared.u32 %r2, [word]; st.global.u32 [%rd2], %r2; ret; }";
    let module = Module::parse(text).unwrap();
    for (mode, want) in [(Mode::ALL[0], 9), (Mode::ALL[2], 7)] {
        let mut memory = Memory::new();
        let (from, to) = (memory.writable(&[7u32]), memory.room::<u32>(1));
        let launch = Launch {
            grid: [1, 1, 1],
            block: [1, 1, 1],
            shared: 0,
        };
        module
            .kernel("test")
            .run(&launch, &[from.into(), to.into()], &mut memory, mode)
            .unwrap();
        assert_eq!(memory.get::<u32>(to), [want]);
    }
}
