//! The steps of one fine-tune, or of several that share a frozen base and are computed together: each micro-batch holds rows of
//! all of them.

use super::{
    Told,
    member::{Halt, Member, Turn, used},
    places::Places,
    prepare::Prepared,
    start::Start,
};
use crate::{
    lora::{
        backend::{Ask, Backend, Use},
        batch::Batch,
        engine::{Adapters, AllMoments, Engine, Stake, fresh},
        pack::{Layout, Packed, pack},
    },
    training::{job::FineTune, words::Loss},
    worker::Undone,
};

/// Who is told, and of which member; a number beyond them: of all.
pub type TellEach<'a> = &'a mut dyn FnMut(usize, Told);

/// A fine-tune that has a place among those that are computed together.
#[derive(Clone, Copy)]
pub struct Seat<'a> {
    /// What is asked for.
    pub job: &'a FineTune,
    /// Where everything is.
    pub places: &'a Places,
    /// What it learns from.
    pub prepared: &'a Prepared,
    /// Whether it is computed now: one that is done, or is not asked for, only keeps its place.
    pub trains: bool,
}

/// A training on a machine.
pub struct Learning<'a, B: Backend> {
    /// The model with the adapters of all members.
    pub engine: Engine<B>,
    /// Those that are computed.
    pub members: Vec<Member<'a>>,
    layout: Layout,
    /// How each seat's adapters would take part: what products are shaped by does not depend on who has rows.
    used: Vec<Use>,
}

