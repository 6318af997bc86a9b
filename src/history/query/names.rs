//! Names that are near to one that is not there.

/// How alike two names must be, 0 to 1 (Jaro-Winkler).
const ALIKE: f64 = 0.8;
/// How many are told.
const TOLD: usize = 3;

/// The known names that are most like a name; where none is, the first few, so that there is something to begin with.
pub fn near<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let small = name.to_lowercase();
    let mut alike: Vec<(f64, &str)> = known
        .clone()
        .map(|other| (strsim::jaro_winkler(&small, &other.to_lowercase()), other))
        .filter(|(alike, _)| *alike >= ALIKE)
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    alike.truncate(TOLD);
    if !alike.is_empty() {
        let names: Vec<&str> = alike.into_iter().map(|(_, other)| other).collect();
        return names.join(" or ");
    }
    let mut first: Vec<&str> = known.take(9).collect();
    if first.len() == 9 {
        first[8] = "...";
    }
    first.join(", ")
}
