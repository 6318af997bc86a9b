//! Workflows that are run: whole campaigns with a shell script in the place of Nextflow, and Nextflow itself where it is.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod house;

use house::{House, stderr};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Ends as the number in the workflow's id says: killed for want of memory, hanging, failing its expectation, or well. A repair
/// ends well. What begins stands in the ledger.
const RUNNER: &str = r#"id=$(basename "$1")
echo "$id" >> "$CAMPAIGND_CAMPAIGN/ledger"
metrics() { echo "{ \"mapping_rate\": \"$1 %\" }" > metrics.json; }
case "$id" in *.r*) grep -q '// Repair of' nextflow.config && metrics 91; exit;; esac
case $((${id##*-} % 4)) in
0) echo "Error executing process > 'FASTQC (a)'" >&2
   echo "slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch." >&2
   exit 137;;
1) sleep 1000;;
2) metrics 12;;
*) metrics 91;;
esac
"#;

fn campaign(house: &House, name: &str, script: &str, execution: &str) -> String {
    fs::write(house.path("run.sh"), script).unwrap();
    let text = format!(
        "name = \"{name}\"\npilot_target = 8\nmin_pilot_samples = 8\ncampaign_target = 40\ngate = \"point\"\n\
         quality_threshold = 0.5\n[generator]\nshards = 2\nfaults = 0.0\ndefects = 0.0\n\
         [execution]\ncommand = [\"sh\", \"{{campaign}}/run.sh\", \"{{directory}}\"]\n{execution}\n\
         [[test_dataset]]\nname = \"small\"\nexpected_outputs = {{ mapping_rate = \"> 80 %\" }}\n\
         [curation]\nmax_failure_share = 1.0\nmax_type_share = 1.0\n"
    );
    let file = house.path(&format!("{name}.toml"));
    fs::write(&file, text).unwrap();
    file.to_string_lossy().into_owned()
}

fn files(house: &House, name: &str) -> PathBuf {
    house.path("state").join("campaigns").join(name)
}

