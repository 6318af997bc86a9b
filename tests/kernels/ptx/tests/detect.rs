//! Every kind of mistake the interpreter must find, each in a small kernel that makes it, with the sentence it is found by.

use crate::ptx::{Counts, Launch, Memory, Mode, Module, Pointer};

const ONE: Launch = Launch {
    grid: [1, 1, 1],
    block: [64, 1, 1],
    shared: 0,
};

/// A kernel of two pointers around some lines; `%rd1` and `%rd2` hold them, `%r1` the thread, `%r2` the block, `%r3` the
/// thread's byte offset in 4-byte numbers, `%rd3` the same in 64 bits, `%r4` the address of its word of `words`.
fn kernel(body: &str) -> String {
    format!(
        ".version 8.0
.target sm_80
.address_size 64
.visible .entry test(.param .u64 test_0, .param .u64 test_1)
{{
    .reg .pred %p<8>; .reg .b16 %rs<8>; .reg .b32 %r<32>; .reg .f32 %f<8>; .reg .b64 %rd<16>;
    .shared .align 16 .b8 words[512];
    ld.param.u64 %rd1, [test_0];
    ld.param.u64 %rd2, [test_1];
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %ctaid.x;
    shl.b32 %r3, %r1, 2;
    cvt.u64.u32 %rd3, %r3;
    mov.u32 %r4, words;
    add.s32 %r4, %r4, %r3;
    {body}
    ret;
}}"
    )
}

/// 64 numbers to read, room for 64 to write.
fn run_with(body: &str, launch: Launch, mode: Mode) -> (Result<Counts, String>, Memory, Pointer) {
    let module = Module::parse(&kernel(body)).unwrap();
    let mut memory = Memory::new();
    let input = memory.put(&(0..64).collect::<Vec<u32>>());
    let output = memory.room::<u32>(64);
    let result =
        module
            .kernel("test")
            .run(&launch, &[input.into(), output.into()], &mut memory, mode);
    (result.map_err(|fault| fault.to_string()), memory, output)
}

/// Fails in every mode with a fault that says so.
fn fails_on(body: &str, launch: Launch, sentence: &str) {
    for mode in Mode::ALL {
        let fault = run_with(body, launch, mode)
            .0
            .expect_err("the mistake was not found");
        assert!(
            fault.contains(sentence),
            "{mode:?}: `{fault}` does not say `{sentence}`"
        );
        assert!(
            fault.contains("kernel test, block (") && fault.contains("line "),
            "{fault}"
        );
    }
}

fn fails(body: &str, sentence: &str) {
    fails_on(body, ONE, sentence);
}

/// Runs in every mode.
fn passes_on(body: &str, launch: Launch) {
    for mode in Mode::ALL {
        let (result, ..) = run_with(body, launch, mode);
        assert!(result.is_ok(), "{mode:?}: {result:?}");
    }
}

const TWO_BLOCKS: Launch = Launch {
    grid: [2, 1, 1],
    block: [32, 1, 1],
    shared: 0,
};

#[test]
fn bounds() {
    passes_on("add.s64 %rd4, %rd1, %rd3; ld.global.u32 %r5, [%rd4];", ONE);
    fails(
        "add.s64 %rd4, %rd1, %rd3; ld.global.u32 %r5, [%rd4+4];",
        "lane 31: read of 4 bytes out of bounds: byte 256 of 256",
    );
    fails(
        "add.s64 %rd4, %rd1, %rd3; ld.global.u32 %r5, [%rd4+-4];",
        "lane 0: read of 4 bytes out of bounds: byte -4 of 256",
    );
    fails(
        "add.s64 %rd4, %rd2, %rd3; st.global.u32 [%rd4+4], %r1;",
        "write of 4 bytes out of bounds: byte 256",
    );
    fails(
        "st.global.v4.u32 [%rd2+256], {%r1, %r1, %r1, %r1};",
        "write of 16 bytes out of bounds",
    );
    fails(
        "mov.u64 %rd4, 0; ld.global.u32 %r5, [%rd4+16];",
        "null pointer",
    );
    fails(
        "mov.u64 %rd4, 0x7f0000000000; ld.global.u32 %r5, [%rd4];",
        "no allocation",
    );
    fails("st.shared.u32 [%r4+512], %r1;", "out of bounds");
    fails(
        "mov.u32 %r5, words; ld.shared.u32 %r6, [%r5+-4];",
        "out of bounds: byte -4 of 512",
    );
    fails(
        ".local .align 4 .b8 own[8]; mov.u64 %rd4, own; st.local.u32 [%rd4+8], %r1;",
        "out of bounds of local memory",
    );
}

