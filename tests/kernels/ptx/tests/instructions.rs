//! Each instruction on every lane against Rust arithmetic: the corners of its types against each other, and random numbers.

use crate::ptx::{Launch, Memory, Mode, Module};
use half::{bf16, f16};

/// Numbers that have hurt before, for each kind of register, then random ones.
fn corners(kind: &str) -> Vec<u64> {
    let floats = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        1.5,
        2.5,
        -2.5,
        3.0,
        1e-3,
        -7.25,
        1e10,
        -3e9,
        65504.0,
        65520.0,
        1e-40,
        -1e-42,
        f64::from(f32::MAX),
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1.000_000_1,
        255.5,
        -128.5,
        0.1,
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut out: Vec<u64> = match kind {
        "f32" => floats
            .iter()
            .map(|x| u64::from((*x as f32).to_bits()))
            .collect(),
        "f64" => floats.iter().map(|x| x.to_bits()).collect(),
        _ => [
            0, 1, 2, 3, 5, 7, 8, 15, 16, 31, 32, 33, 63, 64, 127, 128, 255, 32767, 32768, 65535,
            65536,
        ]
        .into_iter()
        .flat_map(|x: u64| {
            [
                x,
                x.wrapping_neg(),
                0x7fff_ffff - x,
                0x8000_0000 + x,
                x << 40,
            ]
        })
        .collect(),
    };
    for _ in 0..16 {
        out.push(match kind {
            "f32" => u64::from((((random() >> 40) as f32 / 16_777_216.0 - 0.5) * 100.0).to_bits()),
            "f64" => (((random() >> 11) as f64 / 9e15 - 0.5) * 100.0).to_bits(),
            _ => random(),
        });
    }
    let mask = match &kind[1..] {
        "8" => 0xff,
        "16" => 0xffff,
        "32" => 0xffff_ffff,
        _ => u64::MAX,
    };
    out.iter().map(|x| x & mask).collect()
}

/// Runs `line`, which makes `d` of `a`, `b` and `c`, on all pairs of corners (with some third) and hands back what went in
/// and came out. Kinds are those of d, a, b, c.
fn run(line: &str, kinds: [&str; 4]) -> Vec<[u64; 4]> {
    let [d, a, b, c] = kinds;
    let declared = |kind: &str| {
        if kind.ends_with('8') {
            "b16".to_owned()
        } else {
            kind.to_owned()
        }
    };
    let text = format!(
        ".version 8.0
.target sm_80
.address_size 64
.visible .entry test(.param .u64 test_0, .param .u64 test_1, .param .u32 test_2)
{{
    .reg .{} d; .reg .{} a; .reg .{} b; .reg .{} c; .reg .pred p, q; .reg .b32 %r<9>; .reg .b64 %rd<9>;
    ld.param.u64 %rd1, [test_0];
    ld.param.u64 %rd2, [test_1];
    ld.param.u32 %r5, [test_2];
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %ntid.x;
    mov.u32 %r3, %tid.x;
    mad.lo.s32 %r4, %r1, %r2, %r3;
    setp.ge.u32 p, %r4, %r5;
    @p ret;
    mul.wide.u32 %rd3, %r4, 24;
    add.s64 %rd3, %rd1, %rd3;
    ld.global.{a} a, [%rd3];
    ld.global.{b} b, [%rd3+8];
    ld.global.{c} c, [%rd3+16];
    {line}
    mul.wide.u32 %rd4, %r4, 8;
    add.s64 %rd4, %rd2, %rd4;
    st.global.{d} [%rd4], d;
    ret;
}}",
        declared(d),
        declared(a),
        declared(b),
        declared(c)
    );
    let module = Module::parse(&text).unwrap();
    let (first, second, third) = (corners(a), corners(b), corners(c));
    let mut inputs = Vec::new();
    for (i, x) in first.iter().enumerate() {
        for (j, y) in second.iter().enumerate() {
            inputs.push([*x, *y, third[(i * 7 + j * 3) % third.len()]]);
        }
    }
    let mut memory = Memory::new();
    let from = memory.put(&inputs.concat());
    let to = memory.writable(&vec![0u64; inputs.len()]);
    let launch = Launch {
        grid: [inputs.len().div_ceil(64) as u32, 1, 1],
        block: [64, 1, 1],
        shared: 0,
    };
    let args = [from.into(), to.into(), (inputs.len() as u32).into()];
    module
        .kernel("test")
        .run(&launch, &args, &mut memory, Mode::ALL[0])
        .unwrap();
    inputs
        .into_iter()
        .zip(memory.get::<u64>(to))
        .map(|([a, b, c], d)| [a, b, c, d])
        .collect()
}

