//! Holm's correction (1979): p-values of several metrics, such that any of them is called shown by mistake as seldom as one
//! alone would be.

/// The adjusted p-values, in the order of `p`. One that is no number proves nothing: it counts as 1.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let known = |p: f64| if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) };
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| known(p[*a]).total_cmp(&known(p[*b])));
    let mut adjusted = vec![1.0; p.len()];
    let mut least = 0.0f64;
    for (rank, at) in order.into_iter().enumerate() {
        let times = (p.len() - rank) as f64;
        least = least.max((known(p[at]) * times).min(1.0));
        adjusted[at] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_statsmodels() {
        // statsmodels.stats.multitest.multipletests(p, method="holm")
        let found = holm(&[0.01, 0.04, 0.03, 0.005]);
        let right = [0.03, 0.06, 0.06, 0.02];
        for (found, right) in found.iter().zip(right) {
            assert!((found - right).abs() < 1e-12, "{found} {right}");
        }
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert_eq!(holm(&[f64::NAN, 0.02]), vec![1.0, 0.04]);
    }

    proptest! {
        #[test]
        fn never_smaller_and_in_the_same_order(p in prop::collection::vec(0.0f64..1.0, 1..12)) {
            let adjusted = holm(&p);
            for (a, p) in adjusted.iter().zip(&p) {
                prop_assert!(a >= p && *a <= 1.0);
            }
            for i in 0..p.len() {
                for j in 0..p.len() {
                    prop_assert!(p[i] > p[j] || adjusted[i] <= adjusted[j]);
                }
            }
        }
    }
}
