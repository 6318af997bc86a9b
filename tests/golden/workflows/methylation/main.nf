#!/usr/bin/env nextflow

nextflow.enable.dsl = 2

// DNA methylation: methylation calling, human (GRCh38)

params.fasta = null
params.input = null
params.outdir = 'results'
params.publish_dir_mode = 'copy'
params.rrbs = false
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

process TRIMGALORE_BISULFITE {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/trim-galore:0.6.10--hdfd78af_0'
    publishDir "${params.outdir}/trimgalore_bisulfite", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads)

    output:
    tuple val(meta), path("${meta.id}_{trimmed,val_1,val_2}.fq.gz"), emit: reads
    tuple val(meta), path('*trimming_report.txt'), emit: qc

    script:
    def args = task.ext.args ?: ''
    def layout = meta.single_end ? '' : '--paired'
    def library = params.rrbs ? '--rrbs' : ''
    """
    trim_galore ${args} ${library} --cores ${task.cpus} --gzip ${layout} --basename ${meta.id} ${reads}
    """

    stub:
    """
    touch ${meta.id}_val_1.fq.gz ${meta.id}_val_2.fq.gz ${meta.id}_trimming_report.txt
    """
}

process BISMARK_GENOMEPREPARATION {
    tag "${fasta}"
    label 'process_high'
    container 'quay.io/biocontainers/bismark:0.24.2--hdfd78af_0'
    publishDir "${params.outdir}/reference", mode: params.publish_dir_mode, enabled: params.save_reference

    input:
    path fasta

    output:
    path 'bismark', emit: bismark_index

    script:
    def args = task.ext.args ?: ''
    """
    mkdir bismark
    cp -L ${fasta} bismark/genome.fa
    bismark_genome_preparation --bowtie2 --parallel ${task.cpus.intdiv(2) ?: 1} ${args} bismark
    """

    stub:
    """
    mkdir -p bismark
    """
}

process BISMARK_ALIGN {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/bismark:0.24.2--hdfd78af_0'
    publishDir "${params.outdir}/bismark_align", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads)
    path bismark_index

    output:
    tuple val(meta), path("${meta.id}.bismark.bam"), emit: bismark_bam
    tuple val(meta), path("${meta.id}_bismark_report.txt"), emit: qc

    script:
    def args = task.ext.args ?: ''
    def input = meta.single_end ? "${reads}" : "-1 ${reads[0]} -2 ${reads[1]}"
    def parallel = Math.max(1, task.cpus.intdiv(4))
    """
    bismark ${args} --genome ${bismark_index} --parallel ${parallel} --bam ${input}
    mv *_bismark_bt2*.bam ${meta.id}.bismark.bam
    mv *_report.txt ${meta.id}_bismark_report.txt
    """

    stub:
    """
    touch ${meta.id}.bismark.bam ${meta.id}_bismark_report.txt
    """
}

process BISMARK_DEDUPLICATE {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/bismark:0.24.2--hdfd78af_0'
    publishDir "${params.outdir}/bismark_deduplicate", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bismark_bam)

    output:
    tuple val(meta), path("${meta.id}.deduplicated.bam"), emit: bismark_bam
    tuple val(meta), path("${meta.id}.deduplication_report.txt"), emit: qc

    script:
    def args = task.ext.args ?: ''
    def layout = meta.single_end ? '--single' : '--paired'
    """
    deduplicate_bismark ${args} ${layout} --bam --outfile ${meta.id} ${bismark_bam}
    """

    stub:
    """
    touch ${meta.id}.deduplicated.bam ${meta.id}.deduplication_report.txt
    """
}

process BISMARK_EXTRACT {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/bismark:0.24.2--hdfd78af_0'
    publishDir "${params.outdir}/bismark_extract", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bismark_bam)
    path bismark_index

    output:
    tuple val(meta), path("${meta.id}.CpG.bedGraph"), emit: methylation
    tuple val(meta), path("${meta.id}.bismark.cov.gz"), emit: coverage
    tuple val(meta), path("${meta.id}_splitting_report.txt"), path("${meta.id}.M-bias.txt"), emit: qc

    script:
    def args = task.ext.args ?: ''
    def layout = meta.single_end ? '--single-end' : '--paired-end'
    """
    bismark_methylation_extractor ${args} ${layout} --bedGraph --gzip --parallel ${task.cpus.intdiv(3) ?: 1} --genome_folder ${bismark_index} ${bismark_bam}
    mv *_splitting_report.txt ${meta.id}_splitting_report.txt
    mv *.M-bias.txt ${meta.id}.M-bias.txt
    mv *.bismark.cov.gz ${meta.id}.bismark.cov.gz
    zcat ${meta.id}.bismark.cov.gz | awk 'BEGIN { OFS = "\\t" } { print \$1, \$2 - 1, \$3, \$4, \$5, \$6 }' > ${meta.id}.CpG.bedGraph
    """

    stub:
    """
    touch ${meta.id}.CpG.bedGraph ${meta.id}.bismark.cov.gz ${meta.id}_splitting_report.txt ${meta.id}.M-bias.txt
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

    // Trim adapters and, for RRBS, the filled-in ends
    TRIMGALORE_BISULFITE(ch_reads)

    // Convert and index the genome for bisulfite reads
    BISMARK_GENOMEPREPARATION(ch_fasta)

    // Align bisulfite-converted reads
    BISMARK_ALIGN(TRIMGALORE_BISULFITE.out.reads, BISMARK_GENOMEPREPARATION.out.bismark_index)

    // Remove duplicate bisulfite alignments
    BISMARK_DEDUPLICATE(BISMARK_ALIGN.out.bismark_bam)

    // Extract methylation calls per cytosine
    BISMARK_EXTRACT(BISMARK_DEDUPLICATE.out.bismark_bam, BISMARK_GENOMEPREPARATION.out.bismark_index)

    // Gather all quality reports on one page
    MULTIQC(
        FASTQC.out.qc
            .mix(TRIMGALORE_BISULFITE.out.qc, BISMARK_ALIGN.out.qc, BISMARK_DEDUPLICATE.out.qc, BISMARK_EXTRACT.out.qc)
            .map { report -> report.drop(1) }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )
}
