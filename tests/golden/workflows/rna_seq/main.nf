#!/usr/bin/env nextflow

nextflow.enable.dsl = 2

// RNA-seq: gene expression, human (GRCh38)

params.control = 'control'
params.fasta = null
params.gtf = null
params.input = null
params.outdir = 'results'
params.publish_dir_mode = 'copy'
params.save_reference = false
params.strandedness = 'reverse'
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

process STAR_GENOMEGENERATE {
    tag "${fasta}"
    label 'process_high_memory'
    container 'quay.io/biocontainers/star:2.7.11b--h43eeafb_2'
    publishDir "${params.outdir}/reference", mode: params.publish_dir_mode, enabled: params.save_reference

    input:
    path fasta
    path gtf

    output:
    path 'star', emit: star_index

    script:
    def args = task.ext.args ?: ''
    """
    mkdir star
    STAR --runMode genomeGenerate ${args} --genomeDir star --genomeFastaFiles ${fasta} --sjdbGTFfile ${gtf} --runThreadN ${task.cpus}
    """

    stub:
    """
    mkdir -p star
    """
}

process STAR_ALIGN {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/mulled-v2-1fa26d1ce03c295fe2fdcf85831a92fbcbd7e8c2:1df389393721fc66f3fd8778ad938ac711951107-0'
    publishDir "${params.outdir}/star_align", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads)
    path star_index
    path gtf

    output:
    tuple val(meta), path("${meta.id}.Aligned.sortedByCoord.out.bam"), path("${meta.id}.Aligned.sortedByCoord.out.bam.bai"), emit: bam
    tuple val(meta), path("${meta.id}.Log.final.out"), emit: qc
    tuple val(meta), path("${meta.id}.SJ.out.tab"), emit: junctions

    script:
    def args = task.ext.args ?: ''
    """
    STAR ${args} \\
        --genomeDir ${star_index} \\
        --sjdbGTFfile ${gtf} \\
        --readFilesIn ${reads} \\
        --readFilesCommand zcat \\
        --runThreadN ${task.cpus} \\
        --outSAMtype BAM SortedByCoordinate \\
        --outSAMattrRGline ID:${meta.id} SM:${meta.id} \\
        --outFileNamePrefix ${meta.id}.
    samtools index -@ ${task.cpus} ${meta.id}.Aligned.sortedByCoord.out.bam
    """

    stub:
    """
    touch ${meta.id}.Aligned.sortedByCoord.out.bam ${meta.id}.Aligned.sortedByCoord.out.bam.bai ${meta.id}.Log.final.out ${meta.id}.SJ.out.tab
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

process FEATURECOUNTS {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/subread:2.0.3--h7132678_1'
    publishDir "${params.outdir}/featurecounts", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bam), path(bai)
    path gtf

    output:
    tuple val(meta), path("${meta.id}.featureCounts.txt"), emit: counts
    tuple val(meta), path("${meta.id}.featureCounts.txt.summary"), emit: qc

    script:
    def args = task.ext.args ?: ''
    def layout = meta.single_end ? '' : '-p --countReadPairs'
    def strand = [unstranded: 0, forward: 1, reverse: 2][params.strandedness]
    """
    featureCounts ${args} ${layout} -s ${strand} -T ${task.cpus} -a ${gtf} -o ${meta.id}.featureCounts.txt ${bam}
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

process DESEQ2 {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/bioconductor-deseq2:1.38.0--r42hc247a5b_0'
    publishDir "${params.outdir}/deseq2", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(matrix)
    path samplesheet

    output:
    tuple val(meta), path('deseq2_results.csv'), emit: results
    tuple val(meta), path('normalized_counts.csv'), emit: normalized
    tuple val(meta), path('pca.pdf'), emit: plot

    script:
    """
    #!/usr/bin/env Rscript
    library(DESeq2)
    counts <- as.matrix(read.delim("${matrix}", row.names = 1, check.names = FALSE))
    samples <- read.csv("${samplesheet}")
    samples <- samples[match(colnames(counts), samples[["sample"]]), ]
    samples[["condition"]] <- relevel(factor(samples[["condition"]]), ref = "${params.control}")
    dds <- DESeqDataSetFromMatrix(counts, samples, design = ~ condition)
    dds <- DESeq(dds[rowSums(counts(dds)) >= 10, ])
    result <- results(dds, contrast = c("condition", "${params.treatment}", "${params.control}"), alpha = 0.05)
    write.csv(as.data.frame(result[order(result[["padj"]]), ]), "deseq2_results.csv")
    write.csv(counts(dds, normalized = TRUE), "normalized_counts.csv")
    pdf("pca.pdf"); print(plotPCA(vst(dds, blind = TRUE, nsub = min(1000, nrow(dds))), intgroup = "condition")); dev.off()
    """

    stub:
    """
    touch deseq2_results.csv normalized_counts.csv pca.pdf
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
    ch_samplesheet = channel.value(file(params.input, checkIfExists: true))

    // Check read quality before trimming
    FASTQC(ch_reads)

    // Trim adapters and low-quality ends
    TRIMGALORE(ch_reads)

    // Build the STAR index
    STAR_GENOMEGENERATE(ch_fasta, ch_gtf)

    // Align reads to the genome across splice junctions
    STAR_ALIGN(TRIMGALORE.out.reads, STAR_GENOMEGENERATE.out.star_index, ch_gtf)

    // Count alignments by kind
    SAMTOOLS_STATS(STAR_ALIGN.out.bam)

    // Count reads per gene
    FEATURECOUNTS(STAR_ALIGN.out.bam, ch_gtf)

    // Merge the counts of all samples into one matrix
    MERGE_COUNTS(
        FEATURECOUNTS.out.counts.map { _meta, counts -> counts }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )

    // Test for differential expression with negative binomial models
    DESEQ2(MERGE_COUNTS.out.matrix, ch_samplesheet)

    // Gather all quality reports on one page
    MULTIQC(
        FASTQC.out.qc
            .mix(TRIMGALORE.out.qc, STAR_ALIGN.out.qc, SAMTOOLS_STATS.out.qc, FEATURECOUNTS.out.qc)
            .map { report -> report.drop(1) }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )
}
