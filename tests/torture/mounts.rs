//! File systems of a test's own: small ones that fill, and images that are copied as a power cut would leave them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Runs a command; its complaint where it fails.
fn run(words: &[&str]) -> Result<(), String> {
    let output = Command::new(words[0]).args(&words[1..]).output();
    let output = output.map_err(|error| format!("{}: {error}", words[0]))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr)
        .trim()
        .replace('\n', " ");
    Err(format!("{}: {said}", words.join(" ")))
}

/// Something mounted on a directory; gone when it is dropped.
pub struct Mounted {
    pub at: PathBuf,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a process that is on its way out may still hold it.
        let _ = run(&["umount", "-l", &self.at.to_string_lossy()]);
    }
}

impl Mounted {
    /// A file system in memory with room for so much.
    pub fn memory(at: &Path, size: &str) -> Result<Mounted, String> {
        std::fs::create_dir_all(at).unwrap();
        run(&[
            "mount",
            "-t",
            "tmpfs",
            "-o",
            &format!("size={size},mode=0700"),
            "tmpfs",
            &at.to_string_lossy(),
        ])?;
        Ok(Mounted { at: at.into() })
    }

    /// The file system in an image.
    pub fn image(image: &Path, at: &Path) -> Result<Mounted, String> {
        std::fs::create_dir_all(at).unwrap();
        run(&[
            "mount",
            "-o",
            "loop",
            &image.to_string_lossy(),
            &at.to_string_lossy(),
        ])?;
        Ok(Mounted { at: at.into() })
    }

    /// Whether it may be written to from now on.
    pub fn remount(&self, how: &str) -> Result<(), String> {
        run(&[
            "mount",
            "-o",
            &format!("remount,{how}"),
            &self.at.to_string_lossy(),
        ])
    }
}

/// Repairs an image as after a crash; what could be mended counts as mended.
pub fn repair(image: &Path) -> Result<(), String> {
    let output = Command::new("e2fsck")
        .args(["-f", "-y"])
        .arg(image)
        .output();
    let status = output.map_err(|error| error.to_string())?.status;
    if status.code().is_some_and(|code| code <= 1) {
        Ok(())
    } else {
        Err(status.to_string())
    }
}

/// An image with an empty ext4 in it.
pub fn ext4(image: &Path, megabytes: u32) -> Result<(), String> {
    run(&[
        "truncate",
        "-s",
        &format!("{megabytes}M"),
        &image.to_string_lossy(),
    ])?;
    run(&["mkfs.ext4", "-q", "-F", &image.to_string_lossy()])
}

/// A file that takes all the room there is but so many bytes.
pub fn fill(dir: &Path, leave: u64) -> PathBuf {
    use std::io::Write;
    let path = dir.join("filler");
    let mut file = std::fs::File::create(&path).unwrap();
    let block = vec![0_u8; 4096];
    while file.write_all(&block).is_ok() {}
    let len = file.metadata().unwrap().len();
    file.set_len(len.saturating_sub(leave)).unwrap();
    path
}
