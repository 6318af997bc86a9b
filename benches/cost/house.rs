//! A real daemon on a state directory of its own, spoken to over its real socket, watched through `/proc`.

use crate::{Plan, samples::newlines, times::timed};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Between two questions whether something has come about.
const PAUSE: Duration = Duration::from_millis(1);
/// Nothing here takes this long, unless it never comes about.
const PATIENCE: Duration = Duration::from_secs(120);
/// Shards of every campaign here.
const SHARDS: u64 = 2;
/// Samples of every pilot here.
pub const PILOT: u64 = 8;

/// The directory, and the daemon on it.
pub struct House {
    dir: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Drop for House {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            // No job outlives its measurement.
            self.ctl(&["stop", "--cancel-jobs", "--yes"]);
            self.kill();
        }
    }
}

impl House {
    /// A house with a daemon in it.
    pub fn new(plan: &Plan) -> Self {
        let mut house = Self {
            dir: plan.scratch(),
            daemon: None,
        };
        house.serve();
        house
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("CAMPAIGND_STATE_DIR", self.path("state"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Runs the client to its end.
    pub fn ctl(&self, args: &[&str]) -> bool {
        let mut ctl = self.command(env!("CARGO_BIN_EXE_campaignctl"));
        ctl.args(args).status().unwrap().success()
    }

    /// Starts the daemon and waits for its first answer.
    pub fn serve(&mut self) {
        let log = File::create(self.path("daemon.log")).unwrap();
        let mut daemon = self.command(env!("CARGO_BIN_EXE_campaignd"));
        self.daemon = Some(daemon.arg("serve").stderr(log).spawn().unwrap());
        self.until("the daemon answers", |house| house.try_status().is_some());
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    pub fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.path("daemon.log")).unwrap_or_default();
                panic!("it never came about that {what}\n{log}");
            }
            sleep(PAUSE);
        }
    }