fn check(line: &str, kinds: [&str; 4], expected: impl Fn(u64, u64, u64) -> u64) {
    for [a, b, c, d] in run(line, kinds) {
        let want = expected(a, b, c);
        assert_eq!(
            d, want,
            "{line} of {a:#x}, {b:#x}, {c:#x}: {d:#x}, not {want:#x}"
        );
    }
}

fn f(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

/// Bits of an f32, every NaN the canonical one.
fn bits(x: f32) -> u64 {
    if x.is_nan() {
        0x7fff_ffff
    } else {
        u64::from(x.to_bits())
    }
}

/// Between 0 and 1, NaN at 0.
fn held(x: f32) -> f32 {
    if x > 0.0 { x.min(1.0) } else { 0.0 }
}

fn bits64(x: f64) -> u64 {
    if x.is_nan() {
        0x7fff_ffff_ffff_ffff
    } else {
        x.to_bits()
    }
}

const U32: [&str; 4] = ["u32"; 4];
const S32: [&str; 4] = ["s32"; 4];
const F32: [&str; 4] = ["f32"; 4];
const F64: [&str; 4] = ["f64"; 4];

macro_rules! integers {
    ($kind:literal, $type:ty, $unsigned:ty) => {{
        let kinds = [$kind; 4];
        let binary = |name: &str, op: fn($type, $type) -> $type| {
            check(&format!("{name}.{} d, a, b;", $kind), kinds, |a, b, _| {
                u64::from(op(a as $type, b as $type) as $unsigned)
            });
        };
        binary("add", <$type>::wrapping_add);
        binary("sub", <$type>::wrapping_sub);
        binary("mul.lo", <$type>::wrapping_mul);
        binary("min", |a, b| a.min(b));
        binary("max", |a, b| a.max(b));
        binary("div", |a, b| if b == 0 { !0 } else { a.wrapping_div(b) });
        binary("rem", |a, b| if b == 0 { !0 } else { a.wrapping_rem(b) });
        binary("mul.hi", |a, b| {
            (i128::from(a).wrapping_mul(i128::from(b)) >> <$type>::BITS) as $type
        });
        check(
            &format!("mad.lo.{} d, a, b, c;", $kind),
            kinds,
            |a, b, c| {
                u64::from(
                    (a as $type)
                        .wrapping_mul(b as $type)
                        .wrapping_add(c as $type) as $unsigned,
                )
            },
        );
        check(
            &format!("shr.{} d, a, b;", $kind),
            [$kind, $kind, "u32", "u32"],
            |a, b, _| {
                let a = a as $type;
                u64::from(
                    a.checked_shr(b as u32)
                        .unwrap_or(if i128::from(a) < 0 { !0 } else { 0 })
                        as $unsigned,
                )
            },
        );
        check(
            &format!("shl.b{} d, a, b;", <$type>::BITS),
            [$kind, $kind, "u32", "u32"],
            |a, b, _| u64::from((a as $type).checked_shl(b as u32).unwrap_or(0) as $unsigned),
        );
    }};
}

#[test]
fn integer_arithmetic() {
    integers!("u16", u16, u16);
    integers!("s16", i16, u16);
    integers!("u32", u32, u32);
    integers!("s32", i32, u32);
    integers!("u64", u64, u64);
    integers!("s64", i64, u64);
    check("abs.s32 d, a;", S32, |a, _, _| {
        u64::from((a as i32).wrapping_abs() as u32)
    });
    check("neg.s32 d, a;", S32, |a, _, _| {
        u64::from((a as i32).wrapping_neg() as u32)
    });
    check("neg.s64 d, a;", ["s64"; 4], |a, _, _| a.wrapping_neg());
    check("cnot.b32 d, a;", U32, |a, _, _| u64::from(a == 0));
    check("sad.u32 d, a, b, 0;", U32, |a, b, _| a.abs_diff(b));
}

#[test]
fn wide_products() {
    check(
        "mul.wide.u32 d, a, b;",
        ["u64", "u32", "u32", "u64"],
        |a, b, _| a * b,
    );
    check(
        "mul.wide.s32 d, a, b;",
        ["s64", "s32", "s32", "s64"],
        |a, b, _| (i64::from(a as i32) * i64::from(b as i32)) as u64,
    );
    check(
        "mul.wide.u16 d, a, b;",
        ["u32", "u16", "u16", "u32"],
        |a, b, _| a * b,
    );
    check(
        "mul.wide.s16 d, a, b;",
        ["s32", "s16", "s16", "s32"],
        |a, b, _| u64::from((i32::from(a as i16) * i32::from(b as i16)) as u32),
    );
    check(
        "mad.wide.u32 d, a, b, c;",
        ["u64", "u32", "u32", "u64"],
        |a, b, c| (a * b).wrapping_add(c),
    );
    check(
        "mad.wide.s32 d, a, b, c;",
        ["s64", "s32", "s32", "s64"],
        |a, b, c| (i64::from(a as i32) * i64::from(b as i32)).wrapping_add(c as i64) as u64,
    );
    check("mad.hi.u32 d, a, b, c;", U32, |a, b, c| {
        u64::from(((a * b) >> 32) as u32).wrapping_add(c) & 0xffff_ffff
    });
}

#[test]
fn bitwise() {
    for (kind, mask) in [("b16", 0xffff), ("b32", 0xffff_ffffu64), ("b64", u64::MAX)] {
        let kinds = [kind; 4];
        check(&format!("and.{kind} d, a, b;"), kinds, |a, b, _| a & b);
        check(&format!("or.{kind} d, a, b;"), kinds, |a, b, _| a | b);
        check(&format!("xor.{kind} d, a, b;"), kinds, |a, b, _| a ^ b);
        check(&format!("not.{kind} d, a;"), kinds, |a, _, _| !a & mask);
    }
    check("popc.b32 d, a;", U32, |a, _, _| u64::from(a.count_ones()));
    check("popc.b64 d, a;", ["u32", "b64", "b64", "b64"], |a, _, _| {
        u64::from(a.count_ones())
    });
    check("clz.b32 d, a;", U32, |a, _, _| {
        u64::from((a as u32).leading_zeros())
    });
    check("clz.b64 d, a;", ["u32", "b64", "b64", "b64"], |a, _, _| {
        u64::from(a.leading_zeros())
    });
    check("brev.b32 d, a;", U32, |a, _, _| {
        u64::from((a as u32).reverse_bits())
    });
    check("brev.b64 d, a;", ["b64"; 4], |a, _, _| a.reverse_bits());
    check("bfind.u32 d, a;", U32, |a, _, _| {
        u64::from((a as u32).checked_ilog2().unwrap_or(u32::MAX))
    });
    check("bfind.shiftamt.u32 d, a;", U32, |a, _, _| {
        if a == 0 {
            0xffff_ffff
        } else {
            u64::from((a as u32).leading_zeros())
        }
    });
    check(
        "bfind.s32 d, a;",
        ["u32", "s32", "s32", "s32"],
        |a, _, _| {
            let a = a as i32;
            u64::from(
                (if a < 0 { !a } else { a } as u32)
                    .checked_ilog2()
                    .unwrap_or(u32::MAX),
            )
        },
    );
    check("lop3.b32 d, a, b, c, 0xE8;", U32, |a, b, c| {
        a & b | b & c | a & c
    });
    check("lop3.b32 d, a, b, c, 0x96;", U32, |a, b, c| a ^ b ^ c);
    check("lop3.b32 d, a, b, c, 0xCA;", U32, |a, b, c| {
        (a & b | !a & c) & 0xffff_ffff
    });
}

#[test]
fn fields_and_bytes() {
    check("bfe.u32 d, a, b, 5;", U32, |a, b, _| {
        (a.checked_shr(b as u32 & 255).unwrap_or(0)) & 31
    });
    check(
        "bfe.s32 d, a, 4, b;",
        ["s32", "s32", "u32", "u32"],
        |a, b, _| {
            let length = (b as u32 & 255).min(28);
            let field = (a as i32) << (28 - length).min(31) >> (28 - length).min(31);
            u64::from(if length == 0 { 0 } else { field >> 4 } as u32)
        },
    );
    check("bfe.u64 d, a, 8, 16;", ["u64"; 4], |a, _, _| {
        a >> 8 & 0xffff
    });
    check("bfi.b32 d, a, b, 8, 12;", U32, |a, b, _| {
        b & !0xf_ff00 | a << 8 & 0xf_ff00
    });
    check("bfi.b32 d, a, b, 28, 12;", U32, |a, b, _| {
        b & !0xf000_0000 | a << 28 & 0xf000_0000
    });
    check("bfi.b64 d, a, b, 40, 12;", ["b64"; 4], |a, b, _| {
        let mask = 0xfff << 40;
        b & !mask | a << 40 & mask
    });
    check("prmt.b32 d, a, b, 0x5410;", U32, |a, b, _| {
        a & 0xffff | (b & 0xffff) << 16
    });
    check("prmt.b32 d, a, b, 0x7632;", U32, |a, b, _| {
        a >> 16 | b >> 16 << 16
    });
    check("prmt.b32 d, a, b, 0xC481;", U32, |a, b, _| {
        // Bytes 1, 0 with its sign only, 4, 4 with its sign only; from the lowest.
        let sign = |byte: u64| if byte & 0x80 != 0 { 0xff } else { 0 };
        (a >> 8 & 0xff) | sign(a) << 8 | (b & 0xff) << 16 | sign(b) << 24
    });
    check("shf.l.wrap.b32 d, a, b, c;", U32, |a, b, c| {
        (((b << 32 | a) << (c & 31)) >> 32) & 0xffff_ffff
    });
    check("shf.r.wrap.b32 d, a, b, c;", U32, |a, b, c| {
        ((b << 32 | a) >> (c & 31)) & 0xffff_ffff
    });
    check("shf.r.clamp.b32 d, a, b, c;", U32, |a, b, c| {
        ((b << 32 | a) >> c.min(32)) & 0xffff_ffff
    });
    check("shf.l.clamp.b32 d, a, b, c;", U32, |a, b, c| {
        let shift = c.min(32) as u32;
        (b << 32 | a).checked_shl(shift).unwrap_or(0) >> 32
    });
}

#[test]
fn float_arithmetic() {
    check("add.f32 d, a, b;", F32, |a, b, _| bits(f(a) + f(b)));
    check("sub.rn.f32 d, a, b;", F32, |a, b, _| bits(f(a) - f(b)));
    check("mul.f32 d, a, b;", F32, |a, b, _| bits(f(a) * f(b)));
    check("fma.rn.f32 d, a, b, c;", F32, |a, b, c| {
        bits(f(a).mul_add(f(b), f(c)))
    });
    check("div.rn.f32 d, a, b;", F32, |a, b, _| bits(f(a) / f(b)));
    check("div.full.f32 d, a, b;", F32, |a, b, _| bits(f(a) / f(b)));
    check("sqrt.rn.f32 d, a;", F32, |a, _, _| bits(f(a).sqrt()));
    check("rcp.rn.f32 d, a;", F32, |a, _, _| bits(1.0 / f(a)));
    check("abs.f32 d, a;", F32, |a, _, _| a & 0x7fff_ffff);
    check("neg.f32 d, a;", F32, |a, _, _| a ^ 0x8000_0000);
    check("copysign.f32 d, a, b;", F32, |a, b, _| {
        a & 0x8000_0000 | b & 0x7fff_ffff
    });
    check("add.sat.f32 d, a, b;", F32, |a, b, _| {
        bits(held(f(a) + f(b)))
    });
    let flushed = |x: f32| {
        if x.is_subnormal() {
            0f32.copysign(x)
        } else {
            x
        }
    };
    check("add.ftz.f32 d, a, b;", F32, |a, b, _| {
        bits(flushed(flushed(f(a)) + flushed(f(b))))
    });
    check("mul.ftz.f32 d, a, b;", F32, |a, b, _| {
        bits(flushed(flushed(f(a)) * flushed(f(b))))
    });
}

#[test]
fn smallest_and_largest() {
    let minimum = |a: f32, b: f32| match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ if a == b => f32::from_bits(a.to_bits() | b.to_bits()),
        _ => a.min(b),
    };
    let maximum = move |a: f32, b: f32| -minimum(-a, -b);
    check("min.f32 d, a, b;", F32, |a, b, _| bits(minimum(f(a), f(b))));
    check("max.f32 d, a, b;", F32, |a, b, _| bits(maximum(f(a), f(b))));
    let either = |a: u64, b: u64| f(a).is_nan() || f(b).is_nan();
    check("max.NaN.f32 d, a, b;", F32, |a, b, _| {
        if either(a, b) {
            0x7fff_ffff
        } else {
            bits(maximum(f(a), f(b)))
        }
    });
    check("min.NaN.f32 d, a, b;", F32, |a, b, _| {
        if either(a, b) {
            0x7fff_ffff
        } else {
            bits(minimum(f(a), f(b)))
        }
    });
}

