//! Several fine-tunes in one run: the frozen base is there once, each micro-batch holds rows of all members, and each member
//! has a directory of its own, as if it had been trained alone.
//!
//! ```text
//! OUTPUT/
//!   sweep.json, report.html      all members beside one another
//!   halving.json                 with halving: who went on from which rung (see `halved`)
//!   NAME/                        a member, complete (see `export`)
//!   .NAME.campaignd-training/    until then (see `places`)
//! ```
//!
//! What a member computes is a function of its own request: no byte of it depends on who else is there, when they end, or
//! whether all are killed in between. A member whose numbers stop it leaves the others alone. Halving changes no number
//! either: of a member that is left out only where it ends depends on the others, and that it says so.

use super::{
    Found, Told,
    export::{self, Learned, Written},
    halved::{HALVING, Halved},
    learn::{Learning, Seat, TellEach},
    places::Places,
    prepare::{Prepared, Sources},
    stop,
    swept::{End, describe},
    undone,
};
use crate::{
    artifacts::{
        create_dir_private, named,
        room::{patiently, say},
        sums,
    },
    executor::job_dir::TRY_AGAIN,
    lora::{
        backend::Backend,
        cuda::key::{aligned, bucket},
        decoder::Decoder,
        pack::Layout,
    },
    training::{
        job::{FineTune, PlanKey, Sweep},
        site::Site,
        words::Module,
    },
    worker::{
        Undone,
        device::{self, PLANS},
    },
};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use std::{
    fs::{self, File},
    io,
    path::Path,
};

pub use super::{
    halved::Summary,
    judged::{Judged, Run},
    swept::{Outcome, REPORT, SWEEP, Swept},
};

/// What there is at the place of a member that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Nothing,
    /// It was begun, and has not ended.
    Begun,
    /// It is complete, or was stopped by its own numbers.
    Ended,
}

/// How far the members are that are asked for.
///
/// # Errors
/// Something else is at a member's place.
pub fn standing(sweep: &Sweep) -> Result<Vec<Standing>, Undone> {
    let asked = sweep.members.iter().filter(|job| sweep.asks(job));
    let standing = |job: &FineTune| {
        let places = Places::of(job)?;
        Ok(match places.found() {
            Found::Other(path) => {
                let path = path.display();
                return Err(format!("{path} is there, and is no trained adapter").into());
            }
            Found::Finished(_) => Standing::Ended,
            Found::Unfinished(_) if stop::there(&places) => Standing::Ended,
            Found::Unfinished(_) => Standing::Begun,
            Found::Nothing => Standing::Nothing,
        })
    };
    asked.map(standing).collect()
}

/// Trains all members that are not complete, or the one that is asked for, which then computes just what it computes in the
/// pack.
///
/// # Errors
/// A sentence: what is wrong with model, rows or settings. A member whose own numbers stop it is no error of the sweep.
pub fn sweep(sweep: &Sweep, tell: TellEach<'_>) -> Result<Swept, Undone> {
    check(sweep)?;
    standing(sweep)?;
    let dir = Path::new(&sweep.output);
    let plans = dir.join(PLANS);
    let places = |job: &FineTune| Ok(Places::of(job)?.with_plans(plans.clone()));
    let places: Vec<Places> = sweep
        .members
        .iter()
        .map(places)
        .collect::<Result<_, Undone>>()?;
    let made = !dir.exists();
    let wrong = |error| undone("the sweep cannot begin", &error);
    create_dir_private(dir).map_err(wrong)?;
    // Nobody else trains these members from here on; others may be trained elsewhere, but for a GPU, whose products are
    // recorded for all of them.
    let mut held = Held::default();
    let swept = held
        .take(sweep, &places)
        .and_then(|()| locked(sweep, &places, &plans, tell));
    drop(held);
    if swept.is_err() && made {
        // Where nothing was begun nothing is left, either; what has something in it stays.
        if !places.iter().any(Places::is_there) {
            let _ = fs::remove_file(dir.join(HALVING));
        }
        let _ = fs::remove_dir(dir);
    }
    swept
}

/// The members that this process has for itself. Where one was not begun, or is complete, nothing of its work is left behind.
#[derive(Default)]
struct Held<'a> {
    members: Vec<(&'a Places, Flock<File>)>,
    all: Option<Flock<File>>,
}

