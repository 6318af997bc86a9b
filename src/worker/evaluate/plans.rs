//! How a GPU computes an evaluation's matrix products, while it is made: recorded beside the output, since what is being made
//! goes with the attempt that made it. The next attempt computes as the one before it did; the results keep a copy.

use crate::{
    artifacts::named,
    executor::job_dir::TRY_AGAIN,
    worker::{Undone, device::PLANS},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Plans that last as long as the evaluation may be tried again.
pub struct Kept {
    path: PathBuf,
}

impl Kept {
    /// Those of an output, which may be there from an attempt before: `.OUTPUT.products.txt`.
    pub fn beside(output: &Path) -> Self {
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        Self {
            path: output.with_file_name(format!(".{name}.{PLANS}")),
        }
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A copy for the results in `dir`, where there are any.
    ///
    /// # Errors
    /// Names the path.
    pub fn copy(&self, dir: &Path) -> io::Result<()> {
        match fs::copy(&self.path, dir.join(PLANS)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(named(error, "copy", &self.path))
            }
            _ => Ok(()),
        }
    }

    /// Removes them, unless the evaluation is to be tried again; gives what came of it.
    pub fn settle<T>(self, made: Result<T, Undone>) -> Result<T, Undone> {
        if !matches!(&made, Err(undone) if undone.status == TRY_AGAIN) {
            // One that cannot be removed does no harm: it holds for the same machine only.
            let _ = fs::remove_file(&self.path);
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_last_until_nobody_tries_again() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("codegen");
        let text = || fs::read_to_string(Kept::beside(&output).path()).ok();
        fs::write(Kept::beside(&output).path(), "plans").unwrap();
        let undone = |status| {
            let text = "why".to_owned();
            Err::<(), _>(Undone { status, text })
        };
        let kept = Kept::beside(&output).settle(undone(TRY_AGAIN));
        assert_eq!(kept.unwrap_err().status, TRY_AGAIN);
        assert_eq!(
            text().as_deref(),
            Some("plans"),
            "the next attempt wants them"
        );
        Kept::beside(&output).settle(undone(1)).unwrap_err();
        assert_eq!(text(), None, "nobody tries again");
        fs::write(Kept::beside(&output).path(), "plans").unwrap();
        Kept::beside(&output).settle(Ok(())).unwrap();
        assert_eq!(text(), None, "it is done");
        Kept::beside(&output).settle(Ok(())).unwrap();
    }

    #[test]
    fn results_have_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, results) = (Kept::beside(&dir.path().join("x")), dir.path().join("made"));
        fs::create_dir(&results).unwrap();
        kept.copy(&results).unwrap();
        assert!(!results.join(PLANS).exists(), "there are none");
        fs::write(kept.path(), "plans").unwrap();
        kept.copy(&results).unwrap();
        assert_eq!(fs::read(results.join(PLANS)).unwrap(), b"plans");
    }
}
