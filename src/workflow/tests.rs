//! The catalogue, its plans and its texts, over every analysis and every query template.
use super::catalogue::catalogue;

#[test]
fn the_catalogue_is_read() {
    assert_eq!(catalogue().analyses.len(), 15);
}