#[test]
fn alignment() {
    fails(
        "ld.global.u32 %r5, [%rd1+2];",
        "misaligned read of 4 bytes at byte 2",
    );
    fails(
        "ld.global.v4.u32 {%r5, %r6, %r7, %r8}, [%rd1+8];",
        "misaligned read of 16 bytes at byte 8",
    );
    fails("st.shared.u64 [%r4], %rd1;", "misaligned write of 8 bytes");
    fails(
        "cp.async.cg.shared.global [words], [%rd1+8], 16; cp.async.wait_all;",
        "misaligned read of 16 bytes",
    );
}

#[test]
fn unwritten() {
    fails(
        "ld.global.u32 %r5, [%rd2];",
        "read of 4 bytes at byte 0 that were never written",
    );
    fails_on(
        "st.global.u8 [%rd2], %r1; ld.global.u32 %r5, [%rd2];",
        Launch {
            block: [1, 1, 1],
            ..ONE
        },
        "never written",
    );
    fails("ld.shared.u32 %r5, [%r4];", "never written");
    fails(
        ".local .align 4 .b8 own[8]; mov.u64 %rd4, own; ld.local.u32 %r5, [%rd4];",
        "never written",
    );
    // What one block left in shared or local memory the next must not see.
    let body = "setp.eq.u32 %p1, %r2, 0; @%p1 st.shared.u32 [%r4], %r1; bar.sync 0; ld.shared.u32 %r5, [%r4];";
    fails_on(body, TWO_BLOCKS, "never written");
    let body = ".local .align 4 .b8 own[8]; mov.u64 %rd4, own; setp.eq.u32 %p1, %r2, 0; @%p1 st.local.u32 [%rd4], %r1; ld.local.u32 %r5, [%rd4];";
    fails_on(body, TWO_BLOCKS, "never written");
    // A number that no kernel wrote is none for the test either.
    let (result, memory, output) = run_with(
        "add.s64 %rd4, %rd2, %rd3; @%p0 st.global.u32 [%rd4], %r1;",
        ONE,
        Mode::ALL[0],
    );
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(memory.get_raw::<u32>(output), vec![None; 64]);
    assert!(std::panic::catch_unwind(|| memory.get::<u32>(output)).is_err());
}

#[test]
fn permission() {
    fails("st.global.u32 [%rd1], %r1;", "read-only memory");
    let text = ".version 8.0\n.target sm_80\n.address_size 64\n.const .align 4 .u32 fixed = 5;
        .visible .entry test() { .reg .b64 %rd<3>; .reg .b32 %r<3>;
        mov.u64 %rd1, fixed; mov.u32 %r1, 1; st.global.u32 [%rd1], %r1; ret; }";
    let module = Module::parse(text).unwrap();
    let fault = module
        .kernel("test")
        .run(&ONE, &[], &mut Memory::new(), Mode::ALL[0])
        .unwrap_err();
    assert!(fault.to_string().contains("read-only memory"), "{fault}");
}

