//! A decoded instruction: everything that can be decided once is decided here, so that a step looks up no name.

use crate::ptx::registers::Reg;
use crate::ptx::types::Type;

/// An instruction of a kernel.
#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    /// The predicate that must hold in a lane, or must not (`true`).
    pub guard: Option<(Reg, bool)>,
    pub op: Op,
    /// Its line in the PTX text, from 1.
    pub line: usize,
}

/// How a result that no number represents is rounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rounding {
    Near,
    Zero,
    Down,
    Up,
}

/// Integer arithmetic; sources of one type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IntegerOp {
    Add,
    Sub,
    MulLow,
    MulHigh,
    MulWide,
    MadLow,
    MadHigh,
    MadWide,
    Div,
    Rem,
    Min,
    Max,
    Abs,
    Neg,
    And,
    Or,
    Xor,
    Not,
    LogicalNot,
    ShiftLeft,
    ShiftRight,
    AbsoluteDifference,
}

/// Operations on the bits of a 32- or 64-bit number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BitOp {
    Count,
    LeadingZeros,
    Reverse,
    /// Position of the highest bit that differs from the sign, or how far it is from the top (`shiftamt`).
    Find {
        shift: bool,
    },
    Extract,
    Insert,
    Permute,
    /// The upper word of a pair shifted left, amounts above 32 clamped or wrapped.
    FunnelLeft {
        clamp: bool,
    },
    FunnelRight {
        clamp: bool,
    },
    /// Any function of three bits, by its truth table.
    Table(u8),
}

/// Floating-point arithmetic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FloatOp {
    Add,
    Sub,
    Mul,
    Fma,
    Div,
    Min,
    Max,
    MinNan,
    MaxNan,
    Abs,
    Neg,
    CopySign,
    Sqrt,
    Rsqrt,
    Reciprocal,
    Exp2,
    Log2,
    Sin,
    Cos,
    Tanh,
}

/// What is done with the result (and, flushing, the sources) of floating-point arithmetic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Finish {
    pub rounding: Rounding,
    /// Subnormal numbers count as zero.
    pub flush: bool,
    /// The result is held between 0 and 1.
    pub saturate: bool,
}

/// Comparisons; the second of a floating-point pair also holds where a number is NaN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// Both are numbers.
    Ordered,
    /// One is NaN.
    Unordered,
}

/// Logic on predicates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Logic {
    And,
    Or,
    Xor,
}

/// `setp`: compares, combines with a predicate, writes the outcome and its complement.
#[derive(Clone, Debug)]
pub(crate) struct Compare {
    pub kind: Type,
    pub relation: Relation,
    /// Holds where a source is NaN.
    pub or_nan: bool,
    pub flush: bool,
    pub sources: [Reg; 2],
    /// Logic with a predicate, negated if `true`.
    pub combine: Option<(Logic, Reg, bool)>,
    pub to: Option<Reg>,
    pub complement: Option<Reg>,
}

/// `cvt` between scalar types.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convert {
    pub from: Type,
    pub to: Type,
    pub rounding: Rounding,
    /// Rounds to an integer even where the target is a float (`rni` and its like).
    pub integral: bool,
    pub saturate: bool,
    pub flush: bool,
    pub target: Reg,
    pub source: Reg,
}

/// Where a load or a store goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Space {
    Global,
    Shared,
    Local,
    Const,
    /// The address itself says which.
    Generic,
}

/// `[base + offset]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    pub base: Reg,
    pub offset: i64,
}

/// A load or a store of one, two or four elements in a row.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub space: Space,
    pub kind: Type,
    pub address: Address,
    pub registers: Vec<Reg>,
}

/// `cp.async`: a copy from global to shared memory in the background.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub to: Address,
    pub from: Address,
    /// Bytes written.
    pub size: usize,
    /// Bytes read, the rest are zeros; none: all of them.
    pub source_size: Option<Reg>,
}