#[test]
fn approximate_functions_are_rounded_once() {
    let exact = |name: &str, function: fn(f64) -> f64| {
        check(&format!("{name} d, a;"), F32, |a, _, _| {
            bits(function(f64::from(f(a))) as f32)
        });
    };
    exact("ex2.approx.f32", f64::exp2);
    exact("lg2.approx.f32", f64::log2);
    exact("sin.approx.f32", f64::sin);
    exact("cos.approx.f32", f64::cos);
    exact("tanh.approx.f32", f64::tanh);
    exact("rsqrt.approx.f32", |x| 1.0 / x.sqrt());
    exact("rcp.approx.f32", |x| 1.0 / x);
    exact("sqrt.approx.f32", f64::sqrt);
    check("ex2.approx.ftz.f32 d, a;", F32, |a, _, _| {
        let x = f64::from(f(a)).exp2() as f32;
        bits(if x.is_subnormal() { 0.0 } else { x })
    });
}

/// The f32 next to the exact value on the asked side, by search: exact is `value` compared by `less` and `greater`.
fn towards(value: f64, exact: impl Fn(f32) -> std::cmp::Ordering, up: bool) -> f32 {
    let mut x = value as f32;
    if !x.is_finite() && !value.is_finite() {
        return x;
    }
    // `exact(x)` says how x stands to the exact value.
    while exact(x).is_gt() {
        x = x.next_down();
    }
    while exact(x).is_lt() && !exact(x.next_up()).is_gt() {
        x = x.next_up();
    }
    if up && exact(x).is_lt() {
        x.next_up()
    } else {
        x
    }
}

