//! SLURM's programs behind scripts that count them, or kill the daemon around one of them.

use crate::site::Site;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::{Duration, Instant},
};

/// All that campaignd asks.
const PROGRAMS: [&str; 5] = ["sbatch", "squeue", "sacct", "scancel", "scontrol"];

/// Writes down that it was called. With a file `how` it kills who called: `before`, and nothing is submitted; `late`, and
/// it is submitted a second after; `after` it was submitted, and nobody hears of it.
const SCRIPT: &str = "#!/bin/sh
how=
if [ NAME = sbatch ] && mv DIR/how DIR/how.$$ 2>/dev/null; then how=$(cat DIR/how.$$); fi
echo \"NAME $how\" >> DIR/calls
case \"$how\" in
before) kill -9 $PPID; exit 1 ;;
late) kill -9 $PPID; sleep 1; exec REAL \"$@\" ;;
after) REAL \"$@\" > /dev/null; kill -9 $PPID; exit 1 ;;
*) exec REAL \"$@\" ;;
esac
";

impl Site {
    /// Puts the scripts first on the daemon's PATH.
    pub fn wrap(&mut self) {
        let dir = self.path("wrapped");
        fs::create_dir(&dir).unwrap();
        for program in PROGRAMS {
            let script = SCRIPT
                .replace("REAL", &real(program).to_string_lossy())
                .replace("NAME", program)
                .replace("DIR", &dir.to_string_lossy());
            let path = dir.join(program);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = std::env::var("PATH").unwrap();
        self.env
            .push(("PATH".into(), format!("{}:{path}", dir.display())));
    }

    /// The next `sbatch` kills the daemon: `before`, `late` or `after`.
    pub fn arm(&self, how: &str) {
        fs::write(self.path("wrapped/how"), how).unwrap();
    }

    /// Waits for the daemon to be killed by something else.
    pub fn until_killed(&mut self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.ended().is_none() {
            let late = Instant::now() > deadline;
            assert!(!late, "nothing killed it: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Calls so far, by program.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        let text = fs::read_to_string(self.path("wrapped/calls")).unwrap_or_default();
        let mut calls = BTreeMap::new();
        for line in text.lines() {
            let program = line.split(' ').next().unwrap_or_default();
            *calls.entry(program.to_owned()).or_default() += 1;
        }
        calls
    }

    /// Calls of one program so far.
    pub fn calls_of(&self, program: &str) -> usize {
        self.calls().get(program).copied().unwrap_or(0)
    }
}

/// A program as it is found without the scripts.
pub fn real(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program));
    let mut found = found.filter(|file| file.is_file());
    found.next().unwrap()
}
