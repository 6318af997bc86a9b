//! How much less items tell that know of each other: the design effect (Kish 1965), the variance of a number when components
//! are drawn whole, over what it would be if every item stood alone.
//!
//! The bootstrap over components gives the first. It is too small by (k - 1) / k for k components, which is put right. An
//! effect below 1, which chance alone makes of few components, counts as 1: nothing tells more than its items.

/// Items that stand alone and tell as much as `items` of `clusters` components, when the bootstrap's standard error is `error`
/// and one item alone has the variance `alone`. Where nothing varies, nothing is known of the effect: then every component
/// counts as one item, the least that they can tell.
pub fn effective(items: u64, clusters: u64, error: Option<f64>, alone: f64) -> f64 {
    let (n, k) = (items as f64, clusters as f64);
    if items == clusters {
        return n;
    }
    let drawn = error.map(|error| error * error * k / (k - 1.0));
    match drawn {
        Some(drawn) if alone > 0.0 && drawn > 0.0 && drawn.is_finite() => {
            n / (drawn * n / alone).max(1.0)
        }
        _ => k.min(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_an_item_tell_no_more_than_it_does() {
        // 20 components of 4 items that are all alike: the variance of the mean is that of 20 items.
        let alone = 0.25_f64;
        let error = (alone / 20.0 * 19.0 / 20.0).sqrt();
        assert!((effective(80, 20, Some(error), alone) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_tells_more_than_its_items_and_what_does_not_vary_as_much_as_its_components() {
        assert_eq!(effective(80, 80, Some(0.0), 0.25), 80.0);
        assert_eq!(effective(80, 40, Some(1e-6), 0.25), 80.0);
        assert_eq!(effective(80, 20, Some(0.0), 0.0), 20.0);
        assert_eq!(effective(80, 1, None, 0.25), 1.0);
    }
}