#[test]
fn directed_rounding() {
    // Products of two f32 are exact in f64.
    for (word, up) in [("rm", false), ("rp", true)] {
        check(&format!("mul.{word}.f32 d, a, b;"), F32, |a, b, _| {
            let product = f64::from(f(a)) * f64::from(f(b));
            bits(if product.is_nan() {
                f32::NAN
            } else if product == 0.0 || product.is_infinite() {
                product as f32
            } else {
                towards(product, |x| f64::from(x).total_cmp(&product), up)
            })
        });
    }
    check("mul.rz.f32 d, a, b;", F32, |a, b, _| {
        let product = f64::from(f(a)) * f64::from(f(b));
        bits(
            if product.is_nan() || product == 0.0 || product.is_infinite() {
                product as f32
            } else {
                towards(
                    product.abs(),
                    |x| f64::from(x).total_cmp(&product.abs()),
                    false,
                )
                .copysign(product as f32)
            },
        )
    });
    for line in [
        "add.rz.f32 d, a, b;",
        "fma.rz.f32 d, a, b, c;",
        "div.rz.f32 d, a, b;",
        "sqrt.rz.f32 d, a;",
    ] {
        let near = run(&line.replace("rz", "rn"), F32);
        let (down, up) = (
            run(&line.replace("rz", "rm"), F32),
            run(&line.replace("rz", "rp"), F32),
        );
        for (n, [.., zero]) in run(line, F32).into_iter().enumerate() {
            let [near, down, up, zero] = [near[n][3], down[n][3], up[n][3], zero].map(f);
            if near.is_nan() {
                assert!(down.is_nan() && up.is_nan() && zero.is_nan());
            } else {
                assert!(
                    down <= near
                        && near <= up
                        && (down.to_bits() == up.to_bits() || down == up || down.next_up() == up)
                );
                assert!(
                    zero == if near > 0.0 || near == 0.0 && up > 0.0 {
                        down
                    } else {
                        up
                    },
                    "{line}: {down} {near} {up} {zero}"
                );
            }
        }
    }
}

