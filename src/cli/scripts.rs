//! `submit --dry-run`: the batch scripts that a campaign would send to SLURM, one for each phase that runs there.

use super::{args::Shape, fail::Fail, out};
use crate::{
    config::check::report,
    control::{
        api::{SlurmSite, VERSION},
        client::{Client, Target},
    },
    executor::slurm::script::{Batch, render},
    machines::{
        job::Phase,
        spec::{CampaignSpec, Parts, SlurmSpec},
    },
};
use std::path::Path;

/// `submit --dry-run`: what would be handed in, and what would be sent to SLURM.
pub async fn rehearse(
    client: &Client,
    file: &Path,
    spec: &CampaignSpec,
    parts: Parts,
    shape: Shape,
) -> Result<u8, Fail> {
    let (scripts, known) = scripts(client, spec).await?;
    if shape.json {
        let value = serde_json::json!({
            "version": VERSION, "campaign": spec, "parts": parts, "scripts": scripts,
        });
        out::json(&value)?;
        return Ok(0);
    }
    let mut text = report(&file.display().to_string(), spec, false);
    for script in &scripts {
        let arrays = match (script.tasks, script.arrays) {
            (1, _) => "1 task".into(),
            (tasks, 1) => format!("{tasks} tasks, one array"),
            (tasks, arrays) => format!("{tasks} tasks in {arrays} arrays, of which the first"),
        };
        text += &format!("\n# {}: {arrays}\n{}", script.phase, script.text);
    }
    out::print(&text)?;
    if !known {
        out::note("no campaignd answers: its own [slurm] settings are not in these scripts");
    }
    Ok(0)
}

/// One script.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
struct Script {
    /// The phase.
    phase: String,
    /// Tasks of the job; more than one are an array.
    tasks: u32,
    /// How many arrays they are.
    arrays: u32,
    /// The text of the first one.
    text: String,
}

/// The scripts of a campaign, with what the site adds if a daemon says so; and whether one did.
async fn scripts(client: &Client, spec: &CampaignSpec) -> Result<(Vec<Script>, bool), Fail> {
    if spec.slurm.is_empty() {
        return Ok((Vec::new(), true));
    }
    let asked: Result<SlurmSite, _> = client.get(&Target::new(&["slurm"])).await;
    let known = asked.is_ok();
    let site = asked.unwrap_or_else(|_| SlurmSite {
        state_dir: "/STATE_DIR".into(),
        at_once: 50,
        max_array_size: 1000,
        ..SlurmSite::default()
    });
    let asked = spec
        .slurm
        .iter()
        .filter(|(phase, _)| tasks(spec, **phase) > 0);
    let made: Result<Vec<Script>, Fail> = asked
        .map(|(phase, slurm)| script(spec, *phase, slurm, &site))
        .collect();
    Ok((made?, known))
}

/// How many tasks a phase has; none where it is passed over.
fn tasks(spec: &CampaignSpec, phase: Phase) -> u32 {
    match phase {
        Phase::Pilot => spec.shards(true),
        Phase::Generate => spec.shards(false),
        Phase::Execute => u32::from(spec.execution.is_some()),
        Phase::Curate => u32::from(spec.curation.is_some()),
        Phase::Train => u32::from(spec.training.is_some()),
        Phase::Evaluate => u32::from(spec.evaluation.is_some()),
    }
}

fn script(
    spec: &CampaignSpec,
    phase: Phase,
    slurm: &SlurmSpec,
    site: &SlurmSite,
) -> Result<Script, Fail> {
    let tasks = tasks(spec, phase);
    let largest = site.max_array_size.max(1);
    let arrays = tasks.div_ceil(largest);
    let name = format!("{}-{phase}", spec.name);
    let state = Path::new(&site.state_dir);
    let job_dir = state.join("jobs").join(&name);
    let resources = slurm.clone().or(&site.site);
    let log = match resources.log_dir.as_str() {
        "" => job_dir.clone(),
        given => given.into(),
    };
    let time_seconds = match phase {
        Phase::Pilot | Phase::Generate => spec.generator.time_seconds,
        _ => None,
    };
    let text = render(&Batch {
        name: &name,
        job_dir: &job_dir,
        program: &state.join("bin/campaignd"),
        first: 0,
        count: tasks.min(largest),
        at_once: (site.at_once / arrays.max(1)).max(1),
        resources: &resources,
        log: &log,
        time_seconds,
        umask: None,
    })
    .map_err(|why| Fail::usage(format!("{phase}: {why}"), "other values under slurm"))?;
    Ok(Script {
        phase: phase.name().into(),
        tasks,
        arrays,
        text,
    })
}
