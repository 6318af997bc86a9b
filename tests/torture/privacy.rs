//! What campaignd keeps is its user's alone, whatever the umask it was started with.

use crate::{
    house::{House, generator},
    trials::row,
};
use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
};

fn wrong(path: &Path, seen: &mut usize, found: &mut Vec<String>) {
    let about = match fs::symlink_metadata(path) {
        // The daemon runs: a new file was renamed into its place since the directory was listed.
        Err(gone) if gone.kind() == ErrorKind::NotFound => return,
        about => about.unwrap(),
    };
    let mode = about.permissions().mode() & 0o777;
    let right = match about.file_type() {
        kind if kind.is_dir() => 0o700,
        kind if kind.is_file() || kind.is_socket() => 0o600,
        _ => return,
    };
    *seen += 1;
    if mode != right {
        found.push(format!("{mode:o} {}", path.display()));
    }
    if about.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            wrong(&entry.unwrap().path(), seen, found);
        }
    }
}

#[test]
fn directories_are_0700_and_files_0600() {
    let mut house = House::new();
    house.wrapper = ["sh", "-c", "umask 0; exec \"$@\"", "sh"]
        .map(String::from)
        .to_vec();
    house.serve();
    let script = generator("0.01", "0.9") + "umask > umask.seen\n";
    let foreign = house.campaign("foreign", "", &script);
    fs::write(
        house.path("own.toml"),
        "name = \"own\"\npilot_target = 8\nmin_pilot_samples = 8\ncampaign_target = 60\ngate = \"point\"\n[curation]\n",
    )
    .unwrap();
    for file in [foreign.as_str(), "own.toml"] {
        assert!(house.ctl(&["submit", file]).status.success());
    }
    for name in ["foreign", "own"] {
        house.until("it completes", || house.state(name) == "completed");
    }
    let (mut seen, mut found) = (0, Vec::new());
    wrong(&house.path("state"), &mut seen, &mut found);
    assert!(seen > 40, "{seen} looked at");
    assert_eq!(found, Vec::<String>::new());
    // What a command writes elsewhere is its own business.
    let umask = fs::read_to_string(house.path("umask.seen")).unwrap();
    assert_eq!(
        umask.trim().trim_start_matches('0'),
        "",
        "the command's umask is {umask}"
    );
    row(
        21,
        "started with umask 0",
        1,
        1,
        0,
        &format!("{seen} directories and files: 0700 and 0600, every one"),
    );
}