#[test]
fn double_arithmetic() {
    let x = f64::from_bits;
    check("add.f64 d, a, b;", F64, |a, b, _| bits64(x(a) + x(b)));
    check("sub.f64 d, a, b;", F64, |a, b, _| bits64(x(a) - x(b)));
    check("mul.rn.f64 d, a, b;", F64, |a, b, _| bits64(x(a) * x(b)));
    check("fma.rn.f64 d, a, b, c;", F64, |a, b, c| {
        bits64(x(a).mul_add(x(b), x(c)))
    });
    check("div.rn.f64 d, a, b;", F64, |a, b, _| bits64(x(a) / x(b)));
    check("sqrt.rn.f64 d, a;", F64, |a, _, _| bits64(x(a).sqrt()));
    check("neg.f64 d, a;", F64, |a, _, _| a ^ 1 << 63);
    check("abs.f64 d, a;", F64, |a, _, _| a & !(1 << 63));
}

#[test]
fn comparisons() {
    let line = |compare: &str| format!("setp.{compare} p, a, b; selp.u32 d, 1, 0, p;");
    type Test = fn(std::cmp::Ordering) -> bool;
    let relations: [(&str, Test); 6] = [
        ("eq", std::cmp::Ordering::is_eq),
        ("ne", std::cmp::Ordering::is_ne),
        ("lt", std::cmp::Ordering::is_lt),
        ("le", std::cmp::Ordering::is_le),
        ("gt", std::cmp::Ordering::is_gt),
        ("ge", std::cmp::Ordering::is_ge),
    ];
    for (word, test) in relations {
        let kinds = |kind| ["u32", kind, kind, kind];
        check(&line(&format!("{word}.s32")), kinds("s32"), |a, b, _| {
            u64::from(test((a as i32).cmp(&(b as i32))))
        });
        check(&line(&format!("{word}.u32")), kinds("u32"), |a, b, _| {
            u64::from(test(a.cmp(&b)))
        });
        check(&line(&format!("{word}.s16")), kinds("s16"), |a, b, _| {
            u64::from(test((a as i16).cmp(&(b as i16))))
        });
        check(&line(&format!("{word}.s64")), kinds("s64"), |a, b, _| {
            u64::from(test((a as i64).cmp(&(b as i64))))
        });
        check(&line(&format!("{word}.u64")), kinds("u64"), |a, b, _| {
            u64::from(test(a.cmp(&b)))
        });
        check(&line(&format!("{word}.f32")), kinds("f32"), |a, b, _| {
            u64::from(f(a).partial_cmp(&f(b)).is_some_and(test))
        });
        check(&line(&format!("{word}u.f32")), kinds("f32"), |a, b, _| {
            u64::from(f(a).partial_cmp(&f(b)).is_none_or(test))
        });
        check(&line(&format!("{word}.f64")), kinds("f64"), |a, b, _| {
            u64::from(
                f64::from_bits(a)
                    .partial_cmp(&f64::from_bits(b))
                    .is_some_and(test),
            )
        });
    }
    let kinds = ["u32", "f32", "f32", "f32"];
    check(&line("num.f32"), kinds, |a, b, _| {
        u64::from(!f(a).is_nan() && !f(b).is_nan())
    });
    check(&line("nan.f32"), kinds, |a, b, _| {
        u64::from(f(a).is_nan() || f(b).is_nan())
    });
    check(&line("lo.u32"), U32, |a, b, _| u64::from(a < b));
    check(&line("hs.u32"), U32, |a, b, _| u64::from(a >= b));
}

