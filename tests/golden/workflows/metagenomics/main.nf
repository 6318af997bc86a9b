#!/usr/bin/env nextflow

nextflow.enable.dsl = 2

// Metagenomics: assembly and binning, human (GRCh38)

params.checkm2_db = null
params.input = null
params.outdir = 'results'
params.publish_dir_mode = 'copy'

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

process FASTP {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/fastp:0.23.4--hadf994f_3'
    publishDir "${params.outdir}/fastp", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads)

    output:
    tuple val(meta), path("${meta.id}_{1,2}.trimmed.fastq.gz"), emit: reads
    tuple val(meta), path("${meta.id}.fastp.json"), emit: qc
    tuple val(meta), path("${meta.id}.fastp.html"), emit: html

    script:
    def args = task.ext.args ?: ''
    def input = meta.single_end ? "--in1 ${reads}" : "--in1 ${reads[0]} --in2 ${reads[1]} --detect_adapter_for_pe"
    def output = "--out1 ${meta.id}_1.trimmed.fastq.gz" + (meta.single_end ? '' : " --out2 ${meta.id}_2.trimmed.fastq.gz")
    """
    fastp ${args} ${input} ${output} \\
        --json ${meta.id}.fastp.json \\
        --html ${meta.id}.fastp.html \\
        --thread ${task.cpus}
    """

    stub:
    """
    touch ${meta.id}_{1,2}.trimmed.fastq.gz ${meta.id}.fastp.json ${meta.id}.fastp.html
    """
}

process MEGAHIT {
    tag "${meta.id}"
    label 'process_high_memory'
    container 'quay.io/biocontainers/megahit:1.2.9--h5b5514e_2'
    publishDir "${params.outdir}/megahit", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads)

    output:
    tuple val(meta), path("${meta.id}.contigs.fa"), emit: contigs

    script:
    def args = task.ext.args ?: ''
    def input = meta.single_end ? "-r ${reads}" : "-1 ${reads[0]} -2 ${reads[1]}"
    """
    megahit ${args} ${input} -t ${task.cpus} --out-dir megahit --out-prefix ${meta.id}
    mv megahit/${meta.id}.contigs.fa .
    """

    stub:
    """
    touch ${meta.id}.contigs.fa
    """
}

process METAQUAST {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/quast:5.2.0--py39pl5321h2add14b_2'
    publishDir "${params.outdir}/metaquast", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(contig_files)

    output:
    tuple val(meta), path('quast'), emit: qc

    script:
    def args = task.ext.args ?: ''
    """
    metaquast.py ${args} --threads ${task.cpus} --output-dir quast ${contig_files}
    """

    stub:
    """
    mkdir -p quast
    """
}

process BOWTIE2_CONTIGS {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/mulled-v2-ac74a7f02cebcfcc07d8e8d1d750af9c83b4d45a:a0ffedb52808e102887f6ce600d092675bf3528a-0'
    publishDir "${params.outdir}/bowtie2_contigs", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads), path(contigs)

    output:
    tuple val(meta), path("${meta.id}.contigs.bam"), path("${meta.id}.contigs.bam.bai"), emit: bam

    script:
    def args = task.ext.args ?: ''
    def input = meta.single_end ? "-U ${reads}" : "-1 ${reads[0]} -2 ${reads[1]}"
    """
    bowtie2-build --threads ${task.cpus} ${contigs} contigs
    bowtie2 ${args} -x contigs ${input} --threads ${task.cpus} \\
        | samtools sort -@ ${task.cpus} --write-index -o ${meta.id}.contigs.bam##idx##${meta.id}.contigs.bam.bai -
    """

    stub:
    """
    touch ${meta.id}.contigs.bam ${meta.id}.contigs.bam.bai
    """
}

process METABAT2 {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/metabat2:2.15--h986a166_1'
    publishDir "${params.outdir}/metabat2", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(contigs), path(bam), path(bai)

    output:
    tuple val(meta), path("${meta.id}.bins"), emit: bins
    tuple val(meta), path("${meta.id}.depth.txt"), emit: depth

    script:
    def args = task.ext.args ?: ''
    """
    jgi_summarize_bam_contig_depths --outputDepth ${meta.id}.depth.txt ${bam}
    metabat2 ${args} --inFile ${contigs} --abdFile ${meta.id}.depth.txt --outFile ${meta.id}.bins/${meta.id} --numThreads ${task.cpus}
    """

    stub:
    """
    mkdir -p ${meta.id}.bins
    touch ${meta.id}.depth.txt
    """
}

process CHECKM2 {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/checkm2:1.0.1--pyh7cba7a3_0'
    publishDir "${params.outdir}/checkm2", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bins)
    path checkm2_db

    output:
    tuple val(meta), path("${meta.id}.checkm2.tsv"), emit: qc

    script:
    def args = task.ext.args ?: ''
    """
    checkm2 predict ${args} --threads ${task.cpus} --input ${bins} --database_path ${checkm2_db} --output-directory checkm2
    cp checkm2/quality_report.tsv ${meta.id}.checkm2.tsv
    """

    stub:
    """
    touch ${meta.id}.checkm2.tsv
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
    def required = [checkm2_db: params.checkm2_db, input: params.input]
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
    ch_checkm2_db = channel.value(file(params.checkm2_db, checkIfExists: true))

    // Check read quality before trimming
    FASTQC(ch_reads)

    // Trim adapters and filter low-quality reads
    FASTP(ch_reads)

    // Assemble the metagenome with succinct de Bruijn graphs
    MEGAHIT(FASTP.out.reads)

    // Measure the contiguity of the assemblies
    METAQUAST(
        MEGAHIT.out.contigs.map { _meta, contigs -> contigs }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )

    // Map reads back to the contigs for coverage
    BOWTIE2_CONTIGS(FASTP.out.reads.join(MEGAHIT.out.contigs))

    // Bin contigs by coverage and composition
    METABAT2(MEGAHIT.out.contigs.join(BOWTIE2_CONTIGS.out.bam))

    // Judge completeness and contamination of the bins
    CHECKM2(METABAT2.out.bins, ch_checkm2_db)

    // Gather all quality reports on one page
    MULTIQC(
        FASTQC.out.qc
            .mix(FASTP.out.qc, CHECKM2.out.qc, METAQUAST.out.qc)
            .map { report -> report.drop(1) }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )
}