#[test]
fn races_in_shared_memory() {
    let swap = |sync: &str| {
        format!(
            "st.shared.u32 [%r4], %r1; {sync}
             xor.b32 %r5, %r3, 128; mov.u32 %r6, words; add.s32 %r6, %r6, %r5; ld.shared.u32 %r7, [%r6];"
        )
    };
    passes_on(&swap("bar.sync 0;"), ONE);
    for mode in Mode::ALL {
        // The warp that comes first finds bytes that are not written, the other the race.
        let fault = run_with(&swap(""), ONE, mode).0.unwrap_err();
        assert!(
            fault.contains("never written") || fault.contains("race between warps"),
            "{fault}"
        );
    }
    fails(
        "mov.u32 %r5, words; shr.u32 %r6, %r1, 5; st.shared.u32 [%r5], %r6;",
        "race between warps: written by warp",
    );
    fails(
        "st.shared.u32 [words], %r1;",
        "store different numbers at one address",
    );
    fails(
        "setp.lt.u32 %p1, %r1, 32; @%p1 st.shared.u32 [%r4], %r1; bar.sync 0; mov.u32 %r5, words;
         ld.shared.u32 %r6, [%r5]; @%p1 st.shared.u32 [%r5], 5;",
        "race between warps",
    );
    // Reads of all warps race with nothing.
    passes_on(
        "@!%p0 bar.sync 0; setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [words], %r1; bar.sync 0; ld.shared.u32 %r6, [words];",
        ONE,
    );
}

#[test]
fn races_in_global_memory() {
    fails(
        "mov.u32 %r5, 1; st.global.u32 [%rd2], %r5;",
        "race between warps: written by warp",
    );
    fails(
        "and.b32 %r5, %r1, 7; st.global.u32 [%rd2], %r5;",
        "store different numbers at one address",
    );
    passes_on(
        "setp.eq.u32 %p1, %r1, 0; @%p1 st.global.u32 [%rd2], %r1; bar.sync 0; ld.global.u32 %r5, [%rd2];",
        ONE,
    );
    fails_on(
        "st.global.u32 [%rd2], %r2;",
        TWO_BLOCKS,
        "race between blocks: written by another block and written",
    );
    // One block writes what the other reads, whichever comes first.
    let body =
        "setp.eq.u32 %p1, %r2, 0; @%p1 st.global.u32 [%rd2], 1; @!%p1 ld.global.u32 %r5, [%rd2];";
    for mode in Mode::ALL {
        let fault = run_with(body, TWO_BLOCKS, mode).0.unwrap_err();
        assert!(
            fault.contains("race between blocks") || fault.contains("never written"),
            "{fault}"
        );
    }
}

#[test]
fn a_write_after_another_block_read_is_a_race() {
    let module = Module::parse(&kernel(
        "ld.global.u32 %r5, [%rd2]; bar.sync 0; setp.eq.u32 %p1, %r2, 1; @%p1 st.global.u32 [%rd2], %r5;",
    ));
    let module = module.unwrap();
    for mode in Mode::ALL {
        let mut memory = Memory::new();
        let (input, both) = (memory.put(&[1u32]), memory.writable(&[7u32]));
        let launch = Launch {
            grid: [3, 1, 1],
            ..ONE
        };
        let fault = module
            .kernel("test")
            .run(&launch, &[input.into(), both.into()], &mut memory, mode)
            .unwrap_err();
        assert!(fault.to_string().contains("race between blocks"), "{fault}");
    }
}

#[test]
fn blocks_may_share_an_allocation_and_launches_the_bytes() {
    // bf16-sized neighbours, written by different blocks and warps.
    let body = "mul.lo.s32 %r5, %r2, 32; add.s32 %r5, %r5, %r1; mul.wide.u32 %rd4, %r5, 2; add.s64 %rd4, %rd2, %rd4;
         cvt.u16.u32 %rs1, %r5; st.global.u16 [%rd4], %rs1;";
    let module = Module::parse(&kernel(body)).unwrap();
    let mut memory = Memory::new();
    let (input, output) = (memory.put(&[0u32]), memory.room::<u16>(64));
    for mode in Mode::ALL {
        module
            .kernel("test")
            .run(
                &TWO_BLOCKS,
                &[input.into(), output.into()],
                &mut memory,
                mode,
            )
            .unwrap();
    }
    assert_eq!(memory.get::<u16>(output), (0..64).collect::<Vec<u16>>());
}