/// Every line of the files of a directory whose names begin so.
fn rows(dir: &Path, begin: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let Ok(listed) = fs::read_dir(dir) else {
        return all;
    };
    for entry in listed.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(begin) && name.ends_with(".jsonl") {
            let text = fs::read_to_string(entry.path()).unwrap();
            let whole = text
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            all.extend(whole.map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
    }
    all
}

fn word(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or("").into()
}

fn begun(house: &House) -> BTreeMap<String, u32> {
    let text = fs::read_to_string(house.path("ledger")).unwrap_or_default();
    let mut times = BTreeMap::new();
    for id in text.lines() {
        *times.entry(id.to_owned()).or_insert(0) += 1;
    }
    times
}

#[test]
fn a_campaign_runs_its_workflows_mends_what_it_can_and_learns_what_ran() {
    let house = House::new();
    let file = campaign(
        &house,
        "ran",
        RUNNER,
        "workflows = 16\nshards = 2\ntime = \"1s\"",
    );
    let checked = house.campaignd(&["check", &file]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        said.contains("then at most 16 workflows run on 1 test data set in 2 jobs"),
        "{said}{}",
        stderr(&checked)
    );
    let ran = house.campaignd(&["run", &file]);
    assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
    let dir = files(&house, "ran");
    let lines = rows(&dir.join("data/execute"), "shard-");
    let by_id: BTreeMap<String, &Value> = lines.iter().map(|run| (word(run, "id"), run)).collect();
    assert_eq!(by_id.len(), lines.len(), "no workflow has two lines");
    let found = lines.iter().filter(|run| run["parent"].is_null()).count();
    assert_eq!(found, 16);
    assert!(
        begun(&house).values().all(|times| *times == 1),
        "{:?}",
        begun(&house)
    );
    let mut mended = BTreeSet::new();
    for (id, run) in by_id.iter().filter(|(_, run)| run["parent"].is_null()) {
        let number: u64 = id.rsplit('-').next().unwrap().parse().unwrap();
        let (outcome, code) = match number % 4 {
            0 => ("execution_failed", Some(137)),
            1 => ("timeout", None),
            2 => ("execution_failed", Some(0)),
            _ => ("success", Some(0)),
        };
        assert_eq!(word(run, "outcome"), outcome, "{run}");
        assert_eq!(run["timed_out"], number % 4 == 1);
        if let Some(code) = code {
            assert_eq!(run["exit_code"], code);
        }
        if number.is_multiple_of(4) {
            let repair = &by_id[&format!("{id}.r1")];
            assert_eq!(
                (word(repair, "parent"), word(repair, "outcome")),
                (id.clone(), "success".into())
            );
            mended.insert(id.clone());
        }
    }
    assert!(!mended.is_empty());
    let repaired = rows(&dir.join("data/repair"), "shard-");
    assert_eq!(repaired.len(), mended.len());
    data_sets(&dir, &by_id, &mended);
    screens(&house, &mended);
}

/// What ran is what data sets teach.
fn data_sets(dir: &Path, by_id: &BTreeMap<String, &Value>, mended: &BTreeSet<String>) {
    let sets = |set: &str| {
        let dir = dir.join("dataset").join(set);
        ["train", "validation", "test"]
            .iter()
            .flat_map(|split| rows(&dir, split))
            .collect::<Vec<_>>()
    };
    let codegen = sets("codegen");
    let mut proven = 0;
    for row in &codegen {
        let id = word(row, "trajectory_id");
        match by_id.get(&id) {
            Some(run) => {
                assert_eq!(word(run, "outcome"), "success", "{id} failed and is taught");
                assert_eq!(row["execution_success"], true);
                proven += 1;
            }
            None => assert!(row["execution_success"].is_null(), "{id} was not run"),
        }
    }
    assert!(proven > 0);
    let ids: BTreeSet<String> = codegen
        .iter()
        .map(|row| word(row, "trajectory_id"))
        .collect();
    assert!(
        mended.iter().any(|id| ids.contains(&format!("{id}.r1"))),
        "{ids:?}"
    );
    let real: Vec<Value> = (sets("error_recovery").into_iter())
        .filter(|row| row["planned_kind"].is_null())
        .collect();
    assert!(!real.is_empty(), "real failures are taught");
    for row in &real {
        assert!(mended.contains(&word(row, "trajectory_id")), "{row}");
        assert_eq!(
            (word(row, "outcome"), word(row, "error_type")),
            ("success".into(), "MEMORY".into())
        );
    }
}

fn screens(house: &House, mended: &BTreeSet<String>) {
    let mut house_again = House::within(house.path("").as_path());
    house_again.serve();
    let phases = house_again.json(&["status", "ran"]);
    let phases = phases["campaigns"][0]["phases"].as_array().unwrap();
    let execute = phases
        .iter()
        .find(|phase| phase["phase"] == "execute")
        .unwrap();
    assert_eq!(
        (&execute["done"], &execute["total"]),
        (&16.into(), &16.into())
    );
    let id = mended.first().unwrap();
    let view = house_again.json(&["trajectory", &format!("ran/{id}")]);
    assert_eq!(view["trajectory"]["execution_exit_code"], 137);
    assert_eq!(view["trajectory"]["outcome"], "execution_failed");
    assert_eq!(view["execution"]["diagnosis"]["kind"], "out_of_memory");
    let repair = house_again.json(&["trajectory", &format!("ran/{id}.r1")]);
    assert_eq!(repair["phase"], "repair");
    assert_eq!(repair["trajectory"]["execution_exit_code"], 0);
    let shown = house_again.ctl(&["trajectory", &format!("ran/{id}")]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("cause out_of_memory"), "{shown}");
}

/// The worker of the execution, by its words.
fn worker(house: &House) -> Option<i32> {
    house::processes_below(&house.path(""))
        .into_iter()
        .find(|pid| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            words.contains("worker execute ")
        })
}

