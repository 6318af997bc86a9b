//! The least campaign that there is, for tests.

use super::spec::CampaignSpec;

impl CampaignSpec {
    /// One sample of one shard of the built-in generator, and nothing behind it.
    pub(crate) fn bare(name: &str) -> Self {
        let spec = serde_json::json!({
            "name": name, "file": null, "directory": "/",
            "criteria": { "gate": "point", "quality_threshold": 0.75, "min_pilot_samples": 1, "pilot_target": 1,
                "max_pilot_samples": 1 },
            "campaign_target": 1, "auto_launch": true, "executor": "local", "seed": 1,
            "generator": { "brain": "rules", "command": [], "shards": 1, "time_seconds": null, "evidence": "samples",
                "faults": 0.1 },
            "retry": { "transient": 3, "lost": 3 }, "execution": null, "curation": null, "training": null,
            "evaluation": null, "planning": null, "provenance": [],
        });
        serde_json::from_value(spec).unwrap_or_else(|error| panic!("{error}"))
    }
}
