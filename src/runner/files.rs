//! The files that jobs run by, compared with what the plan makes of them, and written again where a batch is halved.

use super::{
    item::{Item, Worker},
    room::room,
};
use crate::{
    artifacts::{named, write_atomic},
    experiment::{diff::diff, plan::Run, scaffold::File},
    parameters::Assignment,
};
use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// Renders the files of a run's fine-tune, with values over those planned.
pub type FineTunes<'a> = dyn Fn(&Run, &Assignment) -> Result<Vec<File>, String> + 'a;
/// Renders the scripts of a run's evaluations.
pub type Evaluations<'a> = dyn Fn(&Run) -> Result<Vec<File>, String> + 'a;

/// What the plan makes of its runs.
pub struct Scaffold<'a> {
    /// Of fine-tunes.
    pub fine_tunes: Box<FineTunes<'a>>,
    /// Of evaluations.
    pub evaluations: Box<Evaluations<'a>>,
}

impl std::fmt::Debug for Scaffold<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scaffold")
    }
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing(PathBuf),
    /// It says something else than the plan; how.
    Differs(PathBuf, String),
}

impl Scaffold<'_> {
    /// What is wrong with the files of an item, which may be as they are made with any of these values over those planned.
    ///
    /// # Errors
    /// A sentence: the files cannot be made, or not be read.
    pub fn faults(
        &self,
        dir: &Path,
        item: &Item,
        overs: &[Assignment],
    ) -> Result<Vec<Fault>, String> {
        let made = overs.iter().map(|over| self.files(item, over));
        let made: Vec<Vec<File>> = made.collect::<Result<_, _>>()?;
        let Some(first) = made.first() else {
            return Ok(Vec::new());
        };
        let mut faults = Vec::new();
        for file in first {
            let path = dir.join(&file.path);
            let found = read(&path).map_err(|error| error.to_string())?;
            let versions = made.iter().flatten().filter(|one| one.path == file.path);
            match found {
                None => faults.push(Fault::Missing(path)),
                Some(found) => {
                    if versions.clone().all(|one| one.text != found) {
                        let shown = diff(&file.text, &found, ("the plan", "what is there"));
                        faults.push(Fault::Differs(path, shown.unwrap_or_default()));
                    }
                }
            }
        }
        Ok(faults)
    }

    /// Writes the files of a fine-tune with other values, where they say something else.
    ///
    /// # Errors
    /// Those of the file system; they cannot be made.
    pub fn rewrite(&self, dir: &Path, item: &Item, over: &Assignment) -> io::Result<()> {
        for file in self.files(item, over).map_err(io::Error::other)? {
            let path = dir.join(&file.path);
            if read(&path)?.as_deref() != Some(&file.text) {
                room()?;
                write_atomic(&path, file.text.as_bytes())?;
            }
        }
        Ok(())
    }

    fn files(&self, item: &Item, over: &Assignment) -> Result<Vec<File>, String> {
        match item.worker {
            Worker::Torchtune => (self.fine_tunes)(&item.run, over),
            Worker::Inspect => {
                let path = format!("{}/{}", item.run.name, item.script);
                let mut all = (self.evaluations)(&item.run)?;
                all.retain(|file| file.path == path);
                Ok(all)
            }
        }
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(error, "read", path)),
    }
}
