#!/usr/bin/env nextflow

nextflow.enable.dsl = 2

// Hi-C: contact matrices, human (GRCh38)

params.fasta = null
params.input = null
params.outdir = 'results'
params.publish_dir_mode = 'copy'
params.resolution = 10000
params.save_reference = false

process FASTQC {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/fastqc:0.12.1--hdfd78af_0'
    publishDir "${params.outdir}/fastqc", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads)

    output:
    tuple val(meta), path('*.html'), emit: html
    tuple val(meta), path('*.zip'), emit: qc

    script:
    def args = task.ext.args ?: ''
    """
    fastqc ${args} --threads ${task.cpus} ${reads}
    """

    stub:
    """
    touch ${meta.id}_fastqc.html ${meta.id}_fastqc.zip
    """
}

process BWAMEM2_INDEX {
    tag "${fasta}"
    label 'process_high_memory'
    container 'quay.io/biocontainers/bwa-mem2:2.2.1--he70b90d_6'
    publishDir "${params.outdir}/reference", mode: params.publish_dir_mode, enabled: params.save_reference

    input:
    path fasta

    output:
    path 'bwamem2', emit: bwamem2_index

    script:
    """
    mkdir bwamem2
    bwa-mem2 index -p bwamem2/genome ${fasta}
    """

    stub:
    """
    mkdir -p bwamem2
    """
}

process BWAMEM2_HIC {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/mulled-v2-e5d375990341c5aef3c9aff74f96f66f65375ef6:2d15960ccea84e249a150b7f5d4db3a42fc2d6c3-0'
    publishDir "${params.outdir}/bwamem2_hic", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads)
    path bwamem2_index

    output:
    tuple val(meta), path("${meta.id}.hic.bam"), emit: hic_bam

    script:
    def args = task.ext.args ?: ''
    """
    bwa-mem2 mem ${args} -t ${task.cpus} ${bwamem2_index}/genome ${reads} | samtools view -@ ${task.cpus} -b -o ${meta.id}.hic.bam -
    """

    stub:
    """
    touch ${meta.id}.hic.bam
    """
}

process SAMTOOLS_FAIDX {
    tag "${fasta}"
    label 'process_low'
    container 'quay.io/biocontainers/samtools:1.21--h50ea8bc_0'
    publishDir "${params.outdir}/reference", mode: params.publish_dir_mode, enabled: params.save_reference

    input:
    path fasta

    output:
    path '*.fai', emit: fai
    path '*.sizes', emit: sizes

    script:
    """
    samtools faidx ${fasta}
    cut -f 1,2 ${fasta}.fai > ${fasta}.sizes
    """

    stub:
    """
    touch stub.fai stub.sizes
    """
}

process PAIRTOOLS {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/pairtools:1.0.2--py39h2a9f597_0'
    publishDir "${params.outdir}/pairtools", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(hic_bam)
    path sizes

    output:
    tuple val(meta), path("${meta.id}.pairs.gz"), emit: pairs
    tuple val(meta), path("${meta.id}.dedup.stats.txt"), emit: qc

    script:
    def args = task.ext.args ?: ''
    """
    pairtools parse ${args} --chroms-path ${sizes} ${hic_bam} \\
        | pairtools sort --nproc ${task.cpus} \\
        | pairtools dedup --output-stats ${meta.id}.dedup.stats.txt \\
        | pairtools select '(pair_type == "UU") or (pair_type == "UR") or (pair_type == "RU")' --output ${meta.id}.pairs.gz
    """

    stub:
    """
    touch ${meta.id}.pairs.gz ${meta.id}.dedup.stats.txt
    """
}

process COOLER_CLOAD {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/cooler:0.10.2--pyhdfd78af_0'
    publishDir "${params.outdir}/cooler_cload", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(pairs)
    path sizes

    output:
    tuple val(meta), path("${meta.id}.mcool"), emit: mcool
    tuple val(meta), path("${meta.id}.cool"), emit: cool

    script:
    def args = task.ext.args ?: ''
    """
    cooler cload pairs --chrom1 2 --pos1 3 --chrom2 4 --pos2 5 ${sizes}:${params.resolution} ${pairs} ${meta.id}.cool
    cooler balance --nproc ${task.cpus} ${meta.id}.cool
    cooler zoomify ${args} --nproc ${task.cpus} --out ${meta.id}.mcool ${meta.id}.cool
    """

    stub:
    """
    touch ${meta.id}.mcool ${meta.id}.cool
    """
}

process MULTIQC {
    tag "${meta.id}"
    label 'process_low'
    container 'quay.io/biocontainers/multiqc:1.25.1--pyhdfd78af_0'
    publishDir "${params.outdir}/multiqc", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reports)

    output:
    tuple val(meta), path('multiqc_report.html'), emit: report
    tuple val(meta), path('multiqc_data'), emit: data

    script:
    def args = task.ext.args ?: ''
    """
    multiqc ${args} .
    """

    stub:
    """
    mkdir -p multiqc_data
    touch multiqc_report.html
    """
}

workflow {
    def required = [fasta: params.fasta, input: params.input]
    required.each { name, value ->
        if (!value) {
            error("--${name} is missing, see README.md")
        }
    }

    ch_rows = channel.fromPath(params.input, checkIfExists: true).splitCsv(header: true)
    ch_reads = ch_rows.map { row ->
        def meta = [id: row.sample, condition: row.condition, replicate: row.replicate, single_end: !row.fastq_2]
        tuple(meta, row.fastq_2 ? [file(row.fastq_1, checkIfExists: true), file(row.fastq_2, checkIfExists: true)] : [file(row.fastq_1, checkIfExists: true)])
    }
    ch_fasta = channel.value(file(params.fasta, checkIfExists: true))

    // Check read quality before trimming
    FASTQC(ch_reads)

    // Build the BWA-MEM2 index
    BWAMEM2_INDEX(ch_fasta)

    // Align both ends of the pairs on their own
    BWAMEM2_HIC(ch_reads, BWAMEM2_INDEX.out.bwamem2_index)

    // Index the reference genome
    SAMTOOLS_FAIDX(ch_fasta)

    // Parse, sort and deduplicate contact pairs
    PAIRTOOLS(BWAMEM2_HIC.out.hic_bam, SAMTOOLS_FAIDX.out.sizes)

    // Bin the pairs into a balanced multi-resolution matrix
    COOLER_CLOAD(PAIRTOOLS.out.pairs, SAMTOOLS_FAIDX.out.sizes)

    // Gather all quality reports on one page
    MULTIQC(
        FASTQC.out.qc
            .mix(PAIRTOOLS.out.qc)
            .map { report -> report.drop(1) }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )
}