#[test]
fn predicates() {
    let prepare = "setp.lt.s32 p, a, b; setp.gt.s32 q, b, c;";
    let p = |a: u64, b: u64| (a as i32) < (b as i32);
    for (word, combine) in [
        ("and", (|x, y| x & y) as fn(bool, bool) -> bool),
        ("or", |x, y| x | y),
        ("xor", |x, y| x ^ y),
    ] {
        let line = format!("{prepare} {word}.pred p, p, q; selp.b32 d, a, b, p;");
        check(
            &line,
            S32,
            |a, b, c| if combine(p(a, b), p(c, b)) { a } else { b },
        );
        let line = format!(
            "setp.gt.s32 q, b, c; setp.lt.{word}.s32 p|q, a, b, !q; selp.b32 d, 2, 0, p; @q add.s32 d, d, 1;"
        );
        check(&line, S32, |a, b, c| {
            let (yes, with) = (p(a, b), !p(c, b));
            u64::from(combine(yes, with)) * 2 + u64::from(combine(!yes, with))
        });
    }
    check(
        "setp.lt.s32 p, a, b; not.pred q, p; mov.pred p, q; selp.s32 d, a, b, p;",
        S32,
        |a, b, _| {
            if p(a, b) { b } else { a }
        },
    );
    // The target is one of the sources.
    check(
        "setp.lt.s32 p, a, b; mov.b32 d, c; selp.b32 d, a, d, p;",
        S32,
        |a, b, c| if p(a, b) { a } else { c },
    );
    check(
        "setp.lt.s32 p, a, b; mov.b32 d, c; selp.b32 d, d, a, p;",
        S32,
        |a, b, c| if p(a, b) { c } else { a },
    );
    check(
        "setp.lt.s32 p, a, b; mov.u32 d, 7; @!p mov.u32 d, 9;",
        S32,
        |a, b, _| if p(a, b) { 7 } else { 9 },
    );
    check(
        "setp.lt.s32 p, a, b; selp.f64 d, 0d3FF0000000000000, 0d0000000000000000, p;",
        ["f64", "s32", "s32", "s32"],
        |a, b, _| f64::from(u8::from(p(a, b))).to_bits(),
    );
}

