// Variants by pipes: every step feeds the next.
params {
    reads = 'data/*_{1,2}.fq.gz'
    fasta = 'data/ref.fa'
    results = 'variants'
    min_quality = 20
}

process MAP_READS {
    tag "$sample"
    cpus 4
    memory '8.GB'
    container 'quay.io/biocontainers/bwa:0.7.18--he4a0461_0'

    input:
    tuple val(sample), path(reads), path(fasta)

    output:
    tuple val(sample), path('mapped.sam')

    shell:
    '''
    bwa index !{fasta}
    bwa mem -t !{task.cpus} !{fasta} !{reads} > mapped.sam
    for f in *.fa.*; do echo "$f ${f##*.}"; done
    '''
}

process SORT {
    tag "$sample"
    cpus 2
    memory 4.GB
    container 'quay.io/biocontainers/samtools:1.20--h50ea8bc_0'

    input:
    tuple val(sample), path(sam)

    output:
    tuple val(sample), path("${sample}.bam")

    script:
    "samtools sort -@ $task.cpus -o ${sample}.bam $sam"
}

process CALL {
    tag "$sample"
    cpus 2
    memory { 4.GB * task.attempt }
    container params.min_quality > 30 ? 'quay.io/biocontainers/bcftools:1.20--h8b25389_0' : 'quay.io/biocontainers/bcftools:1.19--h8b25389_1'
    publishDir params.results, mode: 'copy', saveAs: { name -> name.replace('raw', 'called') }

    input:
    tuple val(sample), path(bam), path(fasta)

    output:
    tuple val(sample), path("${sample}.raw.vcf")

    script:
    """
    bcftools mpileup -f $fasta $bam | bcftools call -mv -o ${sample}.raw.vcf
    """
}

process SUMMARY {
    cpus 1
    container 'docker.io/library/python:3.12-slim'
    publishDir params.results, mode: 'copy'

    input:
    path vcfs

    output:
    path 'summary.txt'

    exec:
    def lines = vcfs.collect { it.name }
    task.workDir.resolve('summary.txt').text = lines.join('\n')
}

workflow {
    fasta = file(params.fasta)

    Channel.fromFilePairs(params.reads)
        | map { sample, reads -> tuple(sample, reads, fasta) }
        | MAP_READS
        | SORT
        | map { sample, bam -> tuple(sample, bam, fasta) }
        | CALL
        | filter { sample, vcf -> vcf.size() > 0 }
        | map { sample, vcf -> vcf }
        | collect
        | SUMMARY
        | view { "summary: $it" }
}