impl<'a> Held<'a> {
    fn take(&mut self, sweep: &Sweep, places: &'a [Places]) -> Result<(), Undone> {
        if device::grain(sweep.members[0].device).is_some() {
            self.all = Some(whole(&sweep.output, FlockArg::LockExclusiveNonblock)?);
        }
        let both = sweep.members.iter().zip(places);
        for (_, places) in both.filter(|(job, _)| sweep.asks(job)) {
            self.members.push((places, places.lock()?));
        }
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for (places, _) in &self.members {
            if !places.is_begun() || matches!(places.found(), Found::Finished(_)) {
                places.clear();
            }
        }
    }
}

/// The directory of a sweep, for this process alone.
fn whole(dir: &str, how: FlockArg) -> Result<Flock<File>, Undone> {
    let wrong = |error: io::Error| undone("the sweep cannot go on", &error);
    let file = File::open(dir).map_err(|error| wrong(named(error, "open", Path::new(dir))))?;
    Flock::lock(file, how).map_err(|(_, error)| match error {
        Errno::EWOULDBLOCK => format!("another process trains in {dir}").into(),
        error => wrong(error.into()),
    })
}

/// That the members can share a base and a batch.
fn check(sweep: &Sweep) -> Result<(), Undone> {
    let Some(first) = sweep.members.first() else {
        return Err("a sweep has no member".to_string().into());
    };
    for member in &sweep.members {
        let name = &member.name;
        if let Some((key, value, right)) = member.settings.problems().into_iter().next() {
            return Err(format!("{name}: {key} = {value} is wrong: {right}").into());
        }
        if [SWEEP, REPORT, PLANS, HALVING].contains(&name.as_str()) {
            return Err(format!(
                "no member of a sweep can be called {name}: the sweep has a file of that name"
            )
            .into());
        }
        let shared = (&first.model, first.device, first.settings.loss);
        if (&member.model, member.device, member.settings.loss) != shared {
            let what = "members of a sweep share model, device and loss";
            return Err(format!("{what}: {name} has others than {}", first.name).into());
        }
        if member.merge || member.stage.is_some() {
            return Err(format!("{name}: a member of a sweep is not merged, and no stage").into());
        }
    }
    if sweep.halving.is_some() {
        compared(sweep)?;
    }
    match &sweep.only {
        Some(name) if sweep.members.iter().all(|member| member.name != *name) => {
            let names: Vec<&str> = sweep
                .members
                .iter()
                .map(|member| member.name.as_str())
                .collect();
            Err(format!("there is no member {name:?}: {}", names.join(", ")).into())
        }
        _ => Ok(()),
    }
}

/// That members can be compared at rungs.
fn compared(sweep: &Sweep) -> Result<(), Undone> {
    if let Some(name) = &sweep.only {
        let why = "the members of a sweep that halves are compared with each other";
        return Err(format!("{name} cannot be trained by itself: {why}").into());
    }
    if sweep.members.iter().any(|job| job.holdout.is_empty()) {
        let why = "halving compares members on held-out rows, and there are none";
        return Err(why.to_string().into());
    }
    Ok(())
}

/// The work, with the locks in hand.
fn locked(
    sweep: &Sweep,
    places: &[Places],
    plans: &Path,
    tell: TellEach<'_>,
) -> Result<Swept, Undone> {
    let first = &sweep.members[0];
    let mut sources = Sources::default();
    let mut prepared = Vec::new();
    for (number, job) in sweep.members.iter().enumerate() {
        let mut tell = |told| tell(number, told);
        prepared.push(Prepared::read(&mut sources, job, job, &mut tell)?);
    }
    drop(sources);
    if let Some(why) = device::without_gpu(first.device) {
        let why = format!("computes on the processor: {why}");
        tell(sweep.members.len(), Told::Note(why));
    }
    let (layout, key) = shapes(sweep, &prepared);
    for prepared in &mut prepared {
        prepared.identity.plan_key.clone_from(&key);
    }
    let mut halved = Halved::begin(sweep, places, &prepared)?;
    let mut seats = Vec::new();
    for ((job, places), prepared) in sweep.members.iter().zip(places).zip(&prepared) {
        let trains = sweep.asks(job) && ended(places, prepared)?.is_none();
        if trains && stop::there(places) {
            // It was stopped with other settings: what it had is of no use to these.
            let forgotten = places.forget();
            forgotten.map_err(|error| undone("the member cannot begin anew", &error))?;
        }
        seats.push(Seat {
            job,
            places,
            prepared,
            trains,
        });
    }
    if seats.iter().any(|seat| seat.trains) {
        let training = Training {
            seats: &seats,
            layout,
            halved: halved.as_mut(),
            tell,
        };
        device::on(first.device, Some(plans), training)?;
    }
    // Others may have been trained elsewhere meanwhile: what is said of all is what there is now.
    let _whole = match device::grain(first.device) {
        Some(_) => None,
        None => Some(whole(&sweep.output, FlockArg::LockExclusive)?),
    };
    let ends = seats.iter().map(|seat| ended(seat.places, seat.prepared));
    let mut swept = Swept::of(sweep, key, ends.collect::<Result<_, _>>()?);
    swept.halving = halved.map(|halved| halved.summary(&swept.made(places)));
    let waits = |error: &io::Error| say(&format!("{error}; waiting for room"));
    let described = patiently(waits, || describe(sweep, places, &swept));
    described.map_err(|error| undone("the sweep's report cannot be written", &error))?;
    Ok(swept)
}

