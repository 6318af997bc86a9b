//! The space that proposals lie in: parameters with their domains, and the unit cube that they are computed in.
//!
//! Every parameter is one coordinate from 0 to 1. Numbers that are spaced by factors are so by their logarithm, whole
//! numbers and ordered choices stand in the middle of cells of their own, and the cells of words have no order: two of
//! them are either the same or differ by 1 (the Hamming kernel; Hutter et al. 2011, section 4.1).

use crate::parameters::{Assignment, Domain, Fault, Value};
use std::cmp::Ordering;

/// Two settings are near duplicates when every word is the same and no number differs by this share of its range, spaced
/// as the range is. For whole numbers in few cells, and in small finite spaces, that means: when they are the same.
pub const NEAR: f64 = 1e-3;
/// Finite spaces of at most so many settings are looked through one by one.
pub const SMALL: u64 = 10_000;

/// How a coordinate is to be read.
#[derive(Clone, Debug, PartialEq)]
enum Scale {
    /// Any number between two ends.
    Real { low: f64, high: f64, log: bool },
    /// A whole number: each has a cell.
    Whole { low: f64, high: f64, log: bool },
    /// One of several values; numbers in rising order.
    Levels { values: Vec<Value>, ordered: bool },
}

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
struct Axis {
    name: String,
    domain: Domain,
    scale: Scale,
}

/// Parameters in an order, each with its domain.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    axes: Vec<Axis>,
    words: Vec<bool>,
    settings: Option<u64>,
}

fn fault(parameter: &str, message: String, right: String) -> Fault {
    Fault {
        parameter: parameter.into(),
        message,
        right,
    }
}

/// The logarithm, where numbers are spaced by factors.
fn bend(value: f64, log: bool) -> f64 {
    if log { value.ln() } else { value }
}

impl Scale {
    fn of(domain: &Domain) -> Self {
        match domain {
            &Domain::Range {
                low,
                high,
                log,
                whole: false,
            } => Scale::Real { low, high, log },
            &Domain::Range {
                low,
                high,
                log,
                whole: true,
            } => Scale::Whole { low, high, log },
            Domain::Choice(values) => {
                let mut values = values.clone();
                // Of two values the order says nothing.
                let ordered = values.len() > 2 && values.iter().all(|one| one.number().is_some());
                if ordered {
                    values.sort_by(|a, b| {
                        a.number()
                            .partial_cmp(&b.number())
                            .unwrap_or(Ordering::Equal)
                    });
                }
                Scale::Levels { values, ordered }
            }
        }
    }

    /// How many values there are, where they can be counted.
    fn count(&self) -> Option<u64> {
        match self {
            Scale::Real { .. } => None,
            Scale::Whole { low, high, .. } => Some((high - low).min(1e18) as u64 + 1),
            Scale::Levels { values, .. } => Some(values.len() as u64),
        }
    }

    /// A value that the domain holds, as a number from 0 to 1.
    fn encode(&self, value: &Value) -> Option<f64> {
        let at = match self {
            Scale::Real { low, high, log } => share(value.number()?, *low, *high, *log),
            Scale::Whole { low, high, log } => share(value.number()?, low - 0.5, high + 0.5, *log),
            Scale::Levels { values, .. } => {
                let at = values.iter().position(|one| one.same(value))?;
                (at as f64 + 0.5) / values.len() as f64
            }
        };
        at.is_finite().then(|| at.clamp(0.0, 1.0))
    }

    /// The value at a number from 0 to 1.
    fn decode(&self, at: f64) -> Value {
        let at = at.clamp(0.0, 1.0);
        match self {
            Scale::Real { low, high, log } => Value::Number(number(at, *low, *high, *log)),
            Scale::Whole { low, high, log } => {
                let near = number(at, low - 0.5, high + 0.5, *log).round();
                Value::Whole(near.clamp(*low, *high) as i64)
            }
            Scale::Levels { values, .. } => {
                let at = (at * values.len() as f64) as usize;
                values[at.min(values.len() - 1)].clone()
            }
        }
    }
}

