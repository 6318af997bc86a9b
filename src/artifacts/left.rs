//! What a campaign without a record left behind, moved aside: never in the way of another campaign, never lost.

use super::{create_dir_private, named, sync_dir};
use crate::{ids::CampaignId, manifest::StateDir};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Moves the directories of a campaign and of its jobs into a new one under `left/`, and gives that; none where there was
/// nothing to move.
///
/// # Errors
/// Names what could not be listed or moved; what was moved before stays moved.
pub fn set_aside(state: &StateDir, id: &CampaignId) -> io::Result<Option<PathBuf>> {
    let campaign = state.campaign(id).root().to_path_buf();
    let mut found = jobs(state, id)?;
    found.extend(campaign.exists().then_some(campaign));
    if found.is_empty() {
        return Ok(None);
    }
    let aside = free_name(&state.left(), id)?;
    for path in found {
        let name = path.file_name().unwrap_or_default();
        fs::rename(&path, aside.join(name)).map_err(|error| named(error, "move aside", &path))?;
        sync_dir(path.parent().unwrap_or(state.root()))?;
    }
    sync_dir(&aside)?;
    Ok(Some(aside))
}

/// The job directories of a campaign: `NAME-NUMBER`, where another campaign may be called `NAME-NUMBER` too.
fn jobs(state: &StateDir, id: &CampaignId) -> io::Result<Vec<PathBuf>> {
    let dir = state.jobs();
    let listed = match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(|error| named(error, "list", &dir))?,
    };
    let mut found = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_prefix(id.as_str())?.strip_prefix('-'));
        if number.is_some_and(|number| number.parse::<u64>().is_ok()) {
            found.push(path);
        }
    }
    Ok(found)
}

fn free_name(dir: &Path, id: &CampaignId) -> io::Result<PathBuf> {
    create_dir_private(dir)?;
    let mut number = 1;
    loop {
        let path = dir.join(format!("{id}.{number}"));
        if !path.exists() {
            create_dir_private(&path)?;
            return Ok(path);
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_and_its_jobs_are_moved_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        let id: CampaignId = "a".parse().unwrap();
        assert_eq!(set_aside(&state, &id).unwrap(), None);
        for path in [
            "campaigns/a",
            "campaigns/a-b",
            "jobs/a-1",
            "jobs/a-12",
            "jobs/a-b-1",
            "jobs/b-1",
        ] {
            create_dir_private(&dir.path().join(path)).unwrap();
        }
        let first = set_aside(&state, &id).unwrap().unwrap();
        let mut moved: Vec<_> = fs::read_dir(&first)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        moved.sort();
        assert_eq!(moved, ["a", "a-1", "a-12"]);
        assert!(
            dir.path().join("campaigns/a-b").is_dir() && dir.path().join("jobs/a-b-1").is_dir()
        );
        create_dir_private(&dir.path().join("campaigns/a")).unwrap();
        assert_ne!(
            set_aside(&state, &id).unwrap().unwrap(),
            first,
            "an earlier one is kept"
        );
    }
}
