#!/usr/bin/env nextflow

nextflow.enable.dsl = 2

// Multi-omics: RNA-seq and ATAC-seq factors, human (GRCh38)

params.fasta = null
params.gtf = null
params.input = null
params.macs_gsize = 'hs'
params.outdir = 'results'
params.publish_dir_mode = 'copy'
params.save_reference = false
params.strandedness = 'reverse'

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

process MERGE_RNA {
    tag "${meta.id}"
    label 'process_low'
    container 'quay.io/biocontainers/pandas:1.5.2'
    publishDir "${params.outdir}/merge_rna", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(count_files)

    output:
    tuple val(meta), path('rna_counts.tsv'), emit: rna_matrix

    script:
    """
    #!/usr/bin/env python3
    import glob
    import pandas as pd

    COLUMNS = ['NumReads', 'est_counts', 'expected_count', 'count']
    merged = {}
    for path in sorted(glob.glob('*')):
        if path.startswith('.') or path == 'rna_counts.tsv':
            continue
        table = pd.read_csv(path, sep='\\t', comment='#', index_col=0)
        known = [name for name in COLUMNS if name in table.columns]
        merged[path.split('.')[0]] = table[known[0]] if known else table.iloc[:, -1]
    pd.DataFrame(merged).fillna(0).round().astype(int).to_csv('rna_counts.tsv', sep='\\t', index_label='gene_id')
    """

    stub:
    """
    touch rna_counts.tsv
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

process MACS2_ATAC {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/macs2:2.2.9.1--py39hf95cd2a_0'
    publishDir "${params.outdir}/macs2_atac", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bam), path(bai)

    output:
    tuple val(meta), path("${meta.id}_peaks.bed"), emit: peaks
    tuple val(meta), path("${meta.id}_peaks.xls"), emit: qc

    script:
    def args = task.ext.args ?: ''
    """
    macs2 callpeak ${args} --format BAM --gsize ${params.macs_gsize} --name ${meta.id} --treatment ${bam}
    cut -f 1-10 ${meta.id}_peaks.narrowPeak > ${meta.id}_peaks.bed
    """

    stub:
    """
    touch ${meta.id}_peaks.bed ${meta.id}_peaks.xls
    """
}

process CONSENSUS_PEAKS {
    tag "${meta.id}"
    label 'process_low'
    container 'quay.io/biocontainers/bedtools:2.31.1--hf5e1c6e_2'
    publishDir "${params.outdir}/consensus_peaks", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(peak_files)

    output:
    tuple val(meta), path('consensus_peaks.bed'), emit: consensus

    script:
    def args = task.ext.args ?: ''
    """
    cat *_peaks.bed | cut -f 1-3 | sort -k1,1 -k2,2n | bedtools merge ${args} -i - \\
        | awk 'BEGIN { OFS = "\\t" } { print \$1, \$2, \$3, "peak_" NR }' > consensus_peaks.bed
    """

    stub:
    """
    touch consensus_peaks.bed
    """
}

process FEATURECOUNTS_PEAKS {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/subread:2.0.3--h7132678_1'
    publishDir "${params.outdir}/featurecounts_peaks", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(bam), path(bai)
    path consensus

    output:
    tuple val(meta), path("${meta.id}.featureCounts.txt"), emit: counts
    tuple val(meta), path("${meta.id}.featureCounts.txt.summary"), emit: qc

    script:
    def args = task.ext.args ?: ''
    def layout = meta.single_end ? '' : '-p --countReadPairs'
    """
    awk 'BEGIN { OFS = "\\t"; print "GeneID", "Chr", "Start", "End", "Strand" } { print \$4, \$1, \$2 + 1, \$3, "." }' ${consensus} > consensus.saf
    featureCounts ${args} ${layout} -F SAF -T ${task.cpus} -a consensus.saf -o ${meta.id}.featureCounts.txt ${bam}
    """

    stub:
    """
    touch ${meta.id}.featureCounts.txt ${meta.id}.featureCounts.txt.summary
    """
}

process MERGE_CHROMATIN {
    tag "${meta.id}"
    label 'process_low'
    container 'quay.io/biocontainers/pandas:1.5.2'
    publishDir "${params.outdir}/merge_chromatin", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(count_files)

    output:
    tuple val(meta), path('peak_counts.tsv'), emit: atac_matrix

    script:
    """
    #!/usr/bin/env python3
    import glob
    import pandas as pd

    COLUMNS = ['NumReads', 'est_counts', 'expected_count', 'count']
    merged = {}
    for path in sorted(glob.glob('*')):
        if path.startswith('.') or path == 'peak_counts.tsv':
            continue
        table = pd.read_csv(path, sep='\\t', comment='#', index_col=0)
        known = [name for name in COLUMNS if name in table.columns]
        merged[path.split('.')[0]] = table[known[0]] if known else table.iloc[:, -1]
    pd.DataFrame(merged).fillna(0).round().astype(int).to_csv('peak_counts.tsv', sep='\\t', index_label='gene_id')
    """

    stub:
    """
    touch peak_counts.tsv
    """
}

process MOFA2 {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/bioconductor-mofa2:1.12.0--r43h9ee0642_0'
    publishDir "${params.outdir}/mofa2", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(rna_matrix), path(atac_matrix)
    path samplesheet

    output:
    tuple val(meta), path('mofa.hdf5'), emit: integrated
    tuple val(meta), path('variance.pdf'), emit: plot

    script:
    """
    #!/usr/bin/env Rscript
    library(MOFA2)
    load_view <- function(path) {
        counts <- as.matrix(read.delim(path, row.names = 1, check.names = FALSE))
        scaled <- log2(t(t(counts) / colSums(counts)) * 1e6 + 1)
        scaled[order(-apply(scaled, 1, var))[seq_len(min(5000, nrow(scaled)))], ]
    }
    views <- list(rna = load_view("${rna_matrix}"), chromatin = load_view("${atac_matrix}"))
    subjects <- with(read.csv("${samplesheet}"), setNames(subject, sample))
    views <- lapply(views, function(view) { colnames(view) <- subjects[colnames(view)]; view })
    shared <- Reduce(intersect, lapply(views, colnames))
    mofa <- create_mofa(lapply(views, function(view) view[, shared]))
    mofa <- run_mofa(prepare_mofa(mofa), outfile = "mofa.hdf5", use_basilisk = FALSE)
    pdf("variance.pdf"); print(plot_variance_explained(mofa)); dev.off()
    """

    stub:
    """
    touch mofa.hdf5 variance.pdf
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
        def meta = [id: row.sample, condition: row.condition, replicate: row.replicate, subject: row.subject, single_end: !row.fastq_2]
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
    ch_rna_reads = TRIMGALORE.out.reads.filter { meta, _fastq -> meta.assay == 'rna' }
    STAR_ALIGN(ch_rna_reads, STAR_GENOMEGENERATE.out.star_index, ch_gtf)

    // Count reads per gene
    FEATURECOUNTS(STAR_ALIGN.out.bam, ch_gtf)

    // Merge the gene counts of all samples into one matrix
    MERGE_RNA(
        FEATURECOUNTS.out.counts.map { _meta, counts -> counts }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )

    // Build the Bowtie2 index
    BOWTIE2_BUILD(ch_fasta)

    // Align reads to the genome and sort them
    ch_chromatin_reads = TRIMGALORE.out.reads.filter { meta, _fastq -> meta.assay != 'rna' }
    BOWTIE2_ALIGN(ch_chromatin_reads, BOWTIE2_BUILD.out.bowtie2_index)

    // Call open chromatin from Tn5 cut sites
    MACS2_ATAC(BOWTIE2_ALIGN.out.bam)

    // Merge the peaks of all samples
    CONSENSUS_PEAKS(
        MACS2_ATAC.out.peaks.map { _meta, peaks -> peaks }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )

    // Count reads in the merged peaks
    FEATURECOUNTS_PEAKS(
        BOWTIE2_ALIGN.out.bam,
        CONSENSUS_PEAKS.out.consensus.map { _meta, consensus -> consensus }
    )

    // Merge the peak counts of all samples into one matrix
    MERGE_CHROMATIN(
        FEATURECOUNTS_PEAKS.out.counts.map { _meta, counts -> counts }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )

    // Find factors that explain variation across the omics
    MOFA2(
        MERGE_RNA.out.rna_matrix.combine(MERGE_CHROMATIN.out.atac_matrix, by: 0),
        ch_samplesheet
    )

    // Gather all quality reports on one page
    MULTIQC(
        FASTQC.out.qc
            .mix(TRIMGALORE.out.qc, STAR_ALIGN.out.qc, FEATURECOUNTS.out.qc, BOWTIE2_ALIGN.out.qc, MACS2_ATAC.out.qc, FEATURECOUNTS_PEAKS.out.qc)
            .map { report -> report.drop(1) }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )
}
