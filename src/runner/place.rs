//! Where a runner keeps what it does: `.campaignd` in the experiment's directory, a state directory of its own.
//!
//! ```text
//! .campaignd/runner.lock      held by the one runner; says who that is
//! .campaignd/id               eight letters that tell its jobs from others in a scheduler's queue
//! .campaignd/jobs/STEM-K/     the job directory of attempt K; its end.json says how the attempt ended
//! ```

use super::room::room;
use crate::{
    artifacts::{create_dir_private, named, write_atomic},
    executor::{identity::Identity, job_dir::JobDir},
    experiment::attempts::Ended,
    ids::{CampaignId, EffectId},
    manifest::StateDir,
};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long somebody who only looks may have the lock.
const LOOKED_WITHIN: Duration = Duration::from_secs(1);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(20);
/// Below an experiment's directory.
pub const STATE: &str = ".campaignd";
/// How an attempt ended, in its job directory.
const END: &str = "end.json";

/// Whether nobody else runs an experiment.
#[derive(Debug)]
pub enum Taken {
    /// This process has it, as long as this lives.
    Mine(Flock<File>),
    /// Somebody else has it; who, where the file says so.
    By(Option<Identity>),
}

/// The state directory of an experiment's runner.
#[derive(Clone, Debug)]
pub struct Place {
    dir: PathBuf,
    state: StateDir,
}

impl Place {
    /// That of an experiment in a directory, which should be absolute.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            state: StateDir::new(dir.join(STATE)),
        }
    }

    /// The experiment's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where it is.
    pub fn state(&self) -> &StateDir {
        &self.state
    }

    /// What a runner in the background complains of.
    pub fn complaints(&self) -> PathBuf {
        self.state.root().join("runner.err")
    }

    /// Makes the directories.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn make(&self) -> io::Result<()> {
        create_dir_private(&self.state.jobs())
    }

    fn lock_file(&self) -> PathBuf {
        self.state.root().join("runner.lock")
    }

    /// Takes the lock, and says in it who has it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn take(&self) -> io::Result<Taken> {
        // Who only looks has it for a moment, too.
        let deadline = Instant::now() + LOOKED_WITHIN;
        loop {
            match self.try_take()? {
                Taken::By(_) if Instant::now() < deadline => thread::sleep(AGAIN),
                taken => return Ok(taken),
            }
        }
    }

    fn try_take(&self) -> io::Result<Taken> {
        let path = self.lock_file();
        let wrong = |error| named(error, "lock", &path);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(wrong)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut held) => {
                let me = serde_json::to_vec(&Identity::own()?)?;
                held.set_len(0)?;
                held.rewind()?;
                held.write_all(&me).map_err(wrong)?;
                Ok(Taken::Mine(held))
            }
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                let read = file.read_to_string(&mut text);
                let who = read.ok().and_then(|_| serde_json::from_str(&text).ok());
                Ok(Taken::By(who))
            }
            Err((_, errno)) => Err(wrong(errno.into())),
        }
    }

    /// Who runs the experiment now; none where nobody does, or the directory cannot be looked at.
    pub fn runner(&self) -> Option<Option<Identity>> {
        let mut file = File::open(self.lock_file()).ok()?;
        let mut text = String::new();
        let _ = file.read_to_string(&mut text);
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Err((_, Errno::EWOULDBLOCK)) => Some(serde_json::from_str(&text).ok()),
            _ => None,
        }
    }

    /// The letters that tell its jobs from others; made once.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn id(&self) -> io::Result<String> {
        let path = self.state.root().join("id");
        let known = |text: &str| {
            let sound = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            sound.then(|| text.to_string())
        };
        match fs::read_to_string(&path) {
            Ok(text) => {
                let wrong = || io::Error::other("it is no id of eight letters");
                return known(&text).ok_or_else(|| named(wrong(), "read", &path));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(named(error, "read", &path)),
        }
        // Random, and made by the kernel: two experiments never meet in one queue.
        let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        let id: String = uuid.chars().take(8).collect();
        write_atomic(&path, id.as_bytes())?;
        Ok(id)
    }

    /// The job directory of an attempt.
    pub fn job(&self, id: &EffectId) -> JobDir {
        JobDir::new(self.state.job(id))
    }

    /// All attempts that there are, by what they are of: each with its number.
    ///
    /// # Errors
    /// Those of reading the directory.
    pub fn attempts(&self) -> io::Result<BTreeMap<CampaignId, Vec<u64>>> {
        let mut all: BTreeMap<CampaignId, Vec<u64>> = BTreeMap::new();
        let jobs = self.state.jobs();
        let entries = match fs::read_dir(&jobs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(all),
            Err(error) => return Err(named(error, "read", &jobs)),
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(Ok(id)) = name.map(str::parse::<EffectId>) else {
                continue;
            };
            // A directory whose request was not written yet is no attempt.
            let dir = JobDir::new(&path);
            if dir.request_path().exists() || path.join(END).exists() {
                all.entry(id.campaign).or_default().push(id.number);
            }
        }
        for numbers in all.values_mut() {
            numbers.sort_unstable();
        }
        Ok(all)
    }

    /// How an attempt ended; none while nobody has judged that.
    ///
    /// # Errors
    /// Those of reading; `InvalidData` where it is no end.
    pub fn ended(&self, id: &EffectId) -> io::Result<Option<Ended>> {
        let path = self.job(id).root().join(END);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| named(error.into(), "read", &path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(error, "read", &path)),
        }
    }

    /// Says how an attempt ended, once and for all: what a log or a scheduler says tomorrow changes nothing of it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_ended(&self, id: &EffectId, ended: &Ended) -> io::Result<()> {
        let dir = self.job(id);
        create_dir_private(dir.root())?;
        room()?;
        write_atomic(&dir.root().join(END), &serde_json::to_vec(ended)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_runner_has_it_and_the_other_hears_who() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path());
        assert!(place.runner().is_none(), "there is nothing yet");
        place.make().unwrap();
        let Taken::Mine(held) = place.take().unwrap() else {
            panic!("nobody has it");
        };
        let me = Identity::own().unwrap();
        assert!(matches!(place.take().unwrap(), Taken::By(Some(who)) if who == me));
        assert_eq!(place.runner(), Some(Some(me)));
        drop(held);
        assert!(place.runner().is_none());
        assert!(matches!(place.take().unwrap(), Taken::Mine(_)));
        assert_eq!(place.id().unwrap(), place.id().unwrap());
    }

    #[test]
    fn attempts_are_what_has_a_request_or_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path());
        assert!(place.attempts().unwrap().is_empty());
        place.make().unwrap();
        for name in ["a-2", "a-10", "a-1", "b-1", "junk", "c-1"] {
            fs::create_dir(place.state().jobs().join(name)).unwrap();
        }
        for name in ["a-2", "a-10", "b-1"] {
            let id: EffectId = name.parse().unwrap();
            fs::write(place.job(&id).request_path(), "").unwrap();
        }
        let id: EffectId = "a-1".parse().unwrap();
        assert_eq!(place.ended(&id).unwrap(), None);
        place.write_ended(&id, &Ended::gone()).unwrap();
        assert_eq!(place.ended(&id).unwrap(), Some(Ended::gone()));
        let all = place.attempts().unwrap();
        let of = |name: &str| all[&name.parse::<CampaignId>().unwrap()].clone();
        assert_eq!((all.len(), of("a"), of("b")), (2, vec![1, 2, 10], vec![1]));
        fs::write(place.job(&id).root().join(END), "{").unwrap();
        assert!(place.ended(&id).is_err());
    }
}