/// Where a value lies between two ends, from 0 to 1.
fn share(value: f64, low: f64, high: f64, log: bool) -> f64 {
    let (value, low, high) = (bend(value, log), bend(low, log), bend(high, log));
    // Halves, for ends whose difference is no number.
    (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
}

/// The value at a share of the way between two ends; within them whatever the rounding.
fn number(at: f64, low: f64, high: f64, log: bool) -> f64 {
    let bent = bend(low, log) * (1.0 - at) + bend(high, log) * at;
    let value = if log { bent.exp() } else { bent };
    value.clamp(low, high)
}

impl Space {
    /// The space of these parameters, in this order.
    ///
    /// # Errors
    /// No parameter, one that is given twice, or a domain that is none.
    pub fn new(parameters: Vec<(String, Domain)>) -> Result<Self, Fault> {
        if parameters.is_empty() {
            let right = "at least one parameter to vary";
            return Err(fault("", "no parameter varies".into(), right.into()));
        }
        let mut axes: Vec<Axis> = Vec::with_capacity(parameters.len());
        for (name, domain) in parameters {
            if let Some(problem) = domain.problem() {
                let right = "LOW..HIGH or A,B,C";
                return Err(fault(&name, format!("{name}: {problem}"), right.into()));
            }
            if axes.iter().any(|axis| axis.name == name) {
                let message = format!("{name} is given twice");
                return Err(fault(&name, message, "each parameter once".into()));
            }
            let scale = Scale::of(&domain);
            axes.push(Axis {
                name,
                domain,
                scale,
            });
        }
        let settings = axes
            .iter()
            .try_fold(1_u64, |all, axis| axis.scale.count()?.checked_mul(all));
        let words = axes
            .iter()
            .map(|axis| matches!(axis.scale, Scale::Levels { ordered: false, .. }))
            .collect();
        Ok(Self {
            axes,
            words,
            settings,
        })
    }

    /// How many parameters it has.
    pub fn dims(&self) -> usize {
        self.axes.len()
    }

    /// The parameters' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.axes.iter().map(|axis| axis.name.as_str())
    }

    /// Of each coordinate, whether its values have no order.
    pub fn words(&self) -> &[bool] {
        &self.words
    }

    /// How many values the parameter at this place has; none where they cannot be counted.
    pub fn count(&self, place: usize) -> Option<u64> {
        self.axes[place].scale.count()
    }

    /// How many settings there are, where that is at most [`SMALL`].
    pub fn settings(&self) -> Option<u64> {
        self.settings.filter(|count| *count <= SMALL)
    }

    /// The setting of that number below [`Space::settings`], as a point; the last parameter changes fastest.
    pub fn setting(&self, number: u64) -> Vec<f64> {
        let (mut rest, mut point) = (number, vec![0.5; self.dims()]);
        for (at, axis) in point.iter_mut().zip(&self.axes).rev() {
            let count = axis.scale.count().unwrap_or(1);
            let digit = rest % count;
            rest /= count;
            *at = match &axis.scale {
                Scale::Whole { low, high, log } => {
                    share(low + digit as f64, low - 0.5, high + 0.5, *log)
                }
                Scale::Real { .. } | Scale::Levels { .. } => (digit as f64 + 0.5) / count as f64,
            };
        }
        point
    }

    /// The point of these values: [`Space::dims`] numbers from 0 to 1.
    ///
    /// # Errors
    /// A parameter that is unknown, missing, or not in its domain.
    pub fn encode(&self, values: &Assignment) -> Result<Vec<f64>, Fault> {
        if let Some(name) = values
            .keys()
            .find(|name| !self.names().any(|one| one == *name))
        {
            let names: Vec<&str> = self.names().collect();
            let message = format!("there is no parameter {name}");
            return Err(fault(name, message, names.join(", ")));
        }
        self.axes.iter().map(|axis| axis.encode(values)).collect()
    }

    /// The values at a point; every one lies in its domain.
    pub fn decode(&self, point: &[f64]) -> Assignment {
        let at = |(axis, at): (&Axis, &f64)| (axis.name.clone(), axis.scale.decode(*at));
        self.axes.iter().zip(point).map(at).collect()
    }

    /// Only those of the values that are parameters of this space.
    pub fn part(&self, values: &Assignment) -> Assignment {
        self.names()
            .filter_map(|name| Some((name.to_owned(), values.get(name)?.clone())))
            .collect()
    }

    /// The coordinates of the whole numbers beside the one at `at`, of the parameter at this place; none of others.
    pub fn neighbours(&self, place: usize, at: f64) -> Vec<f64> {
        let axis = &self.axes[place];
        let Scale::Whole { .. } = axis.scale else {
            return Vec::new();
        };
        let Value::Whole(here) = axis.scale.decode(at) else {
            return Vec::new();
        };
        let beside = [here.saturating_sub(1), here.saturating_add(1)].map(Value::Whole);
        let inside = beside.iter().filter(|value| axis.domain.holds(value));
        inside
            .filter_map(|value| axis.scale.encode(value))
            .collect()
    }

    /// Moves every coordinate to that of the value which it is read as.
    pub fn snap(&self, point: &mut [f64]) {
        for (at, axis) in point.iter_mut().zip(&self.axes) {
            *at = match axis.scale {
                Scale::Real { .. } => at.clamp(0.0, 1.0),
                _ => axis.scale.encode(&axis.scale.decode(*at)).unwrap_or(0.5),
            };
        }
    }

    /// How far two points lie apart, from 0 to 1: the root of the mean square over the parameters, a differing word
    /// counting 1.
    pub fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        let squares = self.gaps(a, b).map(|gap| gap * gap);
        (squares.sum::<f64>() / self.dims() as f64).sqrt()
    }

    /// Whether two snapped points are near duplicates: see [`NEAR`].
    pub fn near(&self, a: &[f64], b: &[f64]) -> bool {
        let least = if self.settings().is_some() {
            1e-9
        } else {
            NEAR
        };
        self.gaps(a, b).all(|gap| gap < least)
    }

    /// How far the nearest of `others` lies from these values (1 where there is none), and whether any is a near duplicate.
    ///
    /// # Errors
    /// As for [`Space::encode`].
    pub fn nearest<'a>(
        &self,
        values: &Assignment,
        others: impl IntoIterator<Item = &'a Assignment>,
    ) -> Result<(f64, bool), Fault> {
        let here = self.encode(values)?;
        let (mut distance, mut duplicate) = (1.0_f64, false);
        for other in others {
            let other = self.encode(other)?;
            distance = distance.min(self.distance(&here, &other));
            duplicate |= self.near(&here, &other);
        }
        Ok((distance, duplicate))
    }

    fn gaps<'a>(&'a self, a: &'a [f64], b: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        let pairs = a.iter().zip(b).zip(&self.words);
        pairs.map(|((a, b), word)| {
            let gap = (a - b).abs();
            if *word && gap > 0.0 { 1.0 } else { gap }
        })
    }
}

impl Axis {
    fn encode(&self, values: &Assignment) -> Result<f64, Fault> {
        let right = || self.domain.to_string();
        let Some(value) = values.get(&self.name) else {
            let message = format!("{} has no value", self.name);
            return Err(fault(&self.name, message, right()));
        };
        let at = self.domain.holds(value).then(|| self.scale.encode(value));
        at.flatten().ok_or_else(|| {
            let message = format!("{} = {value} is out of range", self.name);
            fault(&self.name, message, right())
        })
    }
}

#[cfg(test)]
mod tests;
