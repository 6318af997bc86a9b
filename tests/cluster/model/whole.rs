//! All of it together, and scripts as they are rendered.

use super::*;

/// Everything that can go wrong does, for a while.
fn bad_day(seed: u64, torn: bool) -> String {
    let faults: Faults = serde_json::from_str(
        r#"{"sbatch": {"done_unsure": 0.3, "late_unsure": 0.2, "later": 0.1},
            "squeue": {"old": 0.2, "partial": 0.2, "unsure": 0.1}, "foreign": 3, "ids": 20,
            "fates": {"node_fail": 0.1, "preempted": 0.1, "requeued": 0.1, "memory": 0.1},
            "start_seconds": 30, "fate_seconds": 30, "accounts_late_seconds": 10, "slots": 5}"#,
    )
    .unwrap();
    let mut cluster = Cluster::new(faults, seed);
    cluster.lay("/s", "#!/bin/bash\n#SBATCH --array=0-3\n");
    let (mut sim, mut told) = (Sim::new(40), String::new());
    for minute in 0..60 {
        let now = NOON.after(Duration::from_secs(minute * 20));
        if torn {
            let bytes = serde_json::to_vec(&cluster).unwrap();
            cluster = serde_json::from_slice(&bytes).unwrap();
            cluster.lay("/s", "#!/bin/bash\n#SBATCH --array=0-3\n");
        }
        cluster.advance(now, &mut sim);
        let submit = Call::Submit {
            name: format!("a-{}", minute % 7),
            script: "/s".into(),
        };
        for call in [submit, Call::Queue] {
            told.push_str(&format!("{:?}\n", cluster.call(&call, now)));
        }
    }
    told
}

#[test]
fn a_seed_says_everything() {
    let day = bad_day(1, false);
    for word in ["timed out", "OutOfMemory", "BeginTime", "foreign-"] {
        assert!(day.contains(word), "{word}");
    }
    assert_eq!(day, bad_day(1, false));
    assert_eq!(day, bad_day(1, true), "kept in JSON between two calls");
    assert_ne!(day, bad_day(2, false));
}

#[test]
fn options_read_as_they_were_written() {
    let resources = SlurmSpec {
        partition: "gp u".into(),
        extra: vec!["--comment=a \"b\" \\ 'c' #d $HOME".into()],
        ..SlurmSpec::default()
    };
    let odd = "/o dd/it's \"%x\" #1";
    let script = render(&Batch {
        name: "a-1",
        job_dir: Path::new(odd),
        program: Path::new("/bin/true"),
        first: 0,
        count: 4,
        at_once: 2,
        resources: &resources,
        log: Path::new(odd),
        time_seconds: Some(61),
        umask: None,
    })
    .unwrap();
    let options = job::options(&script);
    assert_eq!(options["partition"], "gp u");
    assert_eq!(options["comment"], "a \"b\" \\ 'c' #d $HOME");
    assert_eq!(options["chdir"], odd);
    assert_eq!(options["array"], "0-3%2");
    assert!(options.contains_key("no-requeue") && options["dependency"] == "singleton");
    assert_eq!(job::options("#SBATCH -a\ntrue\n#SBATCH --b=1\n").len(), 1);
    assert_eq!(job::indices("1,3,7-9%2"), Some(vec![1, 3, 7, 8, 9]));
    assert_ne!(Phase::Waiting(NOON), Phase::Over(NOON));
}
