#!/usr/bin/env nextflow

nextflow.enable.dsl = 2

// ChIP-seq: peak calling, human (GRCh38)

params.broad_peaks = false
params.effective_genome_size = 2913022398
params.fasta = null
params.gtf = null
params.input = null
params.macs_gsize = 'hs'
params.outdir = 'results'
params.publish_dir_mode = 'copy'
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

process TRIMGALORE {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/trim-galore:0.6.10--hdfd78af_0'
    publishDir "${params.outdir}/trimgalore", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads)

    output:
    tuple val(meta), path("${meta.id}_{trimmed,val_1,val_2}.fq.gz"), emit: reads
    tuple val(meta), path('*trimming_report.txt'), emit: qc

    script:
    def args = task.ext.args ?: ''
    def layout = meta.single_end ? '' : '--paired'
    """
    trim_galore ${args} --cores ${task.cpus} --gzip ${layout} --basename ${meta.id} ${reads}
    """

    stub:
    """
    touch ${meta.id}_val_1.fq.gz ${meta.id}_val_2.fq.gz ${meta.id}_trimming_report.txt
    """
}

process BOWTIE2_BUILD {
    tag "${fasta}"
    label 'process_high'
    container 'quay.io/biocontainers/bowtie2:2.5.3--py39h6fed5c7_1'
    publishDir "${params.outdir}/reference", mode: params.publish_dir_mode, enabled: params.save_reference

    input:
    path fasta

    output:
    path 'bowtie2', emit: bowtie2_index

    script:
    """
    mkdir bowtie2
    bowtie2-build --threads ${task.cpus} ${fasta} bowtie2/genome
    """

    stub:
    """
    mkdir -p bowtie2
    """
}

