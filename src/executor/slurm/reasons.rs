//! Why SLURM lets a job wait (`man squeue`, "JOB REASON CODES"): which reasons never pass by themselves.

/// What a waiting job lacks that time does not bring; none for reasons that pass, and for words never seen.
pub fn hopeless(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "PartitionConfig" => {
            "the partition never has what it asks for (processors, memory, GPUs or features)"
        }
        "PartitionNodeLimit" => "it asks for more nodes than the partition gives to one job",
        "PartitionTimeLimit" => "its time limit is longer than the partition's",
        "PartitionInactive" | "PartitionDown" => "the partition takes no jobs",
        "BadConstraints" => "no node has the features it asks for",
        "DependencyNeverSatisfied" => "a job that it depends on can never end as wanted",
        "InvalidAccount" => "there is no such account",
        "InvalidQOS" | "QOSNotAllowed" => "the quality of service is not allowed",
        "AccountNotAllowed" => "the account may not use the partition",
        "JobHeldUser" | "JobHeldAdmin" => "it is held: scontrol release",
        "ReqNodeNotAvail" | "NodeDown" => "a node that it asks for is not there",
        "QOSMaxCpuPerJobLimit"
        | "QOSMaxMemoryPerJob"
        | "QOSMaxWallDurationPerJobLimit"
        | "AssocMaxCpuPerJobLimit"
        | "AssocMaxMemPerJob"
        | "AssocMaxWallDurationPerJobLimit" => "it asks for more than one job may have",
        _ => return None,
    })
}
