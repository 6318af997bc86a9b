//! The orders that a mode chooses: a kernel that is right does not feel them, so a fault tells which warp and block came first.

use crate::ptx::{Launch, Memory, Mode, Module};

/// Where the first of so many blocks of two warps ends.
fn first(blocks: u32, mode: Mode) -> (u32, u32) {
    let text = ".version 8.0
.target sm_80
.address_size 64
.visible .entry test()
{
    trap;
}";
    let launch = Launch {
        grid: [blocks, 1, 1],
        block: [64, 1, 1],
        shared: 0,
    };
    let module = Module::parse(text).unwrap();
    let run = module.kernel("test");
    let fault = run.run(&launch, &[], &mut Memory::new(), mode).unwrap_err();
    let place = fault.place.unwrap();
    (place.block[0], place.warp)
}

#[test]
fn blocks_and_warps_run_in_both_orders() {
    for mode in Mode::ALL {
        let expected = if mode.reverse { (2, 1) } else { (0, 0) };
        assert_eq!(first(3, mode), expected, "{mode:?}");
    }
}