#[test]
fn barriers() {
    fails(
        "setp.eq.u32 %p1, %r1, 7; @%p1 bar.sync 0;",
        "its guard keeps out",
    );
    fails(
        "setp.ne.u32 %p1, %r1, 7; @%p1 bra after; bar.sync 0; after:",
        "that have exited",
    );
    fails(
        "setp.ne.u32 %p1, %r1, 7; @%p1 bra other; bar.sync 0; bra after; other: bar.sync 0; after:",
        "wait at different instructions",
    );
    fails(
        "setp.lt.u32 %p1, %r1, 32; @%p1 bra after; bar.sync 0; after:",
        "deadlock",
    );
    fails(
        "setp.lt.u32 %p1, %r1, 32; @%p1 bra other; bar.sync 0; bra after; other: bar.sync 0; after:",
        "divergent barrier",
    );
    fails("bar.sync 1, 96;", "deadlock");
    fails("bar.sync 16;", "does not exist");
    // Lanes that parted and meet again before the barrier are together at it.
    passes_on(
        "setp.eq.u32 %p1, %r1, 7; @%p1 bra after; add.s32 %r5, %r1, 1; after: bar.sync 0;",
        ONE,
    );
    // Named barriers: one warp signals, the other waits, at different instructions.
    passes_on(
        "setp.lt.u32 %p1, %r1, 32; @%p1 bra first; bar.arrive 1, 64; bra after; first: bar.sync 1, 64; after:",
        ONE,
    );
}

#[test]
fn shuffles() {
    let shuffle = |mask: &str| {
        format!("mov.u32 %r5, {mask}; mov.u32 %r6, 31; shfl.sync.bfly.b32 %r7, %r1, 1, %r6, %r5;")
    };
    passes_on(&shuffle("-1"), ONE);
    fails(
        &format!(
            "setp.gt.u32 %p1, %r1, 40; @%p1 bra after; {} after:",
            shuffle("-1")
        ),
        "that have exited",
    );
    fails(&shuffle("0x7fffffff"), "does not name");
    fails(
        "mov.u32 %r5, 0x0000ffff; and.b32 %r8, %r1, 31; setp.gt.u32 %p1, %r8, 15; @%p1 bra after;
         shfl.sync.bfly.b32 %r7, %r1, 16, 31, %r5; after:",
        "which is inactive",
    );
    fails(
        "setp.eq.u32 %p1, %r1, 3; @%p1 shfl.sync.bfly.b32 %r7, %r1, 1, 31, -1;",
        "its guard keeps out",
    );
    // Lanes that come later are waited for.
    passes_on(
        "setp.gt.u32 %p1, %r1, 40; @%p1 bra later; bra.uni there; later: add.s32 %r9, %r1, 1; bra.uni there;
         there: shfl.sync.bfly.b32 %r7, %r1, 1, 31, -1;",
        ONE,
    );
    // A block whose last warp is not full has no lanes to shuffle with.
    fails_on(
        &shuffle("-1"),
        Launch {
            block: [40, 1, 1],
            ..ONE
        },
        "that have exited or never were",
    );
}

