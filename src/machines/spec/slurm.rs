//! What a job asks of SLURM, by sbatch's own names.

use serde::{Deserialize, Serialize};

/// The resources of a phase's tasks, and where they go. An empty text or none leaves it to the site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlurmSpec {
    /// `--partition`.
    pub partition: String,
    /// `--account`.
    pub account: String,
    /// `--qos`.
    pub qos: String,
    /// `--time`, seconds.
    pub time_seconds: Option<u64>,
    /// `--mem` of a node, MiB.
    pub mem_mib: Option<u64>,
    /// `--cpus-per-task`.
    pub cpus_per_task: Option<u32>,
    /// `--gres`: `gpu:1`.
    pub gres: String,
    /// `--constraint`.
    pub constraint: String,
    /// `--clusters`, of every call about the job.
    pub clusters: String,
    /// Further options of sbatch, one argument each.
    pub extra: Vec<String>,
    /// Where SLURM writes what a batch script prints; empty: the job directory.
    pub log_dir: String,
    /// Where runs of workflows keep their work; empty: the campaign's directory.
    pub work_base_dir: String,
    /// By so many percent memory or time grow when a task had too little.
    pub grow_percent: u32,
}

/// Options that say how a job is submitted and found again.
const OURS: [&str; 9] = [
    "--array",
    "--clusters",
    "--cluster",
    "--dependency",
    "--job-name",
    "--parsable",
    "--requeue",
    "--test-only",
    "--wait",
];
/// The same by one letter.
const OURS_SHORT: [&str; 5] = ["-a", "-M", "-d", "-J", "-W"];

impl SlurmSpec {
    /// The GPUs of `gres`, as sbatch counts them: `gpu`, `gpu:2`, `gpu:a100:2`, several with commas between them.
    pub fn gpus(&self) -> u32 {
        let count = |one: &str| {
            let mut parts = one.split(':');
            if parts.next() != Some("gpu") {
                return 0;
            }
            let last = parts
                .next_back()
                .map(|last| last.split('(').next().unwrap_or(last));
            last.and_then(|last| last.parse().ok()).unwrap_or(1)
        };
        let counts = self.gres.split(',').map(str::trim).map(count);
        counts.fold(0, u32::saturating_add)
    }

    /// The same, with what it leaves open taken from `site`.
    #[must_use]
    pub fn or(mut self, site: &SlurmSpec) -> Self {
        for (own, other) in [
            (&mut self.partition, &site.partition),
            (&mut self.account, &site.account),
            (&mut self.qos, &site.qos),
            (&mut self.gres, &site.gres),
            (&mut self.constraint, &site.constraint),
            (&mut self.clusters, &site.clusters),
            (&mut self.log_dir, &site.log_dir),
            (&mut self.work_base_dir, &site.work_base_dir),
        ] {
            if own.is_empty() {
                own.clone_from(other);
            }
        }
        self.time_seconds = self.time_seconds.or(site.time_seconds);
        self.mem_mib = self.mem_mib.or(site.mem_mib);
        self.cpus_per_task = self.cpus_per_task.or(site.cpus_per_task);
        if self.extra.is_empty() {
            self.extra.clone_from(&site.extra);
        }
        if self.grow_percent == 0 {
            self.grow_percent = site.grow_percent;
        }
        self
    }

    /// Sentences about what no batch script can say.
    pub fn problems(&self) -> Vec<String> {
        let texts = [
            ("partition", &self.partition),
            ("account", &self.account),
            ("qos", &self.qos),
            ("gres", &self.gres),
            ("constraint", &self.constraint),
            ("clusters", &self.clusters),
            ("log_dir", &self.log_dir),
            ("work_base_dir", &self.work_base_dir),
        ];
        let extra = self.extra.iter().map(|option| ("extra", option));
        let unsayable = |text: &str| text.chars().any(char::is_control);
        let mut found: Vec<String> = texts
            .into_iter()
            .chain(extra)
            .filter(|(_, text)| unsayable(text))
            .map(|(key, text)| format!("slurm.{key} = {text:?} has a control character"))
            .collect();
        let bare = self.extra.iter().filter(|option| !option.starts_with('-'));
        found.extend(bare.map(|option| format!("slurm.extra: {option:?} is no option")));
        let ours = self.extra.iter().filter(|option| {
            let name = option.split('=').next().unwrap_or(option);
            OURS.contains(&name) || OURS_SHORT.iter().any(|short| option.starts_with(short))
        });
        found.extend(ours.map(|option| format!("slurm.extra: {option:?} is campaignd's to say")));
        let zero = [
            ("time", self.time_seconds),
            ("mem", self.mem_mib),
            ("cpus_per_task", self.cpus_per_task.map(u64::from)),
        ];
        let zero = zero.into_iter().filter(|(_, number)| *number == Some(0));
        found.extend(zero.map(|(key, _)| format!("slurm.{key} is 0")));
        found
    }

    /// A number grown by the setting; by one at least.
    pub fn grown(&self, number: u64) -> u64 {
        let more = number.saturating_mul(u64::from(self.grow_percent)) / 100;
        number.saturating_add(more.max(1))
    }
}