/// Where members' rows stand in a micro-batch, and what all products are shaped by where numbers depend on it.
fn shapes(sweep: &Sweep, prepared: &[Prepared]) -> (Layout, Option<PlanKey>) {
    let model = &prepared[0].model;
    let (decoder, device) = (&model.decoder, sweep.members[0].device);
    let Some(grain) = device::grain(device) else {
        return (Layout::Dense, None);
    };
    let both = || sweep.members.iter().zip(prepared);
    let most: Vec<usize> = both()
        .map(|(job, prepared)| prepared.most(&job.settings)[0])
        .collect();
    let layout = Layout::slots(grain, &most, decoder.context);
    let ranks = |site: Site| -> Vec<usize> {
        let rank = |job: &FineTune| {
            job.settings
                .adapter(site)
                .map_or(0, |(rank, _)| rank as usize)
        };
        sweep.members.iter().map(rank).collect()
    };
    let wide = |number: usize| number as u64;
    let key = PlanKey {
        padded_rows: wide(layout.most(0)),
        slots: most
            .iter()
            .map(|most| wide(most.next_multiple_of(grain)))
            .collect(),
        rank_bucket: bucket(decoder, &ranks).map(wide),
        aligned_ranks: aligned(decoder, &ranks).into_iter().map(wide).collect(),
        drops: sweep
            .members
            .iter()
            .map(|job| job.settings.lora_dropout > 0.0)
            .collect(),
        borders: borders(decoder, &ranks),
    };
    (layout, Some(key))
}

/// A digest of all ranks: where every adapter stands beside the weights follows from them.
fn borders(decoder: &Decoder, ranks: &dyn Fn(Site) -> Vec<usize>) -> String {
    let mut hash = sums::Hash::default();
    for layer in 0..decoder.layers.len() as u32 {
        for &module in Module::ALL.iter() {
            let ranks = ranks(Site { layer, module });
            hash.update(format!("{layer} {module} {ranks:?}\n").as_bytes());
        }
    }
    hash.finish()
}

/// How a member ended, where it has.
fn ended(places: &Places, prepared: &Prepared) -> Result<Option<End>, Undone> {
    if let Found::Finished(output) = places.found() {
        return Ok(Some(Ok(export::read(&output, &prepared.identity)?)));
    }
    Ok(stop::read(places, &prepared.identity).map(Err))
}

/// Members that are ready to be computed.
struct Training<'a> {
    seats: &'a [Seat<'a>],
    layout: Layout,
    halved: Option<&'a mut Halved>,
    tell: TellEach<'a>,
}

impl device::Task for Training<'_> {
    type Made = ();

    fn run<B: Backend>(self, machine: impl Fn() -> B, _: Option<u64>) -> Result<(), Undone> {
        let Self {
            seats,
            layout,
            halved,
            tell,
        } = self;
        let mut learning = Learning::begin(seats, layout, machine(), tell)?;
        match halved {
            Some(halved) => halved.train(&mut learning, tell)?,
            None => learning.go_on(tell)?,
        }
        let Learning {
            mut engine,
            members,
            ..
        } = learning;
        // All are taken before any is compared, for which the engine has one member's adapters alone.
        let learned: Vec<_> = members
            .iter()
            .map(|member| match &member.stopped {
                Some(undone) => Err(Undone::from(undone.text.clone())),
                None => Learned::of(&engine, member),
            })
            .collect();
        for (member, learned) in members.iter().zip(learned) {
            let mut tell = |told| tell(member.number, told);
            let written = learned.and_then(|learned| learned.write(&mut engine, member, &mut tell));
            let Err(undone) = written.and_then(Written::name) else {
                continue;
            };
            if undone.status == TRY_AGAIN {
                return Err(undone);
            }
            // What is wrong with one member is no reason to lose another.
            tell(Told::Note(format!("goes no further: {}", undone.text)));
            stop::write(member.places, &member.prepared.identity, &undone.text)?;
        }
        Ok(())
    }
}
