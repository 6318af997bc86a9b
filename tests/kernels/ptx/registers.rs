//! The registers of one warp: 32 lanes side by side in each, so that an instruction is one loop over lanes. Predicates are
//! masks of lanes. Immediates, special registers and addresses of symbols are registers too, filled when a warp starts.

/// Lanes of a warp.
pub(crate) const LANES: usize = 32;
/// One value for each lane.
pub(crate) type Lanes<T> = [T; LANES];

/// The value of `f` in every lane; a plain loop, which becomes vector code where `f` can.
#[inline(always)]
pub(crate) fn each<T: Copy + Default>(f: impl Fn(usize) -> T) -> Lanes<T> {
    let mut out = [T::default(); LANES];
    for (lane, value) in out.iter_mut().enumerate() {
        *value = f(lane);
    }
    out
}

/// The three register files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum File {
    Predicate,
    Narrow,
    Wide,
}

/// A register: its file and its place in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Reg {
    pub file: File,
    pub slot: u16,
}

/// The register files of one warp.
#[derive(Clone, Default)]
pub(crate) struct Registers {
    narrow: Vec<Lanes<u32>>,
    wide: Vec<Lanes<u64>>,
    predicates: Vec<u32>,
}

/// A type whose values fill a register of 32 lanes.
pub(crate) trait Lane: Copy + Default {
    fn read(registers: &Registers, reg: Reg) -> Lanes<Self>;
    fn write(registers: &mut Registers, reg: Reg, active: u32, values: &Lanes<Self>);
}

/// Puts the values of the active lanes, already turned into bits, in place.
fn blend<T: Copy + Default>(to: &mut Lanes<T>, active: u32, bits: &Lanes<T>) {
    if active == u32::MAX {
        *to = *bits;
    } else {
        *to = each(|lane| {
            if active >> lane & 1 == 1 {
                bits[lane]
            } else {
                to[lane]
            }
        });
    }
}

macro_rules! lane {
    ($type:ty, $file:ident, |$bits:ident| $from:expr, |$value:ident| $to:expr) => {
        impl Lane for $type {
            #[inline(always)]
            fn read(registers: &Registers, reg: Reg) -> Lanes<Self> {
                let from = &registers.$file[reg.slot as usize];
                each(|lane| {
                    let $bits = from[lane];
                    $from
                })
            }
            #[inline(always)]
            fn write(registers: &mut Registers, reg: Reg, active: u32, values: &Lanes<Self>) {
                let bits = each(|lane| {
                    let $value = values[lane];
                    $to
                });
                blend(&mut registers.$file[reg.slot as usize], active, &bits);
            }
        }
    };
}
lane!(u16, narrow, |bits| bits as u16, |value| u32::from(value));
lane!(i16, narrow, |bits| bits as i16, |value| u32::from(
    value as u16
));
lane!(u32, narrow, |bits| bits, |value| value);
lane!(i32, narrow, |bits| bits as i32, |value| value as u32);
lane!(f32, narrow, |bits| f32::from_bits(bits), |value| value
    .to_bits());
lane!(u64, wide, |bits| bits, |value| value);
lane!(i64, wide, |bits| bits as i64, |value| value as u64);
lane!(f64, wide, |bits| f64::from_bits(bits), |value| value
    .to_bits());

/// What a register holds before anything was put there: a number that is hard to overlook.
const NOTHING: u32 = 0xdead_beef;

impl Registers {
    /// So many registers of each file.
    pub fn new(predicates: usize, narrow: usize, wide: usize) -> Self {
        let nothing = u64::from(NOTHING) << 32 | u64::from(NOTHING);
        Self {
            narrow: vec![[NOTHING; LANES]; narrow],
            wide: vec![[nothing; LANES]; wide],
            predicates: vec![0; predicates],
        }
    }

    /// All lanes of a register.
    #[inline(always)]
    pub fn get<T: Lane>(&self, reg: Reg) -> Lanes<T> {
        T::read(self, reg)
    }

    /// Sets the active lanes of a register.
    #[inline(always)]
    pub fn set<T: Lane>(&mut self, reg: Reg, active: u32, values: Lanes<T>) {
        T::write(self, reg, active, &values);
    }

    /// The lanes in which a predicate holds.
    #[inline(always)]
    pub fn predicate(&self, reg: Reg) -> u32 {
        self.predicates[reg.slot as usize]
    }

    /// Sets the active lanes of a predicate.
    #[inline(always)]
    pub fn set_predicate(&mut self, reg: Reg, active: u32, holds: u32) {
        let old = &mut self.predicates[reg.slot as usize];
        *old = *old & !active | holds & active;
    }

    /// All lanes of a register of either width, zero-extended; a predicate as 0 or 1.
    #[inline]
    pub fn bits(&self, reg: Reg) -> Lanes<u64> {
        match reg.file {
            File::Predicate => {
                let holds = self.predicate(reg);
                each(|lane| u64::from(holds >> lane & 1))
            }
            File::Narrow => {
                let from = &self.narrow[reg.slot as usize];
                each(|lane| u64::from(from[lane]))
            }
            File::Wide => self.wide[reg.slot as usize],
        }
    }

    /// Sets the active lanes of a register of either width; bits that do not fit are dropped.
    #[inline]
    pub fn set_bits(&mut self, reg: Reg, active: u32, values: &Lanes<u64>) {
        match reg.file {
            File::Predicate => {
                let holds =
                    (0..LANES).fold(0, |mask, lane| mask | ((values[lane] & 1) as u32) << lane);
                self.set_predicate(reg, active, holds);
            }
            File::Narrow => blend(
                &mut self.narrow[reg.slot as usize],
                active,
                &each(|lane| values[lane] as u32),
            ),
            File::Wide => blend(&mut self.wide[reg.slot as usize], active, values),
        }
    }
}

/// The lanes of a mask, lowest first.
pub(crate) fn lanes(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (mask != 0).then(|| {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            lane
        })
    })
}
