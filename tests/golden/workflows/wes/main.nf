#!/usr/bin/env nextflow

nextflow.enable.dsl = 2

// WES: germline variants, human (GRCh38)

params.fasta = null
params.genome = 'GRCh38'
params.input = null
params.outdir = 'results'
params.publish_dir_mode = 'copy'
params.save_reference = false
params.species = 'homo_sapiens'
params.targets = null
params.vep_cache = null

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

process BWAMEM2_ALIGN {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/mulled-v2-e5d375990341c5aef3c9aff74f96f66f65375ef6:2d15960ccea84e249a150b7f5d4db3a42fc2d6c3-0'
    publishDir "${params.outdir}/bwamem2_align", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads)
    path bwamem2_index

    output:
    tuple val(meta), path("${meta.id}.sorted.bam"), path("${meta.id}.sorted.bam.bai"), emit: bam

    script:
    def args = task.ext.args ?: ''
    def read_group = "@RG\\tID:${meta.id}\\tSM:${meta.id}\\tPL:ILLUMINA"
    """
    bwa-mem2 mem ${args} -t ${task.cpus} -R '${read_group}' ${bwamem2_index}/genome ${reads} \\
        | samtools sort -@ ${task.cpus} --write-index -o ${meta.id}.sorted.bam##idx##${meta.id}.sorted.bam.bai -
    """

    stub:
    """
    touch ${meta.id}.sorted.bam ${meta.id}.sorted.bam.bai
    """
}

process PICARD_MARKDUPLICATES {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/picard:3.3.0--hdfd78af_0'
    publishDir "${params.outdir}/picard_markduplicates", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bam), path(bai)

    output:
    tuple val(meta), path("${meta.id}.markdup.bam"), path("${meta.id}.markdup.bai"), emit: bam
    tuple val(meta), path("${meta.id}.markdup.metrics.txt"), emit: qc

    script:
    def args = task.ext.args ?: ''
    """
    picard -Xmx${task.memory.toGiga()}g MarkDuplicates ${args} \\
        --INPUT ${bam} \\
        --OUTPUT ${meta.id}.markdup.bam \\
        --METRICS_FILE ${meta.id}.markdup.metrics.txt \\
        --CREATE_INDEX true
    """

    stub:
    """
    touch ${meta.id}.markdup.bam ${meta.id}.markdup.bai ${meta.id}.markdup.metrics.txt
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

process PICARD_DICTIONARY {
    tag "${fasta}"
    label 'process_low'
    container 'quay.io/biocontainers/picard:3.3.0--hdfd78af_0'
    publishDir "${params.outdir}/reference", mode: params.publish_dir_mode, enabled: params.save_reference

    input:
    path fasta

    output:
    path '*.dict', emit: dict

    script:
    """
    picard -Xmx${task.memory.toGiga()}g CreateSequenceDictionary --REFERENCE ${fasta} --OUTPUT ${fasta.baseName}.dict
    """

    stub:
    """
    touch stub.dict
    """
}

process PICARD_COLLECTHSMETRICS {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/picard:3.3.0--hdfd78af_0'
    publishDir "${params.outdir}/picard_collecthsmetrics", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bam), path(bai)
    path targets
    path fasta
    path fai
    path dict

    output:
    tuple val(meta), path("${meta.id}.hs_metrics.txt"), emit: qc
    tuple val(meta), path("${meta.id}.per_target.tsv"), emit: per_target

    script:
    def args = task.ext.args ?: ''
    """
    picard -Xmx${task.memory.toGiga()}g BedToIntervalList --INPUT ${targets} --SEQUENCE_DICTIONARY ${dict} --OUTPUT targets.interval_list
    picard -Xmx${task.memory.toGiga()}g CollectHsMetrics ${args} --INPUT ${bam} --OUTPUT ${meta.id}.hs_metrics.txt --REFERENCE_SEQUENCE ${fasta} \\
        --BAIT_INTERVALS targets.interval_list --TARGET_INTERVALS targets.interval_list --PER_TARGET_COVERAGE ${meta.id}.per_target.tsv
    """

    stub:
    """
    touch ${meta.id}.hs_metrics.txt ${meta.id}.per_target.tsv
    """
}

process GATK_HAPLOTYPECALLER_TARGETS {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/gatk4:4.5.0.0--py36hdfd78af_0'
    publishDir "${params.outdir}/gatk_haplotypecaller_targets", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bam), path(bai)
    path targets
    path fasta
    path fai
    path dict

    output:
    tuple val(meta), path("${meta.id}.g.vcf.gz"), path("${meta.id}.g.vcf.gz.tbi"), emit: gvcf

    script:
    def args = task.ext.args ?: ''
    """
    gatk --java-options "-Xmx${task.memory.toGiga()}g" HaplotypeCaller ${args} --input ${bam} --reference ${fasta} --intervals ${targets} --output ${meta.id}.g.vcf.gz --native-pair-hmm-threads ${task.cpus}
    """

    stub:
    """
    touch ${meta.id}.g.vcf.gz ${meta.id}.g.vcf.gz.tbi
    """
}

process GATK_GENOTYPEGVCFS {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/gatk4:4.5.0.0--py36hdfd78af_0'
    publishDir "${params.outdir}/gatk_genotypegvcfs", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(gvcfs)
    path fasta
    path fai
    path dict

    output:
    tuple val(meta), path("${meta.id}.vcf.gz"), path("${meta.id}.vcf.gz.tbi"), emit: vcf

    script:
    def args = task.ext.args ?: ''
    def input = gvcfs.findAll { file -> file.name.endsWith('.g.vcf.gz') }.collect { file -> "--variant ${file}" }.join(' ')
    """
    gatk --java-options "-Xmx${task.memory.toGiga()}g" CombineGVCFs --reference ${fasta} ${input} --output combined.g.vcf.gz
    gatk --java-options "-Xmx${task.memory.toGiga()}g" GenotypeGVCFs ${args} --reference ${fasta} --variant combined.g.vcf.gz --output ${meta.id}.vcf.gz
    """

    stub:
    """
    touch ${meta.id}.vcf.gz ${meta.id}.vcf.gz.tbi
    """
}

process GATK_FILTER {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/gatk4:4.5.0.0--py36hdfd78af_0'
    publishDir "${params.outdir}/gatk_filter", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(vcf), path(vcf_tbi)
    path fasta
    path fai
    path dict

    output:
    tuple val(meta), path("${meta.id}.filtered.vcf.gz"), path("${meta.id}.filtered.vcf.gz.tbi"), emit: vcf

    script:
    def args = task.ext.args ?: ''
    """
    gatk --java-options "-Xmx${task.memory.toGiga()}g" VariantFiltration ${args} --reference ${fasta} --variant ${vcf} --output ${meta.id}.filtered.vcf.gz
    """

    stub:
    """
    touch ${meta.id}.filtered.vcf.gz ${meta.id}.filtered.vcf.gz.tbi
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

