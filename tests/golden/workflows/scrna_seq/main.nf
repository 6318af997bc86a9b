#!/usr/bin/env nextflow

nextflow.enable.dsl = 2

// Single-cell RNA-seq: clustering and annotation, human (GRCh38)

params.cluster_resolution = 0.8
params.fasta = null
params.gtf = null
params.input = null
params.max_mito = 20
params.min_genes = 200
params.outdir = 'results'
params.publish_dir_mode = 'copy'
params.save_reference = false
params.umi_length = 12
params.whitelist = null

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

process STARSOLO {
    tag "${meta.id}"
    label 'process_high_memory'
    container 'quay.io/biocontainers/star:2.7.11b--h43eeafb_2'
    publishDir "${params.outdir}/starsolo", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(reads)
    path star_index
    path whitelist

    output:
    tuple val(meta), path("${meta.id}.Solo"), emit: matrix10x
    tuple val(meta), path("${meta.id}.Log.final.out"), emit: qc
    tuple val(meta), path("${meta.id}.Summary.csv"), emit: cells

    script:
    def args = task.ext.args ?: ''
    """
    STAR ${args} --genomeDir ${star_index} --readFilesIn ${reads[1]} ${reads[0]} --readFilesCommand zcat --runThreadN ${task.cpus} \\
        --soloCBwhitelist ${whitelist} --soloUMIlen ${params.umi_length} --outSAMtype None --outFileNamePrefix ${meta.id}.
    mv ${meta.id}.Solo.out ${meta.id}.Solo
    cp ${meta.id}.Solo/Gene/Summary.csv ${meta.id}.Summary.csv
    """

    stub:
    """
    mkdir -p ${meta.id}.Solo
    touch ${meta.id}.Log.final.out ${meta.id}.Summary.csv
    """
}

process SCANPY_LOAD {
    tag "${meta.id}"
    label 'process_medium'
    container 'docker.io/gcfntnu/scanpy:1.11.4'
    publishDir "${params.outdir}/scanpy_load", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(matrix10x)

    output:
    tuple val(meta), path("${meta.id}.h5ad"), emit: h5ad
    tuple val(meta), path("${meta.id}.qc.png"), emit: plot

    script:
    """
    #!/usr/bin/env python3
    import glob
    import os
    import scanpy as sc

    found = sorted(glob.glob("${matrix10x}/**/*.mtx*", recursive=True), key=lambda p: ("filtered" not in p, "Gene/" not in p, p))
    folder = os.path.dirname(found[0])
    adata = sc.read_mtx(found[0]).T if not os.path.exists(os.path.join(folder, "barcodes.tsv")) else sc.read_10x_mtx(folder, make_unique=True)
    adata.obs["sample"] = "${meta.id}"
    adata.obs["condition"] = "${meta.condition ?: 'none'}"
    adata.obs["batch"] = "${meta.batch ?: meta.id}"
    adata.var["mt"] = adata.var_names.str.lower().str.startswith(("mt-", "mt:", "atmg"))
    sc.pp.calculate_qc_metrics(adata, qc_vars=["mt"], inplace=True, percent_top=None)
    sc.settings.figdir = "."
    sc.pl.violin(adata, ["n_genes_by_counts", "total_counts", "pct_counts_mt"], show=False, save=".png")
    os.rename("violin.png", "${meta.id}.qc.png")
    adata = adata[(adata.obs.n_genes_by_counts >= ${params.min_genes}) & (adata.obs.pct_counts_mt <= ${params.max_mito})].copy()
    adata.write("${meta.id}.h5ad")
    """

    stub:
    """
    touch ${meta.id}.h5ad ${meta.id}.qc.png
    """
}

process SCRUBLET {
    tag "${meta.id}"
    label 'process_medium'
    container 'docker.io/gcfntnu/scanpy:1.11.4'
    publishDir "${params.outdir}/scrublet", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(h5ad)

    output:
    tuple val(meta), path("${meta.id}.singlets.h5ad"), emit: h5ad

    script:
    """
    #!/usr/bin/env python3
    import scanpy as sc

    adata = sc.read_h5ad("${h5ad}")
    sc.pp.scrublet(adata, expected_doublet_rate=0.06)
    adata[~adata.obs["predicted_doublet"]].copy().write("${meta.id}.singlets.h5ad")
    """

    stub:
    """
    touch ${meta.id}.singlets.h5ad
    """
}