process BOWTIE2_ALIGN {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/mulled-v2-ac74a7f02cebcfcc07d8e8d1d750af9c83b4d45a:a0ffedb52808e102887f6ce600d092675bf3528a-0'
    publishDir "${params.outdir}/bowtie2_align", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads)
    path bowtie2_index

    output:
    tuple val(meta), path("${meta.id}.sorted.bam"), path("${meta.id}.sorted.bam.bai"), emit: bam
    tuple val(meta), path("${meta.id}.bowtie2.log"), emit: qc

    script:
    def args = task.ext.args ?: ''
    def input = meta.single_end ? "-U ${reads}" : "-1 ${reads[0]} -2 ${reads[1]}"
    """
    bowtie2 ${args} -x ${bowtie2_index}/genome ${input} --threads ${task.cpus} --rg-id ${meta.id} --rg SM:${meta.id} 2> ${meta.id}.bowtie2.log \\
        | samtools sort -@ ${task.cpus} --write-index -o ${meta.id}.sorted.bam##idx##${meta.id}.sorted.bam.bai -
    """

    stub:
    """
    touch ${meta.id}.sorted.bam ${meta.id}.sorted.bam.bai ${meta.id}.bowtie2.log
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

process SAMTOOLS_FILTER {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/samtools:1.21--h50ea8bc_0'
    publishDir "${params.outdir}/samtools_filter", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bam), path(bai)

    output:
    tuple val(meta), path("${meta.id}.filtered.bam"), path("${meta.id}.filtered.bam.bai"), emit: bam

    script:
    def args = task.ext.args ?: ''
    """
    samtools view ${args} --threads ${task.cpus} -b --write-index -o ${meta.id}.filtered.bam##idx##${meta.id}.filtered.bam.bai ${bam}
    """

    stub:
    """
    touch ${meta.id}.filtered.bam ${meta.id}.filtered.bam.bai
    """
}

process DEEPTOOLS_BAMCOVERAGE {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/deeptools:3.5.5--pyhdfd78af_0'
    publishDir "${params.outdir}/deeptools_bamcoverage", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bam), path(bai)

    output:
    tuple val(meta), path("${meta.id}.bw"), emit: bigwig

    script:
    def args = task.ext.args ?: ''
    """
    bamCoverage ${args} --effectiveGenomeSize ${params.effective_genome_size} --numberOfProcessors ${task.cpus} --bam ${bam} --outFileName ${meta.id}.bw
    """

    stub:
    """
    touch ${meta.id}.bw
    """
}

process DEEPTOOLS_FINGERPRINT {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/deeptools:3.5.5--pyhdfd78af_0'
    publishDir "${params.outdir}/deeptools_fingerprint", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bams)

    output:
    tuple val(meta), path('fingerprint.qc.txt'), path('fingerprint.raw.txt'), emit: qc
    tuple val(meta), path('fingerprint.pdf'), path('correlation.pdf'), emit: plot

    script:
    def args = task.ext.args ?: ''
    """
    plotFingerprint ${args} --bamfiles *.bam --smartLabels --numberOfProcessors ${task.cpus} \\
        --plotFile fingerprint.pdf --outRawCounts fingerprint.raw.txt --outQualityMetrics fingerprint.qc.txt
    multiBamSummary bins --bamfiles *.bam --smartLabels --numberOfProcessors ${task.cpus} --outFileName summary.npz
    plotCorrelation --corData summary.npz --corMethod spearman --whatToPlot heatmap --plotFile correlation.pdf
    """

    stub:
    """
    touch fingerprint.qc.txt fingerprint.raw.txt fingerprint.pdf correlation.pdf
    """
}

process MACS2_CALLPEAK {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/macs2:2.2.9.1--py39hf95cd2a_0'
    publishDir "${params.outdir}/macs2_callpeak", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bam), path(bai), path(control)

    output:
    tuple val(meta), path("${meta.id}_peaks.bed"), emit: peaks
    tuple val(meta), path("${meta.id}_peaks.xls"), emit: qc

    script:
    def args = task.ext.args ?: ''
    def shape = params.broad_peaks ? '--broad --broad-cutoff 0.1' : ''
    def format = meta.single_end ? 'BAM' : 'BAMPE'
    """
    macs2 callpeak ${args} ${shape} --format ${format} --gsize ${params.macs_gsize} --name ${meta.id} --treatment ${bam} --control ${control}
    cut -f 1-10 ${meta.id}_peaks.*Peak > ${meta.id}_peaks.bed
    """

    stub:
    """
    touch ${meta.id}_peaks.bed ${meta.id}_peaks.xls
    """
}

process FRIP {
    tag "${meta.id}"
    label 'process_low'
    container 'quay.io/biocontainers/bedtools:2.31.1--hf5e1c6e_2'
    publishDir "${params.outdir}/frip", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bam), path(bai), path(peaks)

    output:
    tuple val(meta), path("${meta.id}.FRiP.tsv"), emit: qc

    script:
    def args = task.ext.args ?: ''
    """
    in_peaks=\$(bedtools intersect -u -bed ${args} -abam ${bam} -b ${peaks} | wc -l)
    total=\$(bedtools bamtobed -i ${bam} | wc -l)
    awk -v n="\$in_peaks" -v t="\$total" 'BEGIN { printf "Sample\\tFRiP\\n${meta.id}\\t%.4f\\n", (t ? n / t : 0) }' > ${meta.id}.FRiP.tsv
    """

    stub:
    """
    touch ${meta.id}.FRiP.tsv
    """
}

process HOMER_ANNOTATEPEAKS {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/homer:4.11--pl5262h9f5acd7_8'
    publishDir "${params.outdir}/homer_annotatepeaks", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(peaks)
    path fasta
    path gtf

    output:
    tuple val(meta), path("${meta.id}.annotated.txt"), emit: annotated

    script:
    def args = task.ext.args ?: ''
    """
    annotatePeaks.pl ${peaks} ${fasta} -gtf ${gtf} -cpu ${task.cpus} ${args} > ${meta.id}.annotated.txt
    """

    stub:
    """
    touch ${meta.id}.annotated.txt
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
    def required = [fasta: params.fasta, gtf: params.gtf, input: params.input]
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
    ch_gtf = channel.value(file(params.gtf, checkIfExists: true))

    // Check read quality before trimming
    FASTQC(ch_reads)

    // Trim adapters and low-quality ends
    TRIMGALORE(ch_reads)

    // Build the Bowtie2 index
    BOWTIE2_BUILD(ch_fasta)

    // Align reads to the genome and sort them
    BOWTIE2_ALIGN(TRIMGALORE.out.reads, BOWTIE2_BUILD.out.bowtie2_index)

    // Mark duplicate reads
    PICARD_MARKDUPLICATES(BOWTIE2_ALIGN.out.bam)

    // Keep primary, confidently mapped, unique reads
    SAMTOOLS_FILTER(PICARD_MARKDUPLICATES.out.bam)

    // Make normalised coverage tracks
    DEEPTOOLS_BAMCOVERAGE(SAMTOOLS_FILTER.out.bam)

    // Judge enrichment and sample similarity
    DEEPTOOLS_FINGERPRINT(
        SAMTOOLS_FILTER.out.bam.map { _meta, bam, bai -> [bam, bai] }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )

    // Call peaks against the control
    ch_bam_control = SAMTOOLS_FILTER.out.bam
        .filter { meta, _bam, _bai -> meta.input_control }
        .map { meta, bam, bai -> tuple(meta.input_control, meta, bam, bai) }
        .combine(SAMTOOLS_FILTER.out.bam.map { meta, bam, _bai -> tuple(meta.id, bam) }, by: 0)
        .map { _control_id, meta, bam, bai, control -> tuple(meta, bam, bai, control) }
    MACS2_CALLPEAK(ch_bam_control)

    // Measure the fraction of reads in peaks
    FRIP(SAMTOOLS_FILTER.out.bam.join(MACS2_CALLPEAK.out.peaks))

    // Annotate peaks with the nearest genes
    HOMER_ANNOTATEPEAKS(MACS2_CALLPEAK.out.peaks, ch_fasta, ch_gtf)

    // Gather all quality reports on one page
    MULTIQC(
        FASTQC.out.qc
            .mix(TRIMGALORE.out.qc, BOWTIE2_ALIGN.out.qc, PICARD_MARKDUPLICATES.out.qc, MACS2_CALLPEAK.out.qc, FRIP.out.qc, DEEPTOOLS_FINGERPRINT.out.qc)
            .map { report -> report.drop(1) }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )
}
