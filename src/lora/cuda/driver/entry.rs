//! The entry points of a PTX text, and whether a launch fits one.
//!
//! The driver copies as many bytes for each parameter as the entry point declares, from wherever the caller points; so number
//! and kinds of arguments are compared with the declaration, which stands in the text, before it is asked.

use std::collections::BTreeMap;

use crate::lora::backend::{Done, Trouble};

use crate::lora::cuda::driver::device::{Address, Arg, Launch};

/// What a parameter is declared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// 8 bytes: a pointer, or an integer.
    Wide,
    /// 4 bytes: an integer.
    Narrow,
    /// 4 bytes: `float`.
    Float,
}

/// An entry point: its parameters in order, and the most threads that a block of it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In order.
    pub parameters: Vec<Parameter>,
    /// From `.maxntid`; none: whatever the GPU allows.
    pub threads: Option<u64>,
}

/// All entry points of a text by name.
///
/// # Errors
///
/// A declaration that is not understood, a parameter that is passed by value as bytes, or no entry point at all.
pub fn entries(text: &str) -> Done<BTreeMap<String, Entry>> {
    let mut found = BTreeMap::new();
    let bare: String = text.lines().map(uncommented).collect::<Vec<_>>().join("\n");
    for piece in bare.split(".entry").skip(1) {
        let (name, entry) = one(piece).map_err(|why| Trouble(format!("a PTX text {why}")))?;
        if found.insert(name.clone(), entry).is_some() {
            return Err(Trouble(format!(
                "a PTX text has two entry points called {name}"
            )));
        }
    }
    match found.is_empty() {
        true => Err(Trouble("a PTX text has no entry point".into())),
        false => Ok(found),
    }
}

fn uncommented(line: &str) -> &str {
    line.split("//").next().unwrap_or("")
}

/// What stands after `.entry`: `name(.param .u64 name_param_0, ...) .maxntid 256, 1, 1 {`.
fn one(piece: &str) -> Result<(String, Entry), String> {
    let head = piece.split('{').next().unwrap_or("");
    let (name, rest) = head.split_once('(').unwrap_or((head, ")"));
    let name = name.trim();
    let (declared, directives) = rest
        .split_once(')')
        .ok_or_else(|| format!("does not end the parameters of {name}"))?;
    let parameters = declared
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(|one| {
            parameter(one)
                .ok_or_else(|| format!("declares `{one}` in {name}, which no argument can be"))
        })
        .collect::<Result<_, _>>()?;
    let entry = Entry {
        parameters,
        threads: threads(directives),
    };
    Ok((name.to_owned(), entry))
}

fn parameter(declared: &str) -> Option<Parameter> {
    let mut words = declared.split_whitespace();
    if words.next() != Some(".param") {
        return None;
    }
    Some(match words.next()? {
        ".u64" | ".s64" | ".b64" => Parameter::Wide,
        ".u32" | ".s32" | ".b32" => Parameter::Narrow,
        ".f32" => Parameter::Float,
        _ => return None,
    })
}

fn threads(directives: &str) -> Option<u64> {
    let (_, after) = directives.split_once(".maxntid")?;
    let numbers = after.split('.').next()?;
    numbers
        .split(',')
        .map(|one| one.trim().parse::<u64>().ok())
        .product()
}

/// The arguments of a launch as the driver wants them: one cell each, the value in its first bytes. Only [`fit`] makes them, so
/// their number and kinds are those of the entry point, and each pointer is into a live piece or none.
#[derive(Debug, PartialEq, Eq)]
pub struct Fitted(Vec<u64>);

impl Fitted {
    /// The cells, in order.
    pub fn cells(&self) -> &[u64] {
        &self.0
    }
}

/// Compares a launch with the entry point called `name`; `live` says whether a pointer is into a live piece.
///
/// # Errors
///
/// Number or kind of arguments, or the block, do not fit the entry point, or a pointer is not live.
pub fn fit(
    name: &str,
    entry: &Entry,
    launch: &Launch,
    args: &[Arg],
    live: impl Fn(Address) -> bool,
) -> Done<Fitted> {
    let wrong = |why: String| Trouble(format!("kernel {name} was launched with {why}"));
    let threads: u64 = launch.block.iter().map(|&n| u64::from(n)).product();
    let most = entry.threads.unwrap_or(1024);
    if threads == 0 || threads > most {
        return Err(wrong(format!(
            "{threads} threads to a block, and may have 1 to {most}"
        )));
    }
    let (given, declared) = (args.len(), entry.parameters.len());
    if given != declared {
        return Err(wrong(format!("{given} arguments, and has {declared}")));
    }
    let pairs = args.iter().zip(&entry.parameters).enumerate();
    let cells = pairs.map(|(place, (arg, parameter))| match arg {
        Arg::Pointer(at) if *at != Address::NULL && !live(*at) => Err(wrong(format!(
            "{:#x} as argument {place}, which is not reserved",
            at.0
        ))),
        _ => cell(*arg, *parameter).ok_or_else(|| {
            wrong(format!(
                "{arg:?} as argument {place}, and declares it as {parameter:?}"
            ))
        }),
    });
    Ok(Fitted(cells.collect::<Done<_>>()?))
}

