#!/usr/bin/env nextflow

nextflow.enable.dsl = 2

// CRISPR: pooled screen, human (GRCh38)

params.adapter = 'AGATCGGAAGAGC'
params.control = 'control'
params.guide_library = null
params.input = null
params.outdir = 'results'
params.publish_dir_mode = 'copy'
params.treatment = 'treated'

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

process CUTADAPT {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/cutadapt:4.7--py310h4b81fae_1'
    publishDir "${params.outdir}/cutadapt", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads)

    output:
    tuple val(meta), path("${meta.id}_{1,2}.cut.fastq.gz"), emit: reads
    tuple val(meta), path("${meta.id}.cutadapt.log"), emit: qc

    script:
    def args = task.ext.args ?: ''
    def adapters = meta.single_end ? "-a ${params.adapter}" : "-a ${params.adapter} -A ${params.adapter}"
    def output = "-o ${meta.id}_1.cut.fastq.gz" + (meta.single_end ? '' : " -p ${meta.id}_2.cut.fastq.gz")
    """
    cutadapt ${args} --cores ${task.cpus} ${adapters} ${output} ${reads} > ${meta.id}.cutadapt.log
    """

    stub:
    """
    touch ${meta.id}_{1,2}.cut.fastq.gz ${meta.id}.cutadapt.log
    """
}

process MAGECK_COUNT {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/mageck:0.5.9.5--py39h1f90b4d_3'
    publishDir "${params.outdir}/mageck_count", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(all_reads)
    path guide_library

    output:
    tuple val(meta), path('screen.count.txt'), emit: guide_counts
    tuple val(meta), path('screen.countsummary.txt'), emit: qc

    script:
    def args = task.ext.args ?: ''
    def first = all_reads.findAll { file -> !(file.name =~ /(_2|_R2|val_2)\./) }
    def labels = first.collect { file -> file.name.replaceAll(/(_1|_R1|_trimmed|_val_1)?(\.cut|\.trimmed)?\.(fastq|fq)(\.gz)?$/, '') }.join(',')
    """
    mageck count ${args} --list-seq ${guide_library} --fastq ${first.join(' ')} --sample-label ${labels} --output-prefix screen
    """

    stub:
    """
    touch screen.count.txt screen.countsummary.txt
    """
}

process MAGECK_TEST {
    tag "${meta.id}"
    label 'process_low'
    container 'quay.io/biocontainers/mageck:0.5.9.5--py39h1f90b4d_3'
    publishDir "${params.outdir}/mageck_test", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(guide_counts)
    path samplesheet

    output:
    tuple val(meta), path('screen.gene_summary.txt'), emit: results
    tuple val(meta), path('screen.sgrna_summary.txt'), emit: guide_results

    script:
    def args = task.ext.args ?: ''
    """
    names() {
        awk -F, -v want="\$1" 'NR == 1 { for (i = 1; i <= NF; i++) col[\$i] = i } NR > 1 && \$col["condition"] == want { print \$col["sample"] }' ${samplesheet} | paste -sd,
    }
    mageck test ${args} --count-table ${guide_counts} --treatment-id "\$(names ${params.treatment})" --control-id "\$(names ${params.control})" --output-prefix screen
    """

    stub:
    """
    touch screen.gene_summary.txt screen.sgrna_summary.txt
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
    def required = [guide_library: params.guide_library, input: params.input]
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
    ch_guide_library = channel.value(file(params.guide_library, checkIfExists: true))
    ch_samplesheet = channel.value(file(params.input, checkIfExists: true))

    // Check read quality before trimming
    FASTQC(ch_reads)

    // Remove adapters
    CUTADAPT(ch_reads)

    // Count guides per sample
    MAGECK_COUNT(
        CUTADAPT.out.reads.map { _meta, reads -> reads }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) },
        ch_guide_library
    )

    // Rank genes by robust rank aggregation of their guides
    MAGECK_TEST(MAGECK_COUNT.out.guide_counts, ch_samplesheet)

    // Gather all quality reports on one page
    MULTIQC(
        FASTQC.out.qc
            .mix(CUTADAPT.out.qc, MAGECK_COUNT.out.qc)
            .map { report -> report.drop(1) }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )
}
