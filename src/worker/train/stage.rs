//! The stages of a run: where each takes its rows from, and what it starts from. A stage that needs what is not there fails
//! at once and names the path.
//!
//! The first stage keeps its rows in the run. A later one mixes its own with a share of those of the stage before, which
//! has mixed in those before it: what was learned is not to be forgotten.

use super::{
    Found,
    export::TRAINING,
    places::{MERGED, Places},
    undone,
};
use crate::{
    artifacts::{create_dir_private, named, run, write_atomic},
    training::{
        job::{FineTune, StageOf},
        philox::philox,
        words::Start,
    },
    worker::Undone,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The fine-tune of a stage, its rows written and its start found; without a stage the fine-tune itself.
///
/// # Errors
/// Names the path that is missing, or cannot be read or written.
pub fn begin(job: &FineTune, places: &Places) -> Result<FineTune, Undone> {
    let (Some(stage), Some(rows)) = (&job.stage, &places.rows) else {
        return Ok(job.clone());
    };
    if !(0.0..1.0).contains(&stage.replay_share) {
        let share = stage.replay_share;
        return Err(format!("replay_share = {share} is wrong: 0 to below 1").into());
    }
    let mut begun = job.clone();
    begun.data = vec![rows.to_string_lossy().into_owned()];
    let before = before(job, stage)?;
    if let Some(before) = &before {
        match stage.start {
            Start::Adapter => begun.adapter_init = Some(text(&before.adapter)),
            Start::Merged => begun.model = text(&before.merged),
        }
    }
    if !matches!(places.found(), Found::Finished(_)) {
        let own = lines(&job.data.iter().map(PathBuf::from).collect::<Vec<_>>())?;
        let mixed = match &before {
            Some(before) => mix(
                own,
                &lines(std::slice::from_ref(&before.rows))?,
                stage.replay_share,
                job.settings.seed,
            )
            .map_err(|why| format!("{}: {why}", before.rows.display()))?,
            None => own,
        };
        keep(rows, &mixed)?;
    }
    Ok(begun)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// What the stage before has left.
struct Before {
    rows: PathBuf,
    adapter: PathBuf,
    merged: PathBuf,
}

fn before(job: &FineTune, stage: &StageOf) -> Result<Option<Before>, Undone> {
    if stage.number <= 1 {
        return Ok(None);
    }
    let dir = Path::new(&job.output);
    let paths = run::stage(dir, &run::read(dir)?, stage.number - 1)?;
    let before = Before {
        merged: paths.merged.unwrap_or_else(|| paths.adapter.join(MERGED)),
        rows: paths.rows,
        adapter: paths.adapter,
    };
    let start = match stage.start {
        Start::Adapter => &before.adapter,
        Start::Merged => &before.merged,
    };
    // Merged weights have their name a moment before their adapter, which is the last that a stage makes.
    let done = before.adapter.join(TRAINING);
    for path in [&before.rows, start, &done] {
        if !path.exists() {
            return Err(format!(
                "stage {} needs {}, which stage {} has not made",
                stage.number,
                path.display(),
                stage.number - 1
            )
            .into());
        }
    }
    Ok(Some(before))
}

/// The rows of files, as their lines.
fn lines(files: &[PathBuf]) -> Result<Vec<String>, Undone> {
    let mut all = Vec::new();
    for file in files {
        let read = fs::read_to_string(file).map_err(|error| named(error, "read", file));
        let text = read.map_err(|error| undone("the rows of a stage cannot be read", &error))?;
        if text.trim_start().starts_with('[') {
            let file = file.display();
            return Err(format!("{file} is no JSON lines, which a stage takes").into());
        }
        let rows = text.lines().filter(|line| !line.trim().is_empty());
        all.extend(rows.map(String::from));
    }
    Ok(all)
}

/// `own` rows with so many of the `earlier` that these are `share` of all, to the nearest row; which ones, and the order, by
/// the seed. When there are too few, each is taken again only after all others were.
fn mix(own: Vec<String>, earlier: &[String], share: f64, seed: u64) -> Result<Vec<String>, String> {
    let wanted = (own.len() as f64 * share / (1.0 - share)).round() as usize;
    if wanted > 0 && earlier.is_empty() {
        return Err("there is no row to replay".into());
    }
    let mut all = own;
    for round in 0.. {
        let left = wanted.saturating_sub(round as usize * earlier.len());
        if left == 0 {
            break;
        }
        let chosen = permutation(earlier.len(), seed, round);
        all.extend(
            chosen
                .into_iter()
                .take(left)
                .map(|row| earlier[row].clone()),
        );
    }
    if wanted == 0 {
        return Ok(all);
    }
    let order = permutation(all.len(), seed, u32::MAX);
    Ok(order
        .into_iter()
        .map(|row| std::mem::take(&mut all[row]))
        .collect())
}

/// The numbers below `n` in an order that is a function of (seed, purpose).
fn permutation(n: usize, seed: u64, purpose: u32) -> Vec<usize> {
    let key = [seed as u32, (seed >> 32) as u32];
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_cached_key(|row| {
        let chance = philox([*row as u32, purpose, 0x7265_706c, 0x6179_0000], key);
        (chance, *row)
    });
    order
}

/// Writes the stage's rows where they are not there already, as they are.
fn keep(path: &Path, rows: &[String]) -> Result<(), Undone> {
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    let kept = create_dir_private(dir).and_then(|()| write_atomic(path, text.as_bytes()));
    kept.map_err(|error| undone("the rows of a stage cannot be written", &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn rows(name: &str, n: usize) -> Vec<String> {
        (0..n).map(|row| format!("{name}{row}")).collect()
    }

    #[test]
    fn the_share_is_exact_and_no_row_comes_twice_before_all_did() {
        for (own, earlier, share, replayed) in [
            (850, 1000, 0.15, 150),
            (85, 1000, 0.15, 15),
            (100, 10, 0.5, 100),
            (100, 7, 0.15, 18),
            (3, 5, 0.0, 0),
        ] {
            let mixed = mix(rows("n", own), &rows("e", earlier), share, 42).unwrap();
            let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
            for row in &mixed {
                *counts.entry(row).or_default() += 1;
            }
            let old = mixed.iter().filter(|row| row.starts_with('e')).count();
            assert_eq!((mixed.len(), old), (own + replayed, replayed));
            let times = counts.iter().filter(|(row, _)| row.starts_with('e'));
            let times: Vec<usize> = times.map(|(_, times)| *times).collect();
            if let (Some(most), Some(least)) = (times.iter().max(), times.iter().min()) {
                assert!(most - least <= 1, "{times:?}");
            }
        }
        assert!(mix(rows("n", 9), &[], 0.5, 1).is_err());
    }

    #[test]
    fn the_seed_alone_decides_which_and_where() {
        let mixed = |seed| mix(rows("n", 50), &rows("e", 50), 0.2, seed).unwrap();
        assert_eq!(mixed(1), mixed(1));
        assert_ne!(mixed(1), mixed(2));
        assert_ne!(mixed(1)[..40], rows("n", 40)[..], "they are mixed");
    }
}
