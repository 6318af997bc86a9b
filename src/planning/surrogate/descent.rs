//! Minimising a smooth function in a box: limited-memory quasi-Newton steps (Nocedal and Wright, "Numerical
//! optimization", algorithm 7.4), projected onto the box, with a line search that goes back (Bertsekas 1982).

/// Pairs of steps that are remembered.
const MEMORY: usize = 8;
/// Times that a step is shortened before the search ends.
const SHORTENED: usize = 20;

/// A function of a point that also writes its gradient; none where it has no value.
pub type Slope<'a> = dyn FnMut(&[f64], &mut [f64]) -> Option<f64> + 'a;

/// A step and how the gradient changed over it.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    curvature: f64,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The quasi-Newton direction downhill, over the coordinates that are free.
fn direction(slope: &[f64], pairs: &[Pair], free: &[bool]) -> Vec<f64> {
    let masked = |from: &[f64]| -> Vec<f64> {
        let pick = |(one, free): (&f64, &bool)| if *free { *one } else { 0.0 };
        from.iter().zip(free).map(pick).collect()
    };
    let mut at = masked(slope);
    let mut shares = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let share = dot(&pair.step, &at) / pair.curvature;
        at.iter_mut()
            .zip(&pair.change)
            .for_each(|(one, change)| *one -= share * change);
        shares.push(share);
    }
    if let Some(last) = pairs.last() {
        let scale = last.curvature / dot(&last.change, &last.change);
        at.iter_mut().for_each(|one| *one *= scale);
    }
    for (pair, share) in pairs.iter().zip(shares.iter().rev()) {
        let back = share - dot(&pair.change, &at) / pair.curvature;
        at.iter_mut()
            .zip(&pair.step)
            .for_each(|(one, step)| *one += back * step);
    }
    at.iter_mut().for_each(|one| *one = -*one);
    masked(&at)
}

/// Goes downhill from `start` within the box for at most `steps` steps. The first step is at most `reach` long in any
/// coordinate. Returns where it ended and the value there; none where the start has no value.
pub fn minimise(
    start: &[f64],
    (low, high): (&[f64], &[f64]),
    steps: usize,
    reach: f64,
    function: &mut Slope<'_>,
) -> Option<(Vec<f64>, f64)> {
    let inside = |at: &mut [f64]| {
        for ((one, low), high) in at.iter_mut().zip(low).zip(high) {
            *one = one.clamp(*low, *high);
        }
    };
    let mut at = start.to_vec();
    inside(&mut at);
    let mut slope = vec![0.0; at.len()];
    let mut value = function(&at, &mut slope).filter(|value| value.is_finite())?;
    let mut pairs: Vec<Pair> = Vec::new();
    for _ in 0..steps {
        let free: Vec<bool> = (0..at.len())
            .map(|k| !((at[k] <= low[k] && slope[k] > 0.0) || (at[k] >= high[k] && slope[k] < 0.0)))
            .collect();
        let mut way = direction(&slope, &pairs, &free);
        if dot(&way, &slope) >= 0.0 {
            pairs.clear();
            way = direction(&slope, &pairs, &free);
        }
        let longest = way.iter().fold(0.0, |most: f64, one| most.max(one.abs()));
        if !(longest > 1e-12 && longest.is_finite()) {
            break;
        }
        let mut length = if pairs.is_empty() {
            (reach / longest).min(1.0)
        } else {
            1.0
        };
        let mut found = None;
        for _ in 0..SHORTENED {
            let mut next: Vec<f64> = at.iter().zip(&way).map(|(a, w)| a + length * w).collect();
            inside(&mut next);
            let moved: Vec<f64> = next.iter().zip(&at).map(|(new, old)| new - old).collect();
            let mut there = vec![0.0; at.len()];
            let reached = function(&next, &mut there).filter(|value| value.is_finite());
            if let Some(reached) = reached
                && reached <= value + 1e-4 * dot(&slope, &moved)
            {
                found = Some((next, moved, there, reached));
                break;
            }
            length *= 0.3;
        }
        let Some((next, step, there, reached)) = found else {
            break;
        };
        let change: Vec<f64> = there
            .iter()
            .zip(&slope)
            .map(|(new, old)| new - old)
            .collect();
        let curvature = dot(&step, &change);
        if curvature > 1e-12 * dot(&change, &change) && curvature > 0.0 {
            if pairs.len() == MEMORY {
                pairs.remove(0);
            }
            pairs.push(Pair {
                step,
                change,
                curvature,
            });
        }
        let gained = value - reached;
        (at, slope, value) = (next, there, reached);
        if gained <= 1e-9 * value.abs().max(1.0) {
            break;
        }
    }
    Some((at, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rosenbrock's valley in two dimensions.
    fn valley(x: &[f64], slope: &mut [f64]) -> Option<f64> {
        let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
        slope[0] = -2.0 * a - 400.0 * x[0] * b;
        slope[1] = 200.0 * b;
        Some(a * a + 100.0 * b * b)
    }

    #[test]
    fn the_valley_is_followed_to_its_end_or_to_the_wall() {
        let start = [-1.2, 1.0];
        let (at, value) = minimise(&start, (&[-2.0; 2], &[2.0; 2]), 200, 0.5, &mut valley).unwrap();
        assert!(value < 1e-8 && (at[0] - 1.0).abs() < 1e-3, "{at:?} {value}");
        let (at, _) = minimise(&start, (&[-2.0; 2], &[0.5, 2.0]), 200, 0.5, &mut valley).unwrap();
        assert!(
            (at[0] - 0.5).abs() < 1e-6 && (at[1] - 0.25).abs() < 1e-4,
            "{at:?}"
        );
    }

    #[test]
    fn what_has_no_value_is_not_entered() {
        let mut fenced = |x: &[f64], slope: &mut [f64]| {
            slope[0] = 2.0 * (x[0] - 3.0);
            (x[0] < 1.5).then(|| (x[0] - 3.0).powi(2))
        };
        let (at, _) = minimise(&[0.0], (&[-9.0], &[9.0]), 50, 1.0, &mut fenced).unwrap();
        assert!(at[0] < 1.5 && at[0] > 1.0, "{at:?}");
        assert!(minimise(&[2.0], (&[-9.0], &[9.0]), 50, 1.0, &mut fenced).is_none());
    }
}
