#!/usr/bin/env nextflow

nextflow.enable.dsl = 2

// Long-read sequencing: structural variants, human (GRCh38)

params.fasta = null
params.input = null
params.minimap2_preset = 'map-ont'
params.outdir = 'results'
params.publish_dir_mode = 'copy'

process NANOPLOT {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/nanoplot:1.44.1--pyhdfd78af_0'
    publishDir "${params.outdir}/nanoplot", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(long_reads)

    output:
    tuple val(meta), path("${meta.id}.NanoStats.txt"), emit: qc
    tuple val(meta), path("${meta.id}.NanoPlot-report.html"), emit: html

    script:
    def args = task.ext.args ?: ''
    """
    NanoPlot ${args} --threads ${task.cpus} --fastq ${long_reads} --prefix ${meta.id}.
    """

    stub:
    """
    touch ${meta.id}.NanoStats.txt ${meta.id}.NanoPlot-report.html
    """
}

process CHOPPER {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/chopper:0.8.0--hdcf5f25_0'
    publishDir "${params.outdir}/chopper", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(long_reads)

    output:
    tuple val(meta), path("${meta.id}.filtered.fastq.gz"), emit: long_reads

    script:
    def args = task.ext.args ?: ''
    """
    zcat -f ${long_reads} | chopper ${args} --threads ${task.cpus} | gzip > ${meta.id}.filtered.fastq.gz
    """

    stub:
    """
    touch ${meta.id}.filtered.fastq.gz
    """
}

process MINIMAP2_ALIGN {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/mulled-v2-66534bcbb7031a148b13e2ad42583020b9cd25c4:3161f532a5ea6f1dec9be5667c9efc2afdac6104-0'
    publishDir "${params.outdir}/minimap2_align", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(long_reads)
    path fasta

    output:
    tuple val(meta), path("${meta.id}.sorted.bam"), path("${meta.id}.sorted.bam.bai"), emit: bam

    script:
    def args = task.ext.args ?: ''
    """
    minimap2 -a -x ${params.minimap2_preset} ${args} -t ${task.cpus} -R '@RG\\tID:${meta.id}\\tSM:${meta.id}' ${fasta} ${long_reads} \\
        | samtools sort -@ ${task.cpus} --write-index -o ${meta.id}.sorted.bam##idx##${meta.id}.sorted.bam.bai -
    """

    stub:
    """
    touch ${meta.id}.sorted.bam ${meta.id}.sorted.bam.bai
    """
}

process SAMTOOLS_STATS {
    tag "${meta.id}"
    label 'process_low'
    container 'quay.io/biocontainers/samtools:1.21--h50ea8bc_0'
    publishDir "${params.outdir}/samtools_stats", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bam), path(bai)

    output:
    tuple val(meta), path("${meta.id}.stats"), path("${meta.id}.flagstat"), emit: qc

    script:
    """
    samtools stats --threads ${task.cpus} ${bam} > ${meta.id}.stats
    samtools flagstat --threads ${task.cpus} ${bam} > ${meta.id}.flagstat
    """

    stub:
    """
    touch ${meta.id}.stats ${meta.id}.flagstat
    """
}

process SNIFFLES {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/sniffles:2.4--pyhdfd78af_0'
    publishDir "${params.outdir}/sniffles", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bam), path(bai)
    path fasta

    output:
    tuple val(meta), path("${meta.id}.sniffles.vcf"), emit: raw_vcf
    tuple val(meta), path("${meta.id}.snf"), emit: snf

    script:
    def args = task.ext.args ?: ''
    """
    sniffles ${args} --input ${bam} --reference ${fasta} --vcf ${meta.id}.sniffles.vcf --snf ${meta.id}.snf --threads ${task.cpus} --sample-id ${meta.id}
    """

    stub:
    """
    touch ${meta.id}.sniffles.vcf ${meta.id}.snf
    """
}

process BCFTOOLS_SORT {
    tag "${meta.id}"
    label 'process_low'
    container 'quay.io/biocontainers/bcftools:1.20--h8b25389_0'
    publishDir "${params.outdir}/bcftools_sort", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(raw_vcf)

    output:
    tuple val(meta), path("${meta.id}.sv.vcf.gz"), path("${meta.id}.sv.vcf.gz.tbi"), emit: vcf

    script:
    def args = task.ext.args ?: ''
    """
    bcftools sort ${args} --output-type z --output ${meta.id}.sv.vcf.gz ${raw_vcf}
    bcftools index --tbi ${meta.id}.sv.vcf.gz
    """

    stub:
    """
    touch ${meta.id}.sv.vcf.gz ${meta.id}.sv.vcf.gz.tbi
    """
}

process BCFTOOLS_STATS {
    tag "${meta.id}"
    label 'process_low'
    container 'quay.io/biocontainers/bcftools:1.20--h8b25389_0'
    publishDir "${params.outdir}/bcftools_stats", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(vcf), path(vcf_tbi)

    output:
    tuple val(meta), path("${meta.id}.bcftools_stats.txt"), emit: qc

    script:
    def args = task.ext.args ?: ''
    """
    bcftools stats ${args} --threads ${task.cpus} ${vcf} > ${meta.id}.bcftools_stats.txt
    """

    stub:
    """
    touch ${meta.id}.bcftools_stats.txt
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
    ch_long_reads = ch_rows.map { row ->
        def meta = [id: row.sample, condition: row.condition, replicate: row.replicate]
        tuple(meta, file(row.fastq, checkIfExists: true))
    }
    ch_fasta = channel.value(file(params.fasta, checkIfExists: true))

    // Report read lengths and qualities
    NANOPLOT(ch_long_reads)

    // Drop short and low-quality reads
    CHOPPER(ch_long_reads)

    // Align long reads to the genome and sort them
    MINIMAP2_ALIGN(CHOPPER.out.long_reads, ch_fasta)

    // Count alignments by kind
    SAMTOOLS_STATS(MINIMAP2_ALIGN.out.bam)

    // Call structural variants from long reads
    SNIFFLES(MINIMAP2_ALIGN.out.bam, ch_fasta)

    // Sort and index structural variants
    BCFTOOLS_SORT(SNIFFLES.out.raw_vcf)

    // Summarise the variants
    BCFTOOLS_STATS(BCFTOOLS_SORT.out.vcf)

    // Gather all quality reports on one page
    MULTIQC(
        NANOPLOT.out.qc
            .mix(SAMTOOLS_STATS.out.qc, BCFTOOLS_STATS.out.qc)
            .map { report -> report.drop(1) }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )
}
