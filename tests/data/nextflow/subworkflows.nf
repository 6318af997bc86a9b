#!/usr/bin/env nextflow

include { FASTQC } from './modules/fastqc'
include { FASTQC as FASTQC_TRIMMED } from './modules/fastqc'
include {
    MULTIQC
    checkSamples
} from './modules/report'
include { paramsSummary } from 'plugin/nf-schema'

def helpMessage() {
    println "nextflow run main.nf --input samples.csv"
}

process SUBSAMPLE {
    tag { meta.id }
    label 'process_low'
    if (workflow.containerEngine == 'singularity') {
        container 'https://depot.galaxyproject.org/singularity/seqtk:1.4--he4a0461_1'
    } else {
        container 'quay.io/biocontainers/seqtk:1.4--he4a0461_1'
    }

    input:
    tuple val(meta), path(reads)
    val fraction

    output:
    tuple val(meta), path('*.sub.fq.gz'), emit: reads
    env 'KEPT', emit: kept

    script:
    def seed = task.ext.seed ?: 100
    """
    seqtk sample -s$seed $reads $fraction | gzip > ${meta.id}.sub.fq.gz
    KEPT=\$(zcat ${meta.id}.sub.fq.gz | wc -l)
    """
}

process GATHER {
    label 'process_single'
    container 'docker.io/library/debian:12.5-slim'

    input:
    path tables

    output:
    path 'all.tsv', emit: table

    script:
    """
    cat $tables > all.tsv
    """
}

workflow QC {
    take:
    reads     // [ meta, fastq ]
    fraction  // how much of it

    main:
    SUBSAMPLE(reads, fraction)
    FASTQC(SUBSAMPLE.out.reads)
    ch_zip = FASTQC.out.zip
    if (params.trim) {
        FASTQC_TRIMMED(reads)
        ch_zip = ch_zip.mix(FASTQC_TRIMMED.out.zip)
    } else if (params.verbose) {
        log.info "no trimming"
    }
    (low, high) = SUBSAMPLE.out.kept.branch { n ->
        low: n.toInteger() < 100
        high: true
    }

    emit:
    zip = ch_zip
    kept = SUBSAMPLE.out.kept
    low
}

workflow PIPELINE {
    take:
    samples

    main:
    def half = 0.5
    QC(checkSamples(samples), half)
    QC.out.zip
        .map { meta, zip -> zip }
        .multiMap { zip ->
            first: zip
            second: zip
        }
        .set { zips }
    MULTIQC(zips.first.collect(), params.title ?: '')
    table = GATHER(zips.second.collect()).table

    emit:
    report = MULTIQC.out.report
    table
    samples = params.keep ? samples : Channel.empty()
}

workflow {
    main:
    if (params.help) {
        helpMessage()
        exit 0
    }
    log.info paramsSummary(workflow)
    ch_input = Channel.fromPath(params.input).splitCsv(header: true).map { row -> [[id: row.id], file(row.fastq)] }
    PIPELINE(ch_input)

    publish:
    report = PIPELINE.out.report
    table = PIPELINE.out.table
}

output {
    report {
        path 'report'
    }
    table {
        path 'table'
        mode 'copy'
    }
}