#[test]
fn killed_anywhere_it_goes_on_and_runs_nothing_twice() {
    let mut house = House::new();
    let script =
        format!("{BEGIN}sleep 0.2\necho '{{\"mapping_rate\": \"91 %\"}}' > metrics.json\n");
    let file = campaign(&house, "killed", &script, "workflows = 14\nshards = 1");
    house.serve();
    assert!(house.ctl(&["submit", &file]).status.success());
    let dir = files(&house, "killed").join("data/execute");
    let ran = |dir: &Path| -> BTreeSet<String> {
        rows(dir, "shard-")
            .iter()
            .map(|run| word(run, "id"))
            .collect()
    };
    let mut known = Vec::new();
    for (at, kills_worker) in [(3, true), (6, false), (9, true)] {
        house.until("more workflows have run", || ran(&dir).len() >= at);
        house.until("the worker runs", || worker(&house).is_some());
        if let (Some(pid), true) = (worker(&house), kills_worker) {
            // Gone in between is as good.
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        house.kill();
        known.push((ran(&dir), begun(&house)));
        house.serve();
    }
    assert_eq!(
        house
            .ctl(&["wait", "killed", "--timeout", "100s"])
            .status
            .code(),
        Some(0),
        "{}",
        house.log()
    );
    assert_eq!(ran(&dir).len(), 14);
    let all = begun(&house);
    for (ran, begun) in known {
        for id in ran {
            assert_eq!(all[&id], begun[&id], "{id} had its line and was run again");
        }
    }
    assert!(all.values().all(|times| *times <= 4), "{all:?}");
}

const BEGIN: &str = "echo \"$(basename \"$1\")\" >> \"$CAMPAIGND_CAMPAIGN/ledger\"\n";

#[test]
fn a_campaign_without_workflows_fails_with_a_sentence() {
    let mut house = House::new();
    let script = house::generator("0", "0.9");
    let file = house.campaign("none", "", &script);
    let text =
        fs::read_to_string(&file).unwrap() + "[execution]\ncommand = [\"true\"]\nshards = 2\n";
    fs::write(&file, text).unwrap();
    house.serve();
    assert!(house.ctl(&["submit", &file]).status.success());
    assert_eq!(
        house
            .ctl(&["wait", "none", "--timeout", "60s"])
            .status
            .code(),
        Some(4)
    );
    let status = house.json(&["status", "none"]);
    let cause = word(&status["campaigns"][0], "cause");
    assert!(cause.contains("there is no workflow to run"), "{cause}");
}

#[test]
fn the_example_is_right_and_runs() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let house = House::new();
    let ran = house.campaignd(&["run", &examples.join("execution.toml").to_string_lossy()]);
    assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
    let lines = rows(&files(&house, "execution").join("data/execute"), "shard-");
    assert_eq!(lines.len(), 12);
    for run in &lines {
        assert_eq!(word(run, "dataset"), "three_reads");
        let known = |name: &str| {
            let checks = run["checks"].as_array().unwrap().iter();
            checks
                .filter(|check| check["metric"] == name)
                .all(|check| check["passed"] == true)
        };
        assert!(known("mapping_rate") && known("reads"), "{run}");
        assert_eq!(word(run, "outcome"), "success", "{run}");
    }
}

#[test]
fn nextflow_itself_runs_a_generated_workflow() {
    let nextflow = Command::new("nextflow").arg("-version").output();
    if !nextflow.is_ok_and(|output| output.status.success()) {
        println!("skipped nextflow_itself_runs_a_generated_workflow: no nextflow on PATH");
        return;
    }
    let house = House::new();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let command = "[\"nextflow\", \"run\", \"{workflow}\", \"-work-dir\", \"{work}\", \"-with-trace\", \"trace.txt\", \
                   \"-ansi-log\", \"false\", \"-params-file\", \"{params}\", \"-stub-run\", \"-profile\", \"stub\"]";
    let text = format!(
        "name = \"stub\"\npilot_target = 8\nmin_pilot_samples = 8\ncampaign_target = 16\ngate = \"point\"\n\
         [generator]\nshards = 1\n[execution]\ncommand = {command}\nworkflows = 1\nshards = 1\n\
         [[test_dataset]]\nname = \"small\"\nfastq_paths = [\"{0}/reads/first_R1.fastq\", \"{0}/reads/first_R2.fastq\"]\n\
         reference_path = \"{0}/reference\"\n",
        examples.display()
    );
    let file = house.path("stub.toml");
    fs::write(&file, text).unwrap();
    let ran = house.campaignd(&["run", &file.to_string_lossy()]);
    assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
    let lines = rows(&files(&house, "stub").join("data/execute"), "shard-");
    assert_eq!(lines[0]["command"][0], "nextflow");
}
