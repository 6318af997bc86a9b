//! Turns the many counters of a stream into one count towards the campaign's target.
//!
//! **The rule.** A counter is `n/m` with `0 < m`, `n <= m`; anything else is refused.
//!
//! 1. `m` is the target: it is the campaign's own counter. Its furthest `n` is the answer, and from then on no other counter is
//!    looked at. `34.5k` is the target 34,500 and equally 34,512: a rounded total is compared within its rounding, and a rounded `n`
//!    never reads as all of it.
//! 2. `m` exceeds the target: refused, since a part is not larger than the whole.
//! 3. `m` is less: the counter of a part, kept under the stage (sub-generator) that is current. Stages add up.
//! 4. Within a stage, a counter that finished (`n = m`) and then shows a smaller `n` has restarted: what it finished is added up.
//!    A counter that shows a smaller `n` *without* having finished is really several bars side by side in one stream: its furthest
//!    counts, once.
//! 5. Within a stage, a new `m` that appears after all others finished is the next part and is added; one that appears
//!    before that runs beside them (an inner bar under an outer one), and only the furthest-counting of them is taken.
//! 6. The sum stays below the target unless the *finished* parts alone reach it. So `38/38` of one part is never all of 190.
//!
//! **The limits.** Bars side by side are undercounted. A part that gave up early is added only if a stage line or a finished counter
//! follows. A part whose total happens to equal the target is taken for the campaign. A log in which the work starts over
//! (a second attempt appended to the first) is overcounted. Inner bars that count something else than samples are counted as samples when
//! nothing better is there. The result is a hint for all these reasons.

use super::number::Count;

/// Stages kept apart; further ones share the last place.
const MAX_STAGES: usize = 256;
/// Counters with different totals that may be open in one stage; further ones are refused.
const MAX_OPEN: usize = 16;

/// All counters of one stream.
#[derive(Debug)]
pub(super) struct Counter {
    target: u64,
    own: Option<u64>,
    bare: Option<u64>,
    stages: Vec<StageCounter>,
    current: usize,
}

/// The counters of one stage.
#[derive(Debug, Default)]
struct StageCounter {
    name: String,
    /// Samples of parts that finished before the open ones began.
    banked: u64,
    open: Vec<Part>,
}

/// One counter with a fixed total.
#[derive(Debug)]
struct Part {
    total: u64,
    /// Samples of earlier rounds of the same counter.
    banked: u64,
    furthest: u64,
    side_by_side: bool,
}

impl Counter {
    pub(super) fn new(target: u64) -> Self {
        Self {
            target,
            own: None,
            bare: None,
            stages: vec![StageCounter::default()],
            current: 0,
        }
    }

    /// Makes `name` the stage to which the counters that follow belong.
    pub(super) fn enter(&mut self, name: &str) {
        let known = self.stages.iter().position(|stage| stage.name == name);
        self.current = known.unwrap_or_else(|| self.add_stage(name));
    }

    fn add_stage(&mut self, name: &str) -> usize {
        if self.stages.len() < MAX_STAGES {
            self.stages.push(StageCounter {
                name: name.to_owned(),
                ..StageCounter::default()
            });
        }
        self.stages.len() - 1
    }

    /// Takes `done/total`; false when it is refused.
    pub(super) fn observe(&mut self, done: Count, total: Count) -> bool {
        if total.value == 0 || done.value > total.value || self.target == 0 {
            return false;
        }
        if total.may_be(self.target) {
            self.observe_own(done);
            return true;
        }
        if self.own.is_some() || total.value > self.target {
            return false;
        }
        self.stages[self.current].observe(done.value, total.value)
    }

    fn observe_own(&mut self, done: Count) {
        let most = if done.slack == 0 {
            self.target
        } else {
            self.target - 1
        };
        self.own = self.own.max(Some(done.value.min(most)));
    }

    /// Takes a count that came without a total: the furthest counts, and it is never all.
    pub(super) fn observe_bare(&mut self, done: u64) -> bool {
        if self.target == 0 || Count::exact(done).is_none() {
            return false;
        }
        self.bare = self.bare.max(Some(done.min(self.target - 1)));
        true
    }

    /// Samples done towards the target.
    pub(super) fn done(&self) -> Option<u64> {
        self.own.or_else(|| self.parts()).or(self.bare)
    }

    fn parts(&self) -> Option<u64> {
        let seen = self.stages.iter().any(|stage| !stage.open.is_empty());
        let finished: u64 = self.stages.iter().map(StageCounter::finished).sum();
        let done: u64 = self.stages.iter().map(StageCounter::done).sum();
        let most = if finished >= self.target {
            self.target
        } else {
            self.target.saturating_sub(1)
        };
        seen.then_some(done.min(most))
    }
}

