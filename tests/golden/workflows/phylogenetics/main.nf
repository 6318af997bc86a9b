#!/usr/bin/env nextflow

nextflow.enable.dsl = 2

// Phylogenetics: marker tree, human (GRCh38)

params.input = null
params.outdir = 'results'
params.publish_dir_mode = 'copy'

process MAFFT {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/mafft:7.508--hec16e2b_0'
    publishDir "${params.outdir}/mafft", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(sequences)

    output:
    tuple val(meta), path("${meta.id}.aln.fasta"), emit: alignment

    script:
    def args = task.ext.args ?: ''
    """
    mafft ${args} --thread ${task.cpus} ${sequences} > ${meta.id}.aln.fasta
    """

    stub:
    """
    touch ${meta.id}.aln.fasta
    """
}

process TRIMAL {
    tag "${meta.id}"
    label 'process_low'
    container 'quay.io/biocontainers/trimal:1.5.0--h4ac6f70_1'
    publishDir "${params.outdir}/trimal", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(alignment)

    output:
    tuple val(meta), path("${meta.id}.trimmed.fasta"), emit: alignment
    tuple val(meta), path("${meta.id}.trimal.html"), emit: report

    script:
    def args = task.ext.args ?: ''
    """
    trimal ${args} -in ${alignment} -out ${meta.id}.trimmed.fasta -htmlout ${meta.id}.trimal.html
    """

    stub:
    """
    touch ${meta.id}.trimmed.fasta ${meta.id}.trimal.html
    """
}

process IQTREE {
    tag "${meta.id}"
    label 'process_high'
    container 'quay.io/biocontainers/iqtree:2.3.4--hdcf5f25_2'
    publishDir "${params.outdir}/iqtree", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(alignment)

    output:
    tuple val(meta), path("${meta.id}.treefile"), emit: tree
    tuple val(meta), path("${meta.id}.iqtree"), emit: report

    script:
    def args = task.ext.args ?: ''
    """
    iqtree2 ${args} -s ${alignment} --prefix ${meta.id} -T AUTO --threads-max ${task.cpus} --seed 42
    """

    stub:
    """
    touch ${meta.id}.treefile ${meta.id}.iqtree
    """
}

workflow {
    def required = [input: params.input]
    required.each { name, value ->
        if (!value) {
            error("--${name} is missing, see README.md")
        }
    }

    ch_rows = channel.fromPath(params.input, checkIfExists: true).splitCsv(header: true)
    ch_sequences = ch_rows.map { row ->
        def meta = [id: row.sample, condition: row.condition, replicate: row.replicate]
        tuple(meta, file(row.fasta, checkIfExists: true))
    }

    // Align the sequences of each locus
    MAFFT(ch_sequences)

    // Drop poorly aligned columns
    TRIMAL(MAFFT.out.alignment)

    // Choose a model and infer a maximum likelihood tree with bootstraps
    IQTREE(TRIMAL.out.alignment)
}