#[test]
fn integer_conversions() {
    check(
        "cvt.u64.u32 d, a;",
        ["u64", "u32", "u32", "u32"],
        |a, _, _| a,
    );
    check(
        "cvt.s64.s32 d, a;",
        ["s64", "s32", "s32", "s32"],
        |a, _, _| i64::from(a as i32) as u64,
    );
    check(
        "cvt.u32.u64 d, a;",
        ["u32", "u64", "u64", "u64"],
        |a, _, _| a & 0xffff_ffff,
    );
    check(
        "cvt.u16.u32 d, a;",
        ["u16", "u32", "u32", "u32"],
        |a, _, _| a & 0xffff,
    );
    check(
        "cvt.s32.s16 d, a;",
        ["s32", "s16", "s16", "s16"],
        |a, _, _| u64::from(i32::from(a as i16) as u32),
    );
    check(
        "cvt.s32.s8 d, a;",
        ["s32", "u32", "u32", "u32"],
        |a, _, _| u64::from(i32::from(a as i8) as u32),
    );
    check("cvt.u32.u8 d, a;", U32, |a, _, _| a & 0xff);
    check(
        "cvt.sat.u8.s32 d, a;",
        ["u32", "s32", "s32", "s32"],
        |a, _, _| (a as i32).clamp(0, 255) as u64,
    );
    check(
        "cvt.sat.s16.s32 d, a; and.b32 d, d, 0xffff;",
        ["u32", "s32", "s32", "s32"],
        |a, _, _| u64::from((a as i32).clamp(-32768, 32767) as u16),
    );
    check(
        "cvt.sat.s32.u64 d, a;",
        ["s32", "u64", "u64", "u64"],
        |a, _, _| a.min(0x7fff_ffff),
    );
}

#[test]
fn float_conversions() {
    let to = |d| [d, "f32", "f32", "f32"];
    check(
        "cvt.rn.f32.s32 d, a;",
        ["f32", "s32", "s32", "s32"],
        |a, _, _| bits(a as i32 as f32),
    );
    check(
        "cvt.rn.f32.u32 d, a;",
        ["f32", "u32", "u32", "u32"],
        |a, _, _| bits(a as f32),
    );
    check(
        "cvt.rn.f32.u64 d, a;",
        ["f32", "u64", "u64", "u64"],
        |a, _, _| bits(a as f32),
    );
    check(
        "cvt.rn.f32.s64 d, a;",
        ["f32", "s64", "s64", "s64"],
        |a, _, _| bits(a as i64 as f32),
    );
    check(
        "cvt.rz.f32.u32 d, a;",
        ["f32", "u32", "u32", "u32"],
        |a, _, _| {
            let near = a as f32;
            bits(if f64::from(near) > a as f64 {
                near.next_down()
            } else {
                near
            })
        },
    );
    check(
        "cvt.rn.f64.s64 d, a;",
        ["f64", "s64", "s64", "s64"],
        |a, _, _| bits64(a as i64 as f64),
    );
    check(
        "cvt.rn.f64.u32 d, a;",
        ["f64", "u32", "u32", "u32"],
        |a, _, _| bits64(a as f64),
    );
    check("cvt.f64.f32 d, a;", to("f64"), |a, _, _| {
        f64::from(f(a)).to_bits()
    });
    check(
        "cvt.rn.f32.f64 d, a;",
        ["f32", "f64", "f64", "f64"],
        |a, _, _| bits(f64::from_bits(a) as f32),
    );
    check("cvt.rzi.s32.f32 d, a;", to("s32"), |a, _, _| {
        u64::from(f(a) as i32 as u32)
    });
    check("cvt.rzi.u32.f32 d, a;", to("u32"), |a, _, _| {
        u64::from(f(a) as u32)
    });
    check("cvt.rni.s32.f32 d, a;", to("s32"), |a, _, _| {
        u64::from(f(a).round_ties_even() as i32 as u32)
    });
    check("cvt.rmi.s32.f32 d, a;", to("s32"), |a, _, _| {
        u64::from(f(a).floor() as i32 as u32)
    });
    check("cvt.rpi.s32.f32 d, a;", to("s32"), |a, _, _| {
        u64::from(f(a).ceil() as i32 as u32)
    });
    check("cvt.rzi.u64.f32 d, a;", to("u64"), |a, _, _| f(a) as u64);
    check("cvt.rzi.s64.f32 d, a;", to("s64"), |a, _, _| {
        f(a) as i64 as u64
    });
    check(
        "cvt.rzi.s32.f64 d, a;",
        ["s32", "f64", "f64", "f64"],
        |a, _, _| u64::from(f64::from_bits(a) as i32 as u32),
    );
    check("cvt.rni.f32.f32 d, a;", F32, |a, _, _| {
        bits(f(a).round_ties_even())
    });
    check("cvt.rzi.f32.f32 d, a;", F32, |a, _, _| bits(f(a).trunc()));
    check("cvt.rmi.f32.f32 d, a;", F32, |a, _, _| bits(f(a).floor()));
    check("cvt.rpi.f32.f32 d, a;", F32, |a, _, _| bits(f(a).ceil()));
    check("cvt.sat.f32.f32 d, a;", F32, |a, _, _| bits(held(f(a))));
}