#[test]
fn copies_in_the_background() {
    let copy = |wait: &str| {
        format!(
            "and.b32 %r5, %r1, 31; shl.b32 %r5, %r5, 3; mov.u32 %r6, words; add.s32 %r6, %r6, %r5; cvt.u64.u32 %rd5, %r5;
             add.s64 %rd5, %rd1, %rd5; setp.lt.u32 %p1, %r1, 32; @!%p1 bra after;
             cp.async.ca.shared.global [%r6], [%rd5], 8; cp.async.commit_group; {wait} after:"
        )
    };
    passes_on(
        &copy("cp.async.wait_group 0; ld.shared.u32 %r7, [%r6];"),
        ONE,
    );
    passes_on(
        &copy("cp.async.wait_all; bar.warp.sync -1; ld.shared.u32 %r7, [%r6];"),
        ONE,
    );
    fails(&copy(""), "never waited for");
    fails(
        &copy("ld.shared.u32 %r7, [%r6]; cp.async.wait_all;"),
        "still on its way",
    );
    fails(
        &copy("cp.async.wait_group 1; ld.shared.u32 %r7, [%r6]; cp.async.wait_all;"),
        "still on its way",
    );
    fails(
        &copy("st.shared.u32 [%r6], %r1; cp.async.wait_all;"),
        "still on its way",
    );
    // The wait of one warp tells another nothing before a barrier.
    let fault = copy("cp.async.wait_all;") + " ld.shared.u32 %r7, [words];";
    for mode in Mode::ALL {
        let fault = run_with(&fault, ONE, mode).0.unwrap_err();
        assert!(
            fault.contains("race between warps") || fault.contains("never written"),
            "{fault}"
        );
    }
    passes_on(
        &(copy("cp.async.wait_all;") + " bar.sync 0; ld.shared.u32 %r7, [words];"),
        ONE,
    );
    fails(
        "cp.async.cg.shared.global [words], [%rd1], 16, 20;",
        "reads 20 bytes and writes 16",
    );
    fails(
        "cp.async.cg.shared.global [words], [%rd2], 16;",
        "never written",
    );
}

#[test]
fn launches_that_cannot_be() {
    let module = Module::parse(&kernel("")).unwrap();
    let mut memory = Memory::new();
    let at = memory.put(&[1u32]);
    let mut fault = |launch: Launch, args: &[crate::ptx::Arg]| {
        module
            .kernel("test")
            .run(&launch, args, &mut memory, Mode::ALL[0])
            .unwrap_err()
            .to_string()
    };
    let two = [at.into(), at.into()];
    assert!(fault(ONE, &two[..1]).contains("1 arguments for 2 parameters"));
    assert!(fault(ONE, &[at.into(), 5.into()]).contains("argument 1 has 4 bytes, the parameter 8"));
    assert!(
        fault(
            Launch {
                grid: [0, 1, 1],
                ..ONE
            },
            &two
        )
        .contains("not possible")
    );
    assert!(
        fault(
            Launch {
                block: [1025, 1, 1],
                ..ONE
            },
            &two
        )
        .contains("not possible")
    );
    assert!(
        fault(
            Launch {
                shared: 200_000,
                ..ONE
            },
            &two
        )
        .contains("bytes of shared memory")
    );
    assert!(std::panic::catch_unwind(|| module.kernel("nothing").name().len()).is_err());
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    for (body, sentence) in [
        (
            "frobnicate.b32 %r1, %r2;",
            "instruction `frobnicate` is not known",
        ),
        ("add.u32 %r1, %rd1, 2;", "is not of the width"),
        (
            "add.sticky.u32 %r1, %r1, 2;",
            "modifier `.sticky` of `add` is not known",
        ),
        (
            "atom.global.add.u32 %r1, [%rd1], 1;",
            "instruction `atom` is not known",
        ),
        ("bra nowhere;", "label `nowhere` is nowhere"),
        ("ld.global.u32 %r1, [%rd99];", "`%rd99` is not known"),
        ("mul.rn.f16 %rs1, %rs2, %rs3;", "is known for f32"),
        ("add.u32 %r1, %r2;", "3 operands expected, 2 found"),
    ] {
        let text = kernel(body);
        let line = 1 + text.lines().position(|line| line.contains(body)).unwrap();
        let error = Module::parse(&text).unwrap_err();
        assert!(
            error.contains(sentence) && error.contains(&format!("line {line}")),
            "{error}"
        );
    }
}
