//! Prose, Nextflow, JSON and Rust, each with the count of a byte-pair tokenizer of 100,000 tokens.

/// Text and count.
pub const COUNTED: &[(&str, u64)] = &[
    (
        "The quality of the raw reads is looked at first. Adapters are then trimmed, the reads are aligned to the reference genome, and the alignments are sorted and indexed before variants are called. A report at the end gathers what each of the tools has measured, so that a person can see at a glance whether a sample is unusable. If fewer than half of the reads could be mapped, the pipeline stops and says why; otherwise it continues with the next step.",
        94,
    ),
    (
        "process FASTQC {\n    tag \"${meta.id}\"\n    label 'process_medium'\n    container 'quay.io/biocontainers/fastqc:0.12.1--hdfd78af_0'\n    publishDir \"${params.outdir}/fastqc\", mode: 'copy'\n\n    input:\n    tuple val(meta), path(reads)\n\n    output:\n    tuple val(meta), path('*.html'), emit: html\n    tuple val(meta), path('*.zip'), emit: zip\n\n    script:\n    \"\"\"\n    fastqc --threads ${task.cpus} --outdir . ${reads}\n    \"\"\"\n}\n",
        124,
    ),
    (
        "{\n  \"analysis_type\": \"rna_seq\",\n  \"organism\": \"human\",\n  \"samples\": 12,\n  \"steps\": [\n    {\"id\": \"fastqc\", \"tool\": \"FastQC\", \"inputs\": [\"reads\"], \"outputs\": [\"html\", \"zip\"]},\n    {\"id\": \"star_align\", \"tool\": \"STAR\", \"inputs\": [\"reads\", \"index\"], \"outputs\": [\"bam\"]},\n    {\"id\": \"feature_counts\", \"tool\": \"subread\", \"inputs\": [\"bam\", \"gtf\"], \"outputs\": [\"counts\"]}\n  ],\n  \"confidence\": 0.8725\n}\n",
        135,
    ),
    (
        "fn retry_after(value: &str, now: i64) -> Option<Duration> {\n    let value = value.trim();\n    if let Ok(seconds) = value.parse::<u64>() {\n        return Some(Duration::from_secs(seconds));\n    }\n    let at = http_date(value)?;\n    let seconds = u64::try_from(at - now).unwrap_or(0);\n    Some(Duration::from_secs(seconds).min(LONGEST))\n}\n",
        91,
    ),
];