#[test]
fn halves() {
    let brain = |x: f32| {
        u64::from(if x.is_nan() {
            0x7fff
        } else {
            bf16::from_f32(x).to_bits()
        })
    };
    let half = |x: f32| {
        u64::from(if x.is_nan() {
            0x7fff
        } else {
            f16::from_f32(x).to_bits()
        })
    };
    let kinds = ["u16", "f32", "f32", "f32"];
    check(
        "cvt.rn.bf16x2.f32 d, a, b;",
        ["u32", "f32", "f32", "f32"],
        |a, b, _| brain(f(a)) << 16 | brain(f(b)),
    );
    check(
        "cvt.rn.relu.bf16x2.f32 d, a, b;",
        ["u32", "f32", "f32", "f32"],
        |a, b, _| {
            let relu = |x: f32| if x < 0.0 { 0.0 } else { x };
            brain(relu(f(a))) << 16 | brain(relu(f(b)))
        },
    );
    check(
        "cvt.rn.f16x2.f32 d, a, b;",
        ["u32", "f32", "f32", "f32"],
        |a, b, _| half(f(a)) << 16 | half(f(b)),
    );
    check("cvt.rn.bf16.f32 d, a;", kinds, |a, _, _| brain(f(a)));
    check("cvt.rn.f16.f32 d, a;", kinds, |a, _, _| half(f(a)));
    check("cvt.rz.bf16.f32 d, a;", kinds, |a, _, _| {
        if f(a).is_nan() { 0x7fff } else { a >> 16 }
    });
    check(
        "cvt.f32.f16 d, a;",
        ["f32", "u16", "u16", "u16"],
        |a, _, _| bits(f16::from_bits(a as u16).to_f32()),
    );
}

#[test]
fn moves() {
    check(
        "mov.b64 d, {a, b};",
        ["b64", "u32", "u32", "u32"],
        |a, b, _| b << 32 | a,
    );
    check(
        "mov.b32 d, {a, b};",
        ["b32", "u16", "u16", "u16"],
        |a, b, _| b << 16 | a,
    );
    check(
        "mov.b64 {d, %r1}, a;",
        ["u32", "b64", "b64", "b64"],
        |a, _, _| a & 0xffff_ffff,
    );
    check(
        "mov.b64 {_, d}, a;",
        ["u32", "b64", "b64", "b64"],
        |a, _, _| a >> 32,
    );
    check(
        "mov.b32 {d, _}, a;",
        ["u16", "b32", "b32", "b32"],
        |a, _, _| a & 0xffff,
    );
    check("mov.f32 d, 0f3F800000;", F32, |_, _, _| bits(1.0));
    check("mov.f32 d, 1.5;", F32, |_, _, _| bits(1.5));
    check("mov.u32 d, -5;", U32, |_, _, _| 0xffff_fffb);
    check("mov.u64 d, 0xFFFFFFFFFFFFFFFF;", ["u64"; 4], |_, _, _| {
        u64::MAX
    });
    // Names between braces are their own.
    check(
        "{ .reg .b32 a; mov.u32 a, 3; add.s32 d, a, 4; }",
        U32,
        |_, _, _| 7,
    );
}
