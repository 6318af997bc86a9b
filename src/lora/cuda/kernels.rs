//! The hand-written kernels, as the driver compiles them: each CUDA source beside the PTX that `tests/kernels/make` made of it.

/// The name of each text, and it.
pub const ALL: &[(&str, &str)] = &[
    ("adamw", include_str!("kernels/adamw.ptx")),
    ("attend", include_str!("kernels/attend.ptx")),
    ("attend_back", include_str!("kernels/attend_back.ptx")),
    ("border", include_str!("kernels/border.ptx")),
    ("cross_entropy", include_str!("kernels/cross_entropy.ptx")),
    ("decode", include_str!("kernels/decode.ptx")),
    ("gather", include_str!("kernels/gather.ptx")),
    ("logprob", include_str!("kernels/logprob.ptx")),
    ("lora_da", include_str!("kernels/lora_da.ptx")),
    ("lora_down", include_str!("kernels/lora_down.ptx")),
    ("lora_dy", include_str!("kernels/lora_dy.ptx")),
    ("norm", include_str!("kernels/norm.ptx")),
    ("preload", include_str!("kernels/preload.ptx")),
    ("reduce", include_str!("kernels/reduce.ptx")),
    ("rope", include_str!("kernels/rope.ptx")),
    ("squares", include_str!("kernels/squares.ptx")),
    ("swiglu", include_str!("kernels/swiglu.ptx")),
];