impl StageCounter {
    fn observe(&mut self, done: u64, total: u64) -> bool {
        if let Some(part) = self.open.iter_mut().find(|part| part.total == total) {
            part.observe(done);
            return true;
        }
        if self.open.iter().all(Part::is_finished) {
            self.banked = self.done();
            self.open.clear();
        }
        if self.open.len() == MAX_OPEN {
            return false;
        }
        self.open.push(Part {
            total,
            banked: 0,
            furthest: done,
            side_by_side: false,
        });
        true
    }

    fn done(&self) -> u64 {
        self.banked
            + self
                .open
                .iter()
                .map(|part| part.banked + part.furthest)
                .max()
                .unwrap_or(0)
    }

    fn finished(&self) -> u64 {
        self.banked + self.open.iter().map(Part::finished).max().unwrap_or(0)
    }
}

impl Part {
    fn observe(&mut self, done: u64) {
        if done >= self.furthest {
            self.furthest = done;
        } else if self.is_finished() && !self.side_by_side {
            self.banked += self.total;
            self.furthest = done;
        } else {
            self.side_by_side = true;
        }
    }

    fn is_finished(&self) -> bool {
        self.furthest == self.total
    }

    fn finished(&self) -> u64 {
        self.banked + if self.is_finished() { self.total } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(target: u64, counts: &[(u64, u64)]) -> Option<u64> {
        let mut counter = Counter::new(target);
        for &(n, m) in counts {
            counter.observe(Count { value: n, slack: 0 }, Count { value: m, slack: 0 });
        }
        counter.done()
    }

    #[test]
    fn the_rule_case_by_case() {
        for (what, target, counts, expected) in [
            ("nothing", 190, &[][..], None),
            ("own counter", 190, &[(47, 190)], Some(47)),
            ("own counter is all", 190, &[(190, 190)], Some(190)),
            (
                "own counter, furthest",
                190,
                &[(67, 190), (66, 190)],
                Some(67),
            ),
            (
                "own counter beats inner bars",
                190,
                &[(47, 190), (8, 8), (1, 8)],
                Some(47),
            ),
            ("zero of zero", 190, &[(0, 0)], None),
            ("more than all", 190, &[(191, 190)], None),
            ("larger than the whole", 190, &[(250, 1000)], None),
            ("no target", 0, &[(5, 5), (0, 0)], None),
            ("one part is not all", 190, &[(38, 38)], Some(38)),
            ("restarted", 190, &[(38, 38), (1, 38)], Some(39)),
            (
                "next part with another total",
                190,
                &[(38, 38), (1, 40)],
                Some(39),
            ),
            (
                "side by side",
                190,
                &[(12, 25), (9, 25), (13, 25), (25, 25), (9, 25)],
                Some(25),
            ),
            (
                "inner under outer",
                190,
                &[(0, 5), (30, 38), (1, 5), (38, 38), (2, 38)],
                Some(40),
            ),
            (
                "unfinished parts stay below",
                100,
                &[(60, 60), (40, 50)],
                Some(99),
            ),
            (
                "finished parts are all",
                100,
                &[(60, 60), (40, 40)],
                Some(100),
            ),
        ] {
            assert_eq!(done(target, counts), expected, "{what}");
        }
    }

    #[test]
    fn five_sub_generators_reach_the_target_only_with_the_last_sample() {
        let rounds = (0..5).flat_map(|_| (1..=38).map(|n| (n, 38)));
        let counts: Vec<_> = rounds.collect();
        for seen in 1..=counts.len() {
            assert_eq!(done(190, &counts[..seen]), Some(seen as u64));
        }
    }

    #[test]
    fn a_stage_may_be_entered_in_turns() {
        let mut counter = Counter::new(190);
        for (stage, n) in [("asm", 10), ("cpp", 5), ("asm", 11), ("cpp", 6)] {
            counter.enter(stage);
            counter.observe(
                Count { value: n, slack: 0 },
                Count {
                    value: 38,
                    slack: 0,
                },
            );
        }
        assert_eq!(counter.done(), Some(17));
    }

    #[test]
    fn stages_beyond_the_bound_are_still_counted() {
        let mut counter = Counter::new(1_000_000);
        for i in 0..1000 {
            counter.enter(&format!("stage {i}"));
            counter.observe(Count { value: 0, slack: 0 }, Count { value: 2, slack: 0 });
            counter.observe(Count { value: 2, slack: 0 }, Count { value: 2, slack: 0 });
        }
        assert_eq!(
            (counter.done(), counter.stages.len()),
            (Some(2000), MAX_STAGES)
        );
    }
}
