//! Files as they are, from the daemon into a directory, each compared with its checksum.

use super::{Fail, Part, Plan, failed, unwritten};
use crate::{
    artifacts::sums::Hash,
    control::{
        client::{Client, Target},
        dataset::FileView,
    },
};
use indicatif::ProgressBar;
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

/// Every file of the plan.
pub async fn take(
    client: &Client,
    plan: &Plan,
    dir: &Path,
    bar: &ProgressBar,
) -> Result<Part, Fail> {
    for file in &plan.files {
        let path = dir.join(&file.path);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        let mut to = made
            .and_then(|()| File::create_new(&path))
            .map_err(|error| unwritten(&path, &error))?;
        fetch(client, plan, file, bar, |bytes| {
            to.write_all(bytes)
                .map_err(|error| unwritten(&path, &error))
        })
        .await?;
    }
    let mut made = Part::default();
    for split in &plan.splits {
        made.add(&split.name, &split.split, split.rows);
    }
    Ok(made)
}

/// A file, piece by piece, whose checksum is right in the end.
pub async fn fetch(
    client: &Client,
    plan: &Plan,
    file: &FileView,
    bar: &ProgressBar,
    mut take: impl FnMut(&[u8]) -> Result<(), Fail>,
) -> Result<(), Fail> {
    let mut words = vec!["campaigns", plan.campaign.as_str(), "dataset"];
    words.extend(file.path.split('/'));
    let (mut hash, mut taken) = (Hash::default(), Ok(()));
    let each = |bytes: &[u8]| {
        hash.update(bytes);
        bar.inc(bytes.len() as u64);
        taken = take(bytes);
        taken.is_ok()
    };
    client.bytes(&Target::new(&words), each).await?;
    taken?;
    let found = hash.finish();
    match &file.sha256 {
        Some(sum) if *sum != found => {
            let message = format!("{} differs from its checksum", file.path);
            let right = "the same command again: the data set may have been made anew meanwhile";
            Err(failed(message, client.socket(), right, super::USAGE))
        }
        _ => Ok(()),
    }
}
