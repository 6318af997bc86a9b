//! A real systemd in a namespace of its own, with campaignd installed in it as a package would.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// The state directory of the unit.
pub const STATE: &str = "/var/lib/campaignd";

const SOURCES: &str = env!("CARGO_MANIFEST_DIR");

/// The program that makes such a machine; none, with the reason printed, where it cannot.
fn maker(test: &str) -> Option<PathBuf> {
    let maker = Path::new(SOURCES).join("../shared/systemd/systemd-box");
    // A working tree may lie one directory deeper.
    let deeper = Path::new(SOURCES).join("../../shared/systemd/systemd-box");
    let Some(maker) = [maker, deeper].into_iter().find(|path| path.exists()) else {
        eprintln!("skipped {test}: no systemd-box beside the checkout");
        return None;
    };
    let check = Command::new(&maker).arg("check").output().unwrap();
    if !check.status.success() {
        eprintln!("skipped {test}: {}", text(&check).trim());
        return None;
    }
    Some(maker)
}

/// What a command said.
pub fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The machine; it ends with everything that runs in it.
pub struct Machine {
    maker: PathBuf,
    dir: tempfile::TempDir,
}

impl Drop for Machine {
    fn drop(&mut self) {
        for verb in ["stop", "wipe"] {
            // What is left lies in a temporary directory.
            let _ = self.maker(&[verb]).output();
        }
    }
}

impl Machine {
    /// A machine with campaignd installed by its unit, sysusers and tmpfiles, and not yet started.
    pub fn new(test: &str) -> Option<Self> {
        let maker = maker(test)?;
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let machine = Self { maker, dir };
        let started = machine.maker(&["start"]).output().unwrap();
        if started.status.code() == Some(77) {
            eprintln!("skipped {test}: {}", text(&started).trim());
            return None;
        }
        assert!(started.status.success(), "{}", text(&started));
        let (daemon, client) = (
            env!("CARGO_BIN_EXE_campaignd"),
            env!("CARGO_BIN_EXE_campaignctl"),
        );
        machine.install(&[daemon, client, &sources("campaignd.service")]);
        machine.file(
            "/usr/lib/sysusers.d/campaignd.conf",
            &read("campaignd.sysusers.conf"),
        );
        machine.file(
            "/usr/lib/tmpfiles.d/campaignd.conf",
            &read("campaignd.tmpfiles.conf"),
        );
        machine.ok("systemd-sysusers && systemd-tmpfiles --create campaignd.conf");
        Some(machine)
    }

    fn maker(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.maker);
        command.arg(words[0]).arg(self.dir.path()).args(&words[1..]);
        command.stdin(Stdio::null());
        command
    }

    fn install(&self, files: &[&str]) {
        let installed = self
            .maker(&[&["install"], files].concat())
            .output()
            .unwrap();
        assert!(installed.status.success(), "{}", text(&installed));
    }

    /// A drop-in of the unit, read at the next start.
    pub fn drop_in(&self, name: &str, content: &str) {
        let directory = "/etc/systemd/system/campaignd.service.d";
        self.file(&format!("{directory}/{name}.conf"), content);
        self.ok("systemctl daemon-reload");
    }

    /// Writes a file of the machine.
    pub fn file(&self, path: &str, content: &str) {
        let inside = format!("mkdir -p \"$(dirname {path})\" && printf %s \"$1\" > {path}");
        let wrote = self.maker(&["run", "--", "sh", "-c", &inside, "sh", content]);
        assert_ok(path, wrote);
    }

    /// Runs a shell line inside, as root.
    pub fn sh(&self, line: &str) -> Output {
        self.maker(&["run", "--", "sh", "-c", line])
            .output()
            .unwrap()
    }

    /// The same for a line that must succeed; gives what it said.
    pub fn ok(&self, line: &str) -> String {
        assert_ok(line, self.maker(&["run", "--", "sh", "-c", line]))
    }

    /// `campaignctl` as root, on the service's socket.
    pub fn ctl(&self, words: &str) -> Output {
        self.sh(&ctl(words))
    }

    /// A property of the unit, as systemd says.
    pub fn property(&self, name: &str) -> String {
        let shown = self.ok(&format!("systemctl show -P {name} campaignd"));
        shown.trim().into()
    }

    /// The journal's lines of the unit that have these fields.
    pub fn journal(&self, fields: &str) -> String {
        self.ok(&format!(
            "journalctl --sync; journalctl --no-pager -o cat -u campaignd {fields}"
        ))
    }

    /// Returns when it holds.
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(90);
        while !holds() {
            if Instant::now() > deadline {
                panic!(
                    "not within 90 s: {what}\n{}",
                    text(&self.sh("journalctl --no-pager"))
                );
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// The state of a campaign.
    pub fn state(&self, id: &str) -> String {
        let said = self.ctl(&format!("status {id} --json"));
        let status: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
        let state = status["campaigns"][0]["state"].as_str();
        state.unwrap_or_default().into()
    }

    /// The lines of a file; none where there is no file.
    pub fn lines(&self, path: &str) -> Vec<String> {
        let said = self.sh(&format!("cat {path}"));
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        said.lines().map(String::from).collect()
    }
}

/// The words of a shell line that asks the service.
pub fn ctl(words: &str) -> String {
    format!("campaignctl --socket /run/campaignd/control.sock {words}")
}

fn assert_ok(what: &str, mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{what}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The path of a file of `systemd/`.
pub fn sources(name: &str) -> String {
    format!("{SOURCES}/systemd/{name}")
}

/// A file of `systemd/`.
pub fn read(name: &str) -> String {
    fs::read_to_string(sources(name)).unwrap()
}

/// A campaign whose tasks write down their PID, and its generation waits for a file `NAME.go`.
pub fn campaign(name: &str, shards: u32) -> String {
    let script = format!(
        "echo $2 $3 $$ >> {STATE}/{name}.ledger; [ $2 = pilot ] || until [ -e {STATE}/{name}.go ]; do sleep 0.05; done; \
         n=0; while [ $n -lt $1 ]; do \
         echo {{\\\"id\\\":\\\"$2-$3-$n\\\",\\\"quality_score\\\":0.9}} >> $4; n=$((n+1)); done"
    );
    with_script(name, shards, &script)
}

/// A campaign whose tasks run a shell script with `$1` target, `$2` phase, `$3` shard, `$4` output.
pub fn with_script(name: &str, shards: u32, script: &str) -> String {
    format!(
        "name = \"{name}\"\npilot_target = 4\nmin_pilot_samples = 4\ncampaign_target = 4\ngate = \"point\"\n\
         [generator]\nshards = {shards}\n\
         command = [\"sh\", \"-c\", '''{script}''', \"sh\", \"{{target}}\", \"{{phase}}\", \"{{shard}}\", \"{{output}}\"]\n"
    )
}