fn cell(arg: Arg, parameter: Parameter) -> Option<u64> {
    let (kind, cell) = match arg {
        Arg::Pointer(at) => (Parameter::Wide, at.0),
        Arg::U64(number) => (Parameter::Wide, number),
        Arg::I32(number) => (Parameter::Narrow, u64::from(number.cast_unsigned())),
        Arg::U32(number) => (Parameter::Narrow, u64::from(number)),
        Arg::F32(number) => (Parameter::Float, u64::from(number.to_bits())),
    };
    (kind == parameter).then_some(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
.version 8.0
.target sm_80
.address_size 64
\t// .globl\tscale_rows
.extern .shared .align 16 .b8 tile[];
.visible .entry scale_rows(
\t.param .u64 scale_rows_param_0,
\t.param .u32 scale_rows_param_1,
\t.param .f32 scale_rows_param_2
)
.maxntid 256, 1, 1
.minnctapersm 2
{
\tret;
}
.visible .entry nothing()
{
\tret; // .entry in a comment
}
";

    fn launch(threads: u32) -> Launch {
        Launch::row(1, threads, 0)
    }

    #[test]
    fn entry_points_are_read_from_the_text() {
        let found = entries(TEXT).expect("a text");
        assert_eq!(found.len(), 2);
        assert_eq!(
            found["scale_rows"],
            Entry {
                parameters: vec![Parameter::Wide, Parameter::Narrow, Parameter::Float],
                threads: Some(256)
            }
        );
        assert_eq!(
            found["nothing"],
            Entry {
                parameters: vec![],
                threads: None
            }
        );
    }

    #[test]
    fn texts_that_cannot_be_launched_are_refused() {
        let said = |text: &str| entries(text).expect_err("refused").0;
        assert!(said(".version 8.0").contains("no entry point"));
        let bytes = TEXT.replace(
            ".param .f32 scale_rows_param_2",
            ".param .align 4 .b8 scale_rows_param_2[12]",
        );
        assert!(
            said(&bytes)
                .contains("declares `.param .align 4 .b8 scale_rows_param_2[12]` in scale_rows")
        );
        assert!(said(&format!("{TEXT}{TEXT}")).contains("two entry points called"));
        assert!(said(".entry f(.param .u64 x").contains("does not end the parameters of f"));
    }

    #[test]
    fn arguments_become_cells() {
        let entry = &entries(TEXT).expect("a text")["scale_rows"];
        let args = [
            Address(0x7fff_0000_1100).into(),
            (-2i32).into(),
            1.5f32.into(),
        ];
        let made = fit("scale_rows", entry, &launch(256), &args, |_| true).expect("fits");
        assert_eq!(made.cells(), [0x7fff_0000_1100, 0xffff_fffe, 0x3fc0_0000]);
        assert_eq!(made.cells()[1].to_le_bytes()[..4], (-2i32).to_le_bytes());
        let none = [Address::NULL.into(), 2i32.into(), 1.5f32.into()];
        assert_eq!(
            fit("scale_rows", entry, &launch(1), &none, |_| false)
                .expect("fits")
                .cells()[0],
            0
        );
    }

    #[test]
    fn a_launch_that_does_not_fit_is_refused() {
        let entry = &entries(TEXT).expect("a text")["scale_rows"];
        let good: [Arg; 3] = [Address(256).into(), 3u32.into(), 1.5f32.into()];
        let live = |at: Address| at == Address(256);
        let said = |threads, args: &[Arg]| {
            fit("scale_rows", entry, &launch(threads), args, live)
                .expect_err("refused")
                .0
        };
        assert!(said(32, &good[..2]).contains("2 arguments, and has 3"));
        assert!(
            said(32, &[good[0], good[2], good[1]])
                .contains("F32(1.5) as argument 1, and declares it as Narrow")
        );
        assert!(said(32, &[3u32.into(), good[1], good[2]]).contains("as argument 0"));
        assert!(
            said(32, &[Address(512).into(), good[1], good[2]])
                .contains("0x200 as argument 0, which is not reserved")
        );
        assert!(said(257, &good).contains("257 threads to a block, and may have 1 to 256"));
        assert!(said(0, &good).contains("0 threads"));
    }
}
