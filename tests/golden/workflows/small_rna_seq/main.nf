#!/usr/bin/env nextflow

nextflow.enable.dsl = 2

// Small RNA-seq: quantification, human (GRCh38)

params.adapter = 'AGATCGGAAGAGC'
params.fasta = null
params.input = null
params.mirna_gff = null
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

process BOWTIE_BUILD {
    tag "${fasta}"
    label 'process_high'
    container 'quay.io/biocontainers/bowtie:1.3.1--py310h4971c18_8'
    publishDir "${params.outdir}/reference", mode: params.publish_dir_mode, enabled: params.save_reference

    input:
    path fasta

    output:
    path 'bowtie', emit: bowtie_index

    script:
    """
    mkdir bowtie
    bowtie-build --threads ${task.cpus} ${fasta} bowtie/genome
    """

    stub:
    """
    mkdir -p bowtie
    """
}

process BOWTIE_ALIGN {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/mulled-v2-ffbf83a6b0ab6ec567a336cf349b80637135bca3:c84c7c55c45af231883d9ff4fe706ac44c479c36-0'
    publishDir "${params.outdir}/bowtie_align", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads)
    path bowtie_index

    output:
    tuple val(meta), path("${meta.id}.sorted.bam"), path("${meta.id}.sorted.bam.bai"), emit: bam
    tuple val(meta), path("${meta.id}.bowtie.log"), emit: qc

    script:
    def args = task.ext.args ?: ''
    """
    bowtie ${args} --threads ${task.cpus} -S -x ${bowtie_index}/genome -q <(zcat -f ${reads}) 2> ${meta.id}.bowtie.log \\
        | samtools view -b -F 4 - \\
        | samtools sort -@ ${task.cpus} -o ${meta.id}.sorted.bam -
    samtools index ${meta.id}.sorted.bam
    """

    stub:
    """
    touch ${meta.id}.sorted.bam ${meta.id}.sorted.bam.bai ${meta.id}.bowtie.log
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

process FEATURECOUNTS_MIRNA {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/subread:2.0.3--h7132678_1'
    publishDir "${params.outdir}/featurecounts_mirna", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bam), path(bai)
    path mirna_gff

    output:
    tuple val(meta), path("${meta.id}.featureCounts.txt"), emit: counts
    tuple val(meta), path("${meta.id}.featureCounts.txt.summary"), emit: qc

    script:
    def args = task.ext.args ?: ''
    """
    featureCounts ${args} -T ${task.cpus} -a ${mirna_gff} -o ${meta.id}.featureCounts.txt ${bam}
    """

    stub:
    """
    touch ${meta.id}.featureCounts.txt ${meta.id}.featureCounts.txt.summary
    """
}

process MERGE_COUNTS {
    tag "${meta.id}"
    label 'process_low'
    container 'quay.io/biocontainers/pandas:1.5.2'
    publishDir "${params.outdir}/merge_counts", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(count_files)

    output:
    tuple val(meta), path('counts.tsv'), emit: matrix

    script:
    """
    #!/usr/bin/env python3
    import glob
    import pandas as pd

    COLUMNS = ['NumReads', 'est_counts', 'expected_count', 'count']
    merged = {}
    for path in sorted(glob.glob('*')):
        if path.startswith('.') or path == 'counts.tsv':
            continue
        table = pd.read_csv(path, sep='\\t', comment='#', index_col=0)
        known = [name for name in COLUMNS if name in table.columns]
        merged[path.split('.')[0]] = table[known[0]] if known else table.iloc[:, -1]
    pd.DataFrame(merged).fillna(0).round().astype(int).to_csv('counts.tsv', sep='\\t', index_label='gene_id')
    """

    stub:
    """
    touch counts.tsv
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
    def required = [fasta: params.fasta, input: params.input, mirna_gff: params.mirna_gff]
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
    ch_mirna_gff = channel.value(file(params.mirna_gff, checkIfExists: true))

    // Check read quality before trimming
    FASTQC(ch_reads)

    // Remove adapters
    CUTADAPT(ch_reads)

    // Build the Bowtie index
    BOWTIE_BUILD(ch_fasta)

    // Align small RNA reads to the genome
    BOWTIE_ALIGN(CUTADAPT.out.reads, BOWTIE_BUILD.out.bowtie_index)

    // Count alignments by kind
    SAMTOOLS_STATS(BOWTIE_ALIGN.out.bam)

    // Count reads per mature miRNA
    FEATURECOUNTS_MIRNA(BOWTIE_ALIGN.out.bam, ch_mirna_gff)

    // Merge the counts of all samples into one matrix
    MERGE_COUNTS(
        FEATURECOUNTS_MIRNA.out.counts.map { _meta, counts -> counts }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )

    // Gather all quality reports on one page
    MULTIQC(
        FASTQC.out.qc
            .mix(CUTADAPT.out.qc, BOWTIE_ALIGN.out.qc, SAMTOOLS_STATS.out.qc, FEATURECOUNTS_MIRNA.out.qc)
            .map { report -> report.drop(1) }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )
}
