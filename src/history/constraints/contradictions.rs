//! Constraints that together leave nothing to try.

use super::{ANY, Bound, Constraint, Strength};
use crate::parameters::{Domain, Schema, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Constraints that leave a parameter no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// The parameter.
    pub parameter: String,
    /// The model for which it is so, or `any`.
    pub scope: String,
    /// Their ids: two, or one that leaves nothing of the parameter's domain, or those that each take some of it.
    pub constraints: Vec<String>,
    /// One sentence that names them with what they ask.
    pub text: String,
}

/// A bound of a parameter and the constraint that asks for it.
type Asks<'a> = (&'a Constraint, &'a Bound);

/// The contradictions among hard constraints of one bound each; one of several bounds leaves a way out.
pub fn contradictions(constraints: &[Constraint], schema: &Schema) -> Vec<Contradiction> {
    let hard = |one: &&Constraint| one.strength == Strength::Hard && one.bounds.len() == 1;
    let hard: Vec<&Constraint> = constraints.iter().filter(hard).collect();
    // For any model first: what is wrong there need not be said again for each.
    let mut scopes: BTreeSet<&str> = hard.iter().map(|one| one.scope.as_str()).collect();
    scopes.remove(ANY);
    let mut found: Vec<Contradiction> = Vec::new();
    for scope in std::iter::once(ANY).chain(scopes) {
        let mut asked: BTreeMap<&str, Vec<Asks<'_>>> = BTreeMap::new();
        for one in hard.iter().filter(|one| one.is_for(scope)) {
            for bound in &one.bounds {
                asked
                    .entry(&bound.parameter)
                    .or_default()
                    .push((one, bound));
            }
        }
        for (parameter, asks) in asked {
            let domain = schema.parameter(parameter).map(|known| &known.domain);
            let Some(named) = named(&asks, domain) else {
                continue;
            };
            let ids: Vec<String> = named.iter().map(|(one, _)| one.id.clone()).collect();
            if found.iter().any(|there| there.constraints == ids) {
                continue;
            }
            found.push(contradiction(parameter, scope, &named, domain, ids));
        }
    }
    found
}

fn contradiction(
    parameter: &str,
    scope: &str,
    named: &[Asks<'_>],
    domain: Option<&Domain>,
    constraints: Vec<String>,
) -> Contradiction {
    let said: Vec<String> = named
        .iter()
        .map(|(one, bound)| format!("{bound} ({})", one.id))
        .collect();
    let of = domain.map_or(String::new(), |domain| format!(" of {domain}"));
    let verb = if said.len() == 1 { "leaves" } else { "leave" };
    Contradiction {
        parameter: parameter.into(),
        scope: scope.into(),
        constraints,
        text: format!("{} {verb} {parameter} no value{of}", said.join(" and ")),
    }
}

/// The fewest that leave nothing: one, two, or all; none where something is left.
fn named<'a>(asks: &[Asks<'a>], domain: Option<&Domain>) -> Option<Vec<Asks<'a>>> {
    let bounds = |asks: &[Asks<'a>]| {
        asks.iter()
            .map(|(_, bound)| *bound)
            .collect::<Vec<&Bound>>()
    };
    if leave_something(&bounds(asks), domain) {
        return None;
    }
    for (at, one) in asks.iter().enumerate() {
        if !leave_something(&[one.1], domain) {
            return Some(vec![*one]);
        }
        for other in &asks[..at] {
            if !leave_something(&[other.1, one.1], domain) {
                return Some(vec![*other, *one]);
            }
        }
    }
    Some(asks.to_vec())
}

/// Whether there is a value that no bound forbids.
fn leave_something(bounds: &[&Bound], domain: Option<&Domain>) -> bool {
    let allowed = |value: &Value| !bounds.iter().any(|bound| bound.broken_by(value));
    if let Some(Domain::Choice(values)) = domain {
        return values.iter().any(allowed);
    }
    let in_domain = |value: &Value| domain.is_none_or(|domain| domain.holds(value));
    let named: Vec<&Value> = bounds.iter().flat_map(|bound| &bound.only).collect();
    if !named.is_empty() {
        return named
            .into_iter()
            .any(|value| in_domain(value) && allowed(value));
    }
    candidates(bounds, domain)
        .into_iter()
        .map(Value::Number)
        .any(|value| in_domain(&value) && allowed(&value))
        // Without an end and a domain there is always another word.
        || (domain.is_none() && bounds.iter().all(|bound| bound.low.is_none() && bound.high.is_none()))
}

/// Numbers among which there is an allowed one, if there is any: the ends, and between and beyond them, for whole numbers
/// also those beside; and as many more as single values are forbidden.
fn candidates(bounds: &[&Bound], domain: Option<&Domain>) -> Vec<f64> {
    let mut ends: Vec<f64> = bounds
        .iter()
        .flat_map(|bound| bound.low.into_iter().chain(bound.high))
        .collect();
    let mut whole_only = false;
    if let Some(Domain::Range {
        low, high, whole, ..
    }) = domain
    {
        ends.extend([*low, *high]);
        whole_only = *whole;
    }
    ends.sort_by(f64::total_cmp);
    let forbidden = bounds.iter().map(|bound| bound.not.len()).sum::<usize>() + 2;
    let mut all = ends.clone();
    for pair in ends.windows(2) {
        all.extend(
            (1..=forbidden)
                .map(|k| pair[0] + (pair[1] - pair[0]) * k as f64 / (forbidden + 1) as f64),
        );
    }
    if let (Some(first), Some(last)) = (ends.first(), ends.last()) {
        all.extend((1..=forbidden).flat_map(|k| [first - k as f64, last + k as f64]));
    }
    if whole_only {
        let beside = |end: &f64| {
            (0..=forbidden as i64 + 1)
                .flat_map(|k| [end.floor() - k as f64, end.ceil() + k as f64])
                .collect::<Vec<f64>>()
        };
        let beside: Vec<f64> = ends.iter().flat_map(beside).collect();
        all.extend(beside);
    }
    all
}