    /// A new connection to the socket.
    pub fn connect(&self) -> std::io::Result<Connection> {
        let stream = UnixStream::connect(self.path("state/control.sock"))?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// `status`, over a connection of its own as the client has it.
    pub fn status(&self) -> Value {
        self.try_status().expect("the daemon answers")
    }

    fn try_status(&self) -> Option<Value> {
        let body = self.connect().ok()?.get("/v1/status").ok()?;
        serde_json::from_slice(&body).ok()
    }

    /// Samples that `status` shows of the pilot and of the full generation.
    pub fn counts(&self) -> (u64, u64) {
        let status = self.status();
        let phases = &status["campaigns"][0]["phases"];
        let done = |name: &str| {
            let mut phases = phases.as_array().into_iter().flatten();
            let phase = phases.find(|phase| phase["phase"] == name);
            phase.and_then(|phase| phase["done"].as_u64()).unwrap_or(0)
        };
        (done("pilot"), done("generate"))
    }

    /// Submits a campaign whose jobs make `target` samples at once, print the file `log`, and live on.
    pub fn campaign(&self, target: u64) {
        for shard in 0..SHARDS {
            let file = File::create(self.path(&format!("rows-{shard}"))).unwrap();
            let mut rows = BufWriter::new(file);
            let share = target / SHARDS;
            (0..share).for_each(|row| writeln!(rows, "{}", sample(shard, row)).unwrap());
        }
        let script = "[ \"$3\" = pilot ] && exec head -n \"$2\" rows-0 >> \"$1\"\n\
                      cp \"rows-$4\" \"$1\"\n[ \"$4\" = 0 ] && [ -f log ] && cat log\nexec sleep 86400\n";
        fs::write(self.path("make.sh"), script).unwrap();
        let command = r#"["sh", "make.sh", "{output}", "{target}", "{phase}", "{shard}"]"#;
        let text = format!(
            "name = \"cost\"\npilot_target = {PILOT}\nmin_pilot_samples = {PILOT}\ncampaign_target = {target}\n\
             gate = \"point\"\n[generator]\nshards = {SHARDS}\ncommand = {command}\n"
        );
        fs::write(self.path("cost.toml"), text).unwrap();
        assert!(self.ctl(&["submit", "cost.toml"]), "it is accepted");
        self.until_counted(target);
    }

    /// Waits until `status` shows every sample.
    pub fn until_counted(&self, target: u64) {
        self.until("every sample is counted", |house| {
            house.counts() == (PILOT, target)
        });
    }

    fn proc(&self, file: &str) -> String {
        let pid = self.daemon.as_ref().expect("a daemon runs").id();
        fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap()
    }

    /// Resident memory of the daemon, in MB of a million bytes.
    pub fn resident(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes: f64 = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .and_then(|number| number.parse().ok())
            .expect("the kernel tells");
        kibibytes * 1024.0 / 1e6
    }

    /// Processor time of the daemon so far, in seconds.
    pub fn cpu(&self) -> f64 {
        let stat = self.proc("stat");
        // The name, which may hold anything, ends with the last parenthesis; user and system time are the 12th and
        // 13th field behind it, in hundredths of a second.
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        let ticks: Vec<f64> = fields
            .skip(11)
            .take(2)
            .map(|n| n.parse().unwrap())
            .collect();
        ticks.iter().sum::<f64>() / 100.0
    }

    /// The daemon's share of one core while nobody asks it anything, in percent.
    pub fn idle_cpu(&self, over: Duration) -> f64 {
        let before = self.cpu();
        let (_, slept) = timed(|| sleep(over));
        (self.cpu() - before) / slept.as_secs_f64() * 100.0
    }
}

/// A row as generators make them, of about 300 bytes.
fn sample(shard: u64, row: u64) -> String {
    let score = 0.8 + (row % 200) as f64 / 1000.0;
    format!(
        r#"{{"id":"query-{shard}-{row:07}","messages":[{{"role":"user","content":"Which item is found behind room {row} of dungeon {shard}, and what has to be done before its door opens?"}},{{"role":"assistant","content":"Room {row} holds a small key; its door opens once both torches burn and the switch is held."}}],"quality_score":{score:.3}}}"#
    )
}

/// One connection, kept open from request to request.
pub struct Connection(BufReader<UnixStream>);

impl Connection {
    fn ask(&mut self, what: &str, more: &str) -> std::io::Result<()> {
        let request = format!("{what} HTTP/1.1\r\nHost: campaignd\r\n{more}");
        self.0.get_mut().write_all(request.as_bytes())
    }

    /// Asks for a value; its bytes.
    pub fn get(&mut self, path: &str) -> std::io::Result<Vec<u8>> {
        self.ask(&format!("GET {path}"), "\r\n")?;
        self.answer()
    }

    /// Asks for a change without more words.
    pub fn post(&mut self, path: &str) -> std::io::Result<Vec<u8>> {
        let body = "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        self.ask(&format!("POST {path}"), body)?;
        self.answer()
    }

    /// The body of an answer that says its length.
    fn answer(&mut self) -> std::io::Result<Vec<u8>> {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.starts_with("http/") && !line.contains(" 200 ") {
                return Err(std::io::Error::other(line));
            }
            if let Some(number) = line.strip_prefix("content-length:") {
                length = number.trim().parse().expect("a length is a number");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(body)
    }

    /// Reads an answer to its end, headers and framing included; how many bytes and lines.
    pub fn drain(mut self, path: &str) -> std::io::Result<(u64, u64)> {
        self.ask(&format!("GET {path}"), "Connection: close\r\n\r\n")?;
        let (mut bytes, mut lines) = (0, 0);
        loop {
            let read = self.0.fill_buf()?;
            if read.is_empty() {
                return Ok((bytes, lines));
            }
            bytes += read.len() as u64;
            lines += newlines(read);
            let read = read.len();
            self.0.consume(read);
        }
    }
}
