#!/usr/bin/env nextflow
// Reads to counts: trimming, alignment, counting and one report.

nextflow.enable.dsl = 2

params.input  = "${projectDir}/assets/samples.csv"
params.genome = "${projectDir}/assets/genome.fa"
params.gtf    = "${projectDir}/assets/genes.gtf"
params.outdir = 'results'
params.strand = 2

process TRIM {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/fastp:0.23.4--h5f740d0_0'
    publishDir "${params.outdir}/trimmed", mode: 'copy', pattern: '*.json'

    input:
    tuple val(meta), path(reads)

    output:
    tuple val(meta), path('*.trimmed.fastq.gz'), emit: reads
    path '*.json', emit: json

    script:
    """
    fastp \\
        --in1 ${reads[0]} \\
        --in2 ${reads[1]} \\
        --out1 ${meta.id}_1.trimmed.fastq.gz \\
        --out2 ${meta.id}_2.trimmed.fastq.gz \\
        --thread ${task.cpus} \\
        --json ${meta.id}.json
    """

    stub:
    """
    touch ${meta.id}_1.trimmed.fastq.gz ${meta.id}_2.trimmed.fastq.gz ${meta.id}.json
    """
}

process INDEX {
    cpus 8
    memory '36 GB'
    container 'quay.io/biocontainers/star:2.7.11b--h43eeafb_0'

    input:
    path genome
    path gtf

    output:
    path 'index'

    script:
    """
    STAR --runMode genomeGenerate --genomeDir index \\
        --genomeFastaFiles $genome --sjdbGTFfile $gtf --runThreadN $task.cpus
    """
}

process ALIGN {
    tag "${meta.id}"
    cpus 8
    memory { 36.GB * task.attempt }
    time '6h'
    errorStrategy 'retry'
    maxRetries 2
    container 'quay.io/biocontainers/star:2.7.11b--h43eeafb_0'
    publishDir "${params.outdir}/aligned", mode: 'copy'

    input:
    tuple val(meta), path(reads)
    path index

    output:
    tuple val(meta), path("${meta.id}.bam"), emit: bam
    path "${meta.id}.Log.final.out", emit: log

    script:
    def prefix = meta.id
    """
    # STAR writes to the working directory, never to /home or anywhere else
    export TMP_COUNT=\$(ls | wc -l)
    STAR --genomeDir $index --readFilesIn ${reads.join(' ')} --readFilesCommand zcat \\
        --outSAMtype BAM SortedByCoordinate --outFileNamePrefix ${prefix}. --runThreadN $task.cpus
    mv ${prefix}.Aligned.sortedByCoord.out.bam ${prefix}.bam
    echo "files before: \${TMP_COUNT}, free: \$(df . | awk 'NR == 2 {print \$4}')" 2> /dev/null
    """
}

process COUNT {
    label 'process_low'
    container 'quay.io/biocontainers/subread:2.0.6--he4a0461_0'
    publishDir "${params.outdir}/counts", mode: 'copy'

    input:
    path bams
    path gtf

    output:
    path 'counts.txt', emit: counts
    path 'counts.txt.summary', emit: summary

    script:
    """
    featureCounts -p -s ${params.strand} -T ${task.cpus} -a ${gtf} -o counts.txt ${bams}
    """
}

process REPORT {
    label 'process_single'
    container 'quay.io/biocontainers/multiqc:1.21--pyhdfd78af_0'
    publishDir params.outdir, mode: 'copy'

    input:
    path '*'

    output:
    path 'multiqc_report.html'

    script:
    '''
    multiqc . --filename multiqc_report.html
    '''
}

workflow {
    ch_reads = Channel
        .fromPath(params.input, checkIfExists: true)
        .splitCsv(header: true)
        .map { row -> [[id: row.sample], [file(row.fastq_1), file(row.fastq_2)]] }

    TRIM(ch_reads)
    INDEX(file(params.genome), file(params.gtf))
    ALIGN(TRIM.out.reads, INDEX.out)

    ch_bams = ALIGN.out.bam.map { meta, bam -> bam }.collect()
    COUNT(ch_bams, file(params.gtf))

    ch_logs = TRIM.out.json.mix(ALIGN.out.log, COUNT.out.summary)
    REPORT(ch_logs.collect())
}

workflow.onComplete {
    log.info "results are in ${params.outdir}, ${workflow.success ? 'all is well' : 'look at the log'}"
}