/// The lane a shuffle reads from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

/// What a vote answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Vote {
    All,
    Any,
    Uniform,
    Ballot,
}

/// What `redux` or `bar.red` combines by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reduction {
    Add,
    Min,
    Max,
    And,
    Or,
    Xor,
}

/// An exchange between the lanes named by a mask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exchange {
    Shuffle {
        mode: Shuffle,
        to: Reg,
        valid: Option<Reg>,
        source: Reg,
        lane: Reg,
        clamp: Reg,
    },
    Vote {
        vote: Vote,
        to: Reg,
        source: Reg,
        negate: bool,
    },
    /// `match.any`, or `match.all` with the predicate that says whether all agree.
    Match {
        all: bool,
        to: Reg,
        agreed: Option<Reg>,
        source: Reg,
    },
    Reduce {
        reduction: Reduction,
        signed: bool,
        to: Reg,
        source: Reg,
    },
    /// `bar.warp.sync`.
    Nothing,
}

/// `bar.sync`, `bar.arrive` or `bar.red`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Barrier {
    pub number: Reg,
    /// Threads expected; none: all of the block.
    pub threads: Option<Reg>,
    /// Goes on without waiting.
    pub arrive: bool,
    pub reduce: Option<BarrierReduction>,
}

/// What a barrier counts of a predicate over all threads of the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BarrierReduction {
    /// None: how many hold.
    pub logic: Option<Logic>,
    pub to: Reg,
    pub source: Reg,
    pub negate: bool,
}

/// `ldmatrix`: 8 x 8 matrices of 16-bit numbers.
#[derive(Clone, Debug)]
pub(crate) struct MatrixLoad {
    pub to: Vec<Reg>,
    pub address: Address,
    pub transpose: bool,
}

/// `mma`: d [16 x 8] = a [16 x k] b [k x 8] + c, bf16 or f16 in, f32 sums.
#[derive(Clone, Debug)]
pub(crate) struct Multiply {
    pub kind: Type,
    /// 8 or 16.
    pub k: usize,
    pub d: [Reg; 4],
    pub a: Vec<Reg>,
    pub b: Vec<Reg>,
    pub c: [Reg; 4],
}

/// What an instruction does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Fences and hints: nothing to do where warps take turns.
    Nothing,
    Move {
        to: Reg,
        from: Reg,
    },
    /// Several registers side by side in one; each has so many bits.
    Pack {
        to: Reg,
        from: Vec<Reg>,
        bits: u32,
    },
    Unpack {
        to: Vec<Option<Reg>>,
        from: Reg,
        bits: u32,
    },
    Integer(IntegerOp, Type, [Reg; 4]),
    Bits(BitOp, Type, [Reg; 5]),
    Float(FloatOp, Type, Finish, [Reg; 4]),
    Logic(Logic, [Reg; 3]),
    NotPredicate(Reg, Reg),
    Compare(Box<Compare>),
    Select {
        to: Reg,
        yes: Reg,
        no: Reg,
        condition: Reg,
    },
    Convert(Convert),
    /// Two f32 into halves of one register.
    PackHalves {
        kind: Type,
        rounding: Rounding,
        relu: bool,
        to: Reg,
        upper: Reg,
        lower: Reg,
    },
    Parameter {
        to: Reg,
        kind: Type,
        offset: usize,
    },
    Load(Box<Access>),
    Store(Box<Access>),
    Copy(Box<Copy>),
    CommitCopies,
    /// Waits until at most so many groups are on their way; none: until all copies, committed or not, have landed.
    WaitCopies(Option<usize>),
    LoadMatrices(Box<MatrixLoad>),
    Multiply(Box<Multiply>),
    Exchange(Exchange, Reg),
    ActiveMask(Reg),
    Branch(usize),
    BranchTable(Reg, Vec<usize>),
    Exit,
    Barrier(Barrier),
    Trap,
}