impl<'a, B: Backend> Learning<'a, B> {
    /// Goes on from the newest checkpoint of each, or begins.
    ///
    /// # Errors
    /// A checkpoint that was started with something else; an adapter that does not fit; those of the machine.
    ///
    /// # Panics
    /// There is no seat.
    pub fn begin(
        seats: &[Seat<'a>],
        layout: Layout,
        machine: B,
        tell: TellEach<'_>,
    ) -> Result<Self, Undone> {
        let mut starts = Vec::new();
        for (number, seat) in seats.iter().enumerate().filter(|(_, seat)| seat.trains) {
            let Seat {
                job,
                places,
                prepared,
                ..
            } = *seat;
            let start = Start::of(job, places, prepared, &mut |told| tell(number, told))?;
            starts.push((number, start));
        }
        for (number, _) in &starts {
            tell(*number, Told::Stage("loading"));
        }
        let engine = engine(seats, &starts, &layout, machine)?;
        let mut members = Vec::new();
        for (number, start) in starts {
            let Seat {
                job,
                places,
                prepared,
                ..
            } = seats[number];
            let all = (job, places, prepared);
            let looks = layout.alone(prepared.most_looked(&job.settings)[0]);
            let member = Member::new(number, all, start, looks, &mut |told| tell(number, told))?;
            members.push(member);
        }
        Ok(Self {
            engine,
            members,
            layout,
            used: seats
                .iter()
                .map(|seat| used(&seat.job.settings, 1))
                .collect(),
        })
    }

    /// Steps until there is nothing left to do for any member, or its holdout says that it is enough, or its own numbers stop
    /// it, or it waits at a rung.
    ///
    /// # Errors
    /// Those of machine and files.
    pub fn go_on(&mut self, tell: TellEach<'_>) -> Result<(), Undone> {
        for at in 0..self.members.len() {
            if self.members[at].is_new() && self.members[at].goes() {
                let number = self.members[at].number;
                let looked =
                    self.members[at].look(&mut self.engine, &mut |told| tell(number, told));
                self.halted(at, looked.map(drop))?;
            }
        }
        while self.members.iter().any(Member::goes) {
            self.step(tell)?;
        }
        Ok(())
    }

    /// Ends the members that were left out at the rung where they are.
    ///
    /// # Errors
    /// Those of machine and files.
    pub fn end_at_rungs(&mut self, tell: TellEach<'_>) -> Result<(), Undone> {
        for at in 0..self.members.len() {
            let (member, engine) = (&mut self.members[at], &mut self.engine);
            let number = member.number;
            let ended = member.end_at_rung(engine, &mut |told| tell(number, told));
            self.halted(at, ended)?;
        }
        Ok(())
    }

    /// One step of every member that has one left.
    fn step(&mut self, tell: TellEach<'_>) -> Result<(), Undone> {
        let mut turns: Vec<(usize, Turn)> = Vec::new();
        for at in 0..self.members.len() {
            if !self.members[at].goes() {
                continue;
            }
            match self.members[at].turn() {
                Ok(turn) => turns.push((at, turn)),
                Err(halt) => self.halted(at, Err(halt))?,
            }
        }
        let rounds = turns.iter().map(|(_, turn)| turn.batches.len()).max();
        for round in 0..rounds.unwrap_or(0) {
            self.micro_batch(round, &mut turns)?;
        }
        for (at, turn) in turns {
            let (member, engine) = (&mut self.members[at], &mut self.engine);
            let number = member.number;
            let mut tell = |told| tell(number, told);
            let ended = member.end(engine, &turn, &mut tell);
            let ended = ended.and_then(|()| member.pause(engine, &mut tell));
            self.halted(at, ended)?;
        }
        Ok(())
    }

    /// Keeps why a member goes no further; whatever its numbers have come to touches nobody.
    fn halted(&mut self, at: usize, ended: Result<(), Halt>) -> Result<(), Undone> {
        match ended {
            Ok(()) => Ok(()),
            Err(Halt::All(undone)) => Err(undone),
            Err(Halt::Own(undone)) => {
                let member = &mut self.members[at];
                member.stopped = Some(undone);
                match self.used.len() {
                    1 => Ok(()),
                    _ => Ok(self.engine.retire(member.number)?),
                }
            }
        }
    }

    /// Adds up the gradients of every member's micro-batch of a round.
    fn micro_batch(&mut self, round: usize, turns: &mut [(usize, Turn)]) -> Result<(), Undone> {
        let members = &self.members;
        let mut there: Vec<(&Member<'_>, &mut Turn)> = turns
            .iter_mut()
            .filter(|(_, turn)| turn.batches.len() > round)
            .map(|(at, turn)| (&members[*at], turn))
            .collect();
        let batches: Vec<(usize, Batch)> = there
            .iter_mut()
            .map(|(member, turn)| (member.number, std::mem::take(&mut turn.batches[round])))
            .collect();
        let parts: Vec<(usize, &Batch)> = batches.iter().map(|(n, batch)| (*n, batch)).collect();
        let packed = pack(&parts, &self.layout);
        let mut used = self.used.clone();
        for (member, turn) in &there {
            used[member.number] = turn.used;
        }
        match there.first().map(|(member, _)| member.job.settings.loss) {
            None => Ok(()),
            Some(Loss::Sft) => learn(&mut self.engine, &packed, &used, &mut there),
            Some(Loss::Dpo) => prefer(&mut self.engine, &packed, &used, &mut there),
        }
    }
}

/// Learns from a micro-batch of rows.
fn learn<B: Backend>(
    engine: &mut Engine<B>,
    packed: &Packed,
    used: &[Use],
    there: &mut [(&Member<'_>, &mut Turn)],
) -> Result<(), Undone> {
    let mut weights = vec![0.0; packed.batch.supervised.len()];
    for (rows, (_, turn)) in packed.supervised.iter().zip(&*there) {
        weights[rows.clone()].fill(turn.weight() as f32);
    }
    let losses = engine.learn_packed(&packed.batch, &weights, used)?;
    for (rows, (_, turn)) in packed.supervised.iter().zip(there) {
        turn.take_losses(&losses[rows.clone()]);
    }
    Ok(())
}

/// Learns from a micro-batch of pairs.
fn prefer<B: Backend>(
    engine: &mut Engine<B>,
    packed: &Packed,
    used: &[Use],
    there: &mut [(&Member<'_>, &mut Turn)],
) -> Result<(), Undone> {
    let mut stakes = Stake::NONE.each(&packed.batch);
    let pairs = |documents: &std::ops::Range<usize>| documents.start / 2..documents.end / 2;
    for (documents, (member, turn)) in packed.documents.iter().zip(&*there) {
        stakes[pairs(documents)].fill(Stake {
            beta: member.job.settings.beta,
            weight: turn.weight(),
        });
    }
    let found = engine.prefer(&packed.batch, &stakes, used)?;
    for (documents, (member, turn)) in packed.documents.iter().zip(there) {
        turn.take_pairs(&found[pairs(documents)], member.job.settings.beta);
    }
    Ok(())
}

/// The model, with the adapters that every seat has or would begin with.
fn engine<B: Backend>(
    seats: &[Seat<'_>],
    starts: &[(usize, Start)],
    layout: &Layout,
    machine: B,
) -> Result<Engine<B>, Undone> {
    let model = &seats
        .first()
        .expect("somebody is to be trained")
        .prepared
        .model;
    let decoder = &model.decoder;
    let own = |(number, seat): (usize, &Seat<'_>)| {
        let start = starts.iter().find(|(of, _)| *of == number);
        match start {
            Some((_, start)) => start.adapters.clone(),
            None => fresh(&seat.job.settings, decoder),
        }
    };
    let adapters: Vec<Adapters> = seats.iter().enumerate().map(own).collect();
    let most = seats
        .iter()
        .map(|seat| seat.prepared.most(&seat.job.settings));
    let [tokens, supervised] = most.fold([0; 2], |[a, b], [c, d]| [a + c, b + d]);
    let looks = seats
        .iter()
        .map(|seat| seat.prepared.most_looked(&seat.job.settings));
    let [looked, looked_at] = looks.fold([0; 2], |[a, b], [c, d]| [a.max(c), b.max(d)]);
    let tokens = layout.most(tokens).max(layout.alone(looked).most(looked));
    let supervised = supervised.max(looked_at);
    let level = machine.plan(&Ask {
        decoder,
        ranks: &|site| {
            let rank = |own: &Adapters| own.get(&site).map_or(0, |adapter| adapter.rank);
            adapters.iter().map(rank).collect()
        },
        tokens,
        supervised,
    })?;
    let mut engine = Engine::packed(machine, decoder, &**model, &adapters)?;
    if let Some(level) = level {
        engine.keep(level);
        engine.reserve(tokens, supervised)?;
    }
    if starts.iter().any(|(_, start)| start.moments.is_some()) {
        let moments = |number: usize| -> Option<&AllMoments> {
            let (_, start) = starts.iter().find(|(of, _)| *of == number)?;
            start.moments.as_ref()
        };
        let all = adapters.iter().enumerate();
        let all: Vec<_> = all.map(|(n, own)| (own, moments(n))).collect();
        engine.equip_all(&all)?;
    }
    Ok(engine)
}