process VEP {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/ensembl-vep:112.0--pl5321h2a3209d_0'
    publishDir "${params.outdir}/vep", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(vcf), path(vcf_tbi)
    path fasta
    path vep_cache

    output:
    tuple val(meta), path("${meta.id}.vep.vcf.gz"), emit: annotated
    tuple val(meta), path("${meta.id}.vep.summary.html"), emit: qc

    script:
    def args = task.ext.args ?: ''
    """
    vep ${args} --input_file ${vcf} --output_file ${meta.id}.vep.vcf.gz --vcf --compress_output bgzip --stats_file ${meta.id}.vep.summary.html \\
        --offline --cache --dir_cache ${vep_cache} --species ${params.species} --assembly ${params.genome} --fasta ${fasta} --fork ${task.cpus}
    """

    stub:
    """
    touch ${meta.id}.vep.vcf.gz ${meta.id}.vep.summary.html
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
    def required = [fasta: params.fasta, input: params.input, targets: params.targets, vep_cache: params.vep_cache]
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
    ch_targets = channel.value(file(params.targets, checkIfExists: true))
    ch_vep_cache = channel.value(file(params.vep_cache, checkIfExists: true))

    // Check read quality before trimming
    FASTQC(ch_reads)

    // Trim adapters and filter low-quality reads
    FASTP(ch_reads)

    // Build the BWA-MEM2 index
    BWAMEM2_INDEX(ch_fasta)

    // Align reads to the genome and sort them
    BWAMEM2_ALIGN(FASTP.out.reads, BWAMEM2_INDEX.out.bwamem2_index)

    // Mark duplicate reads
    PICARD_MARKDUPLICATES(BWAMEM2_ALIGN.out.bam)

    // Index the reference genome
    SAMTOOLS_FAIDX(ch_fasta)

    // Write the sequence dictionary of the reference
    PICARD_DICTIONARY(ch_fasta)

    // Measure capture efficiency and on-target coverage
    PICARD_COLLECTHSMETRICS(
        PICARD_MARKDUPLICATES.out.bam,
        ch_targets,
        ch_fasta,
        SAMTOOLS_FAIDX.out.fai,
        PICARD_DICTIONARY.out.dict
    )

    // Call variants in the capture targets of each sample as a GVCF
    GATK_HAPLOTYPECALLER_TARGETS(
        PICARD_MARKDUPLICATES.out.bam,
        ch_targets,
        ch_fasta,
        SAMTOOLS_FAIDX.out.fai,
        PICARD_DICTIONARY.out.dict
    )

    // Genotype all samples together
    GATK_GENOTYPEGVCFS(
        GATK_HAPLOTYPECALLER_TARGETS.out.gvcf.map { _meta, gvcf, gvcf_tbi -> [gvcf, gvcf_tbi] }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) },
        ch_fasta,
        SAMTOOLS_FAIDX.out.fai,
        PICARD_DICTIONARY.out.dict
    )

    // Mark variants that fail hard filters
    GATK_FILTER(
        GATK_GENOTYPEGVCFS.out.vcf,
        ch_fasta,
        SAMTOOLS_FAIDX.out.fai,
        PICARD_DICTIONARY.out.dict
    )

    // Summarise the variants
    BCFTOOLS_STATS(GATK_FILTER.out.vcf)

    // Annotate variants with consequences
    VEP(GATK_FILTER.out.vcf, ch_fasta, ch_vep_cache)

    // Gather all quality reports on one page
    MULTIQC(
        FASTQC.out.qc
            .mix(FASTP.out.qc, PICARD_MARKDUPLICATES.out.qc, PICARD_COLLECTHSMETRICS.out.qc, BCFTOOLS_STATS.out.qc, VEP.out.qc)
            .map { report -> report.drop(1) }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )
}
