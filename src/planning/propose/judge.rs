//! What may be proposed at all: within the mode's region, near nothing that is taken, and allowed.

use crate::{
    parameters::Assignment,
    planning::{director::Mode, space::Space},
};

/// In exploit mode no number lies farther from the best so far than this share of its range; words are free.
pub const CLOSE: f64 = 0.2;
/// In recover mode the distance from the best so far is at least this (see [`Space::distance`]).
pub const AWAY: f64 = 0.25;

/// What settings are measured by before their worth.
pub struct Judge<'a> {
    /// The space.
    pub space: &'a Space,
    allowed: Option<&'a dyn Fn(&Assignment) -> bool>,
    tried: Vec<Vec<f64>>,
    waiting: Vec<Vec<f64>>,
    noisy: bool,
    mode: Mode,
    centre: Option<Vec<f64>>,
}

impl<'a> Judge<'a> {
    /// One that knows what was tried and what is pending.
    pub fn new(
        space: &'a Space,
        allowed: Option<&'a dyn Fn(&Assignment) -> bool>,
        tried: &[Vec<f64>],
        pending: &[Vec<f64>],
    ) -> Self {
        Self {
            space,
            allowed,
            tried: tried.to_vec(),
            waiting: pending.to_vec(),
            noisy: false,
            mode: Mode::Explore,
            centre: None,
        }
    }

    /// Whether results differ so much by chance that settings near a tried one are worth another run. Finite spaces are
    /// never tried again.
    pub fn set_noisy(&mut self, noisy: bool) {
        self.noisy = noisy && self.space.settings().is_none();
    }

    /// Which mode it is, and the best setting so far.
    pub fn set_centre(&mut self, mode: Mode, best: &[f64]) {
        (self.mode, self.centre) = (mode, Some(best.to_vec()));
    }

    /// The best setting so far.
    pub fn centre(&self) -> Option<&[f64]> {
        self.centre.as_deref()
    }

    /// Which mode it is.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Takes a setting: nothing near it is good any more.
    pub fn take(&mut self, point: &[f64]) {
        self.waiting.push(point.to_vec());
    }

    /// How many settings are tried, pending or taken.
    pub fn taken(&self) -> usize {
        self.tried.len() + self.waiting.len()
    }

    /// How far the nearest of them lies from a point; 1 where there is none.
    pub fn distance(&self, point: &[f64]) -> f64 {
        let all = self.tried.iter().chain(&self.waiting);
        all.map(|other| self.space.distance(point, other))
            .fold(1.0, f64::min)
    }

    /// Whether a snapped point keeps the hard constraints.
    pub fn allows(&self, point: &[f64]) -> bool {
        let keeps = |allowed: &dyn Fn(&Assignment) -> bool| allowed(&self.space.decode(point));
        self.allowed.is_none_or(keeps)
    }

    /// Whether a snapped point is no near duplicate.
    pub fn fresh(&self, point: &[f64]) -> bool {
        let near = |other: &Vec<f64>| self.space.near(point, other);
        let tried = self.tried.iter();
        let mut again = tried.filter(|other| !self.noisy || *other == point);
        !again.any(near) && !self.waiting.iter().any(near)
    }

    /// Whether a point lies where this mode looks.
    pub fn inside(&self, point: &[f64]) -> bool {
        let Some(centre) = &self.centre else {
            return true;
        };
        match self.mode {
            Mode::Explore => true,
            Mode::Recover => self.space.distance(point, centre) >= AWAY,
            Mode::Exploit => {
                let pairs = point.iter().zip(centre).zip(self.space.words());
                pairs
                    .into_iter()
                    .all(|((a, b), word)| *word || (a - b).abs() <= CLOSE)
            }
        }
    }

    /// Whether a snapped point may be proposed; what is cheap is asked first.
    pub fn good(&self, point: &[f64]) -> bool {
        self.inside(point) && self.fresh(point) && self.allows(point)
    }

    /// Why no more than `found` settings were found.
    pub fn why(&self, found: usize) -> String {
        let region = match self.mode {
            Mode::Explore => "",
            Mode::Exploit => " close to the best so far",
            Mode::Recover => " far from the best so far",
        };
        match self.space.settings() {
            Some(all) => {
                let open = (0..all).map(|at| self.space.setting(at));
                let allowed = open.filter(|point| self.allows(point)).count();
                format!(
                    "of {all} settings {allowed} are allowed, and after {found} more none{region} is left that is neither tried nor pending"
                )
            }
            None => format!(
                "after {found} settings no other{region} was found that is allowed and no near duplicate"
            ),
        }
    }
}
