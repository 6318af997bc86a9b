#!/usr/bin/env nextflow

nextflow.enable.dsl = 2

// Spatial transcriptomics: spot expression and variable genes, human (GRCh38)

params.input = null
params.min_genes = 200
params.outdir = 'results'
params.probe_set = null
params.publish_dir_mode = 'copy'
params.spaceranger_reference = null
params.spatial_platform = 'visium'

process SPACERANGER_COUNT {
    tag "${meta.id}"
    label 'process_high_memory'
    container 'docker.io/nfcore/spaceranger:2.1.0'
    publishDir "${params.outdir}/spaceranger_count", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads), path(image)
    path spaceranger_reference
    path probe_set

    output:
    tuple val(meta), path("${meta.id}"), emit: spots
    tuple val(meta), path("${meta.id}.metrics_summary.csv"), emit: qc

    script:
    def args = task.ext.args ?: ''
    """
    spaceranger count ${args} --id=${meta.id} --sample=${meta.id} --fastqs=. --image=${image} --slide=${meta.slide} --area=${meta.area} \\
        --transcriptome=${spaceranger_reference} --probe-set=${probe_set} --localcores=${task.cpus} --localmem=${task.memory.toGiga()}
    cp ${meta.id}/outs/metrics_summary.csv ${meta.id}.metrics_summary.csv
    """

    stub:
    """
    mkdir -p ${meta.id}
    touch ${meta.id}.metrics_summary.csv
    """
}

process SPATIAL_LOAD {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/squidpy:1.4.1--pyhdfd78af_0'
    publishDir "${params.outdir}/spatial_load", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(spots)

    output:
    tuple val(meta), path("${meta.id}.h5ad"), emit: h5ad

    script:
    def reader = [visium: 'visium', 'Visium HD': 'visium', Xenium: 'xenium', CosMx: 'nanostring'].getOrDefault(params.spatial_platform, 'visium')
    """
    #!/usr/bin/env python3
    import os
    import scanpy as sc
    import squidpy as sq

    folder = "${spots}/outs" if os.path.isdir("${spots}/outs") else "${spots}"
    adata = {"visium": sq.read.visium, "nanostring": sq.read.nanostring}.get("${reader}", sc.read_10x_mtx)(folder)
    adata.var_names_make_unique()
    adata.obs["sample"] = "${meta.id}"
    sc.pp.filter_cells(adata, min_genes=${params.min_genes})
    sc.pp.filter_genes(adata, min_cells=10)
    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    adata.write("${meta.id}.h5ad")
    """

    stub:
    """
    touch ${meta.id}.h5ad
    """
}

process SQUIDPY_GRAPH {
    tag "${meta.id}"
    label 'process_medium'
    container 'quay.io/biocontainers/squidpy:1.4.1--pyhdfd78af_0'
    publishDir "${params.outdir}/squidpy_graph", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(h5ad)

    output:
    tuple val(meta), path("${meta.id}.spatial.h5ad"), emit: h5ad
    tuple val(meta), path("${meta.id}.svg.csv"), emit: svg

    script:
    """
    #!/usr/bin/env python3
    import scanpy as sc
    import squidpy as sq

    adata = sc.read_h5ad("${h5ad}")
    sc.pp.highly_variable_genes(adata, n_top_genes=3000)
    sc.pp.pca(adata)
    sc.pp.neighbors(adata)
    sc.tl.leiden(adata)
    sq.gr.spatial_neighbors(adata)
    sq.gr.nhood_enrichment(adata, cluster_key="leiden")
    sq.gr.spatial_autocorr(adata, mode="moran", n_jobs=${task.cpus})
    adata.uns["moranI"].to_csv("${meta.id}.svg.csv")
    adata.write("${meta.id}.spatial.h5ad")
    """

    stub:
    """
    touch ${meta.id}.spatial.h5ad ${meta.id}.svg.csv
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
    def required = [input: params.input, probe_set: params.probe_set, spaceranger_reference: params.spaceranger_reference]
    required.each { name, value ->
        if (!value) {
            error("--${name} is missing, see README.md")
        }
    }

    ch_rows = channel.fromPath(params.input, checkIfExists: true).splitCsv(header: true)
    ch_visium = ch_rows.map { row ->
        def meta = [id: row.sample, condition: row.condition, replicate: row.replicate, slide: row.slide, area: row.area, single_end: !row.fastq_2]
        tuple(meta, [file(row.fastq_1, checkIfExists: true), file(row.fastq_2, checkIfExists: true)], file(row.image, checkIfExists: true))
    }
    ch_spaceranger_reference = channel.value(file(params.spaceranger_reference, checkIfExists: true))
    ch_probe_set = channel.value(file(params.probe_set, checkIfExists: true))

    // Align reads, register the tissue image and count genes per spot
    SPACERANGER_COUNT(ch_visium, ch_spaceranger_reference, ch_probe_set)

    // Load counts with coordinates and filter spots
    SPATIAL_LOAD(SPACERANGER_COUNT.out.spots)

    // Find spatially variable genes and neighbourhood enrichment
    SQUIDPY_GRAPH(SPATIAL_LOAD.out.h5ad)

    // Gather all quality reports on one page
    MULTIQC(
        SPACERANGER_COUNT.out.qc.map { report -> report.drop(1) }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )
}