process SCANPY_MERGE {
    tag "${meta.id}"
    label 'process_high_memory'
    container 'docker.io/gcfntnu/scanpy:1.11.4'
    publishDir "${params.outdir}/scanpy_merge", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(h5ads)

    output:
    tuple val(meta), path('merged.h5ad'), emit: merged

    script:
    """
    #!/usr/bin/env python3
    import glob
    import anndata as ad
    import scanpy as sc

    adata = ad.concat([sc.read_h5ad(path) for path in sorted(glob.glob("*.h5ad"))], join="outer", index_unique="-", fill_value=0)
    adata.layers["counts"] = adata.X.copy()
    sc.pp.filter_genes(adata, min_cells=3)
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, n_top_genes=2000)
    sc.pp.pca(adata)
    adata.write("merged.h5ad")
    """

    stub:
    """
    touch merged.h5ad
    """
}

process SCANPY_CLUSTER {
    tag "${meta.id}"
    label 'process_high_memory'
    container 'docker.io/gcfntnu/scanpy:1.11.4'
    publishDir "${params.outdir}/scanpy_cluster", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(merged)

    output:
    tuple val(meta), path('clustered.h5ad'), emit: clustered
    tuple val(meta), path('umap.png'), emit: plot

    script:
    """
    #!/usr/bin/env python3
    import scanpy as sc

    adata = sc.read_h5ad("${merged}")
    known = [name for name in ("X_integrated", "X_pca") if name in adata.obsm]
    sc.pp.neighbors(adata, use_rep=known[0])
    sc.tl.umap(adata)
    sc.tl.leiden(adata, resolution=${params.cluster_resolution}, flavor="igraph", n_iterations=2)
    sc.settings.figdir = "."
    sc.pl.umap(adata, color=["leiden", "sample"], show=False, save=".png")
    adata.write("clustered.h5ad")
    """

    stub:
    """
    touch clustered.h5ad umap.png
    """
}

process SCANPY_MARKERS {
    tag "${meta.id}"
    label 'process_medium'
    container 'docker.io/gcfntnu/scanpy:1.11.4'
    publishDir "${params.outdir}/scanpy_markers", mode: params.publish_dir_mode

    input:
    tuple val(meta), path(clustered)

    output:
    tuple val(meta), path('markers.csv'), emit: markers
    tuple val(meta), path('*.png'), emit: plot

    script:
    """
    #!/usr/bin/env python3
    import scanpy as sc

    adata = sc.read_h5ad("${clustered}")
    sc.tl.rank_genes_groups(adata, "leiden", method="wilcoxon", pts=True)
    sc.get.rank_genes_groups_df(adata, group=None, pval_cutoff=0.05).to_csv("markers.csv", index=False)
    sc.settings.figdir = "."
    sc.pl.rank_genes_groups_dotplot(adata, n_genes=5, show=False, save="markers.png")
    """

    stub:
    """
    touch markers.csv stub.png
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
    def required = [fasta: params.fasta, gtf: params.gtf, input: params.input, whitelist: params.whitelist]
    required.each { name, value ->
        if (!value) {
            error("--${name} is missing, see README.md")
        }
    }

    ch_rows = channel.fromPath(params.input, checkIfExists: true).splitCsv(header: true)
    ch_reads = ch_rows.map { row ->
        def meta = [id: row.sample, condition: row.condition, replicate: row.replicate, batch: row.batch, single_end: !row.fastq_2]
        tuple(meta, row.fastq_2 ? [file(row.fastq_1, checkIfExists: true), file(row.fastq_2, checkIfExists: true)] : [file(row.fastq_1, checkIfExists: true)])
    }
    ch_fasta = channel.value(file(params.fasta, checkIfExists: true))
    ch_gtf = channel.value(file(params.gtf, checkIfExists: true))
    ch_whitelist = channel.value(file(params.whitelist, checkIfExists: true))

    // Check read quality before trimming
    FASTQC(ch_reads)

    // Build the STAR index
    STAR_GENOMEGENERATE(ch_fasta, ch_gtf)

    // Map reads, correct barcodes and count genes per cell
    STARSOLO(ch_reads, STAR_GENOMEGENERATE.out.star_index, ch_whitelist)

    // Load counts and filter cells by quality
    SCANPY_LOAD(STARSOLO.out.matrix10x)

    // Score and remove doublets with Scrublet
    SCRUBLET(SCANPY_LOAD.out.h5ad)

    // Merge the samples, normalise and reduce dimensions
    SCANPY_MERGE(
        SCRUBLET.out.h5ad.map { _meta, h5ad -> h5ad }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )

    // Cluster cells and draw a UMAP
    SCANPY_CLUSTER(SCANPY_MERGE.out.merged)

    // Rank marker genes to annotate the clusters
    SCANPY_MARKERS(SCANPY_CLUSTER.out.clustered)

    // Gather all quality reports on one page
    MULTIQC(
        FASTQC.out.qc
            .mix(STARSOLO.out.qc)
            .map { report -> report.drop(1) }.collect(sort: true).map { files -> tuple([id: 'cohort'], files) }
    )
}
