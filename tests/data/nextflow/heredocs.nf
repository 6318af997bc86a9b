/*
 * Scripts in scripts: here documents, awk, escapes, and every way to quote.
 */
params.outdir = "results"
params.table  = 'table.tsv'
params.cutoff = 0.05

def shorten(name, length = 12) {
    return name.size() > length ? name[0..<length] : name
}

process FILTER_TABLE {
    tag "${key}"
    label 'process_single'
    container "docker.io/library/debian:12.5-slim"
    publishDir path: "${params.outdir}/filtered", mode: "copy"

    input:
    tuple val(key), path(table, stageAs: 'in/*')

    output:
    tuple val(key), path("${key}.filtered.tsv"), emit: filtered
    path 'report.txt', optional: true, emit: report

    script:
    def limit = params.cutoff as Double
    def columns = [1, 2, 5].collect { "\\\$${it}" }.join(', ')
    """
    #!/bin/bash
    set -euo pipefail
    awk -F '\\t' 'NR == 1 || \$6 < ${limit} { print ${columns} }' ${table} > ${key}.filtered.tsv
    total=\$(wc -l < ${key}.filtered.tsv)
    for part in a b; do
        echo "\${part}: \$total of \${#part} \${part:-none} \${total%%.*}" >> report.txt
    done

    cat <<'EOF' >> report.txt
    a dollar is fine here: \$HOME, and braces too { } } {
    EOF

    python3 - <<-PY
    import re
    print(re.sub(r"[{}]", "", "${key}"), {"cutoff": ${limit}})
    PY
    sed -i 's/\\/data\\//x/g; s/^#//' report.txt && [ "\$?" -eq 0 ]
    """
}

process PLOT {
    tag "${shorten(key)}"
    label 'process_low'
    container 'docker.io/rocker/tidyverse:4.4.1'
    publishDir "${params.outdir}/plots", mode: 'copy'

    input:
    tuple val(key), path(table)

    output:
    path "${key}.pdf"

    script:
    '''
    #!/usr/bin/env Rscript
    table <- read.delim(Sys.glob("*.filtered.tsv"))
    pdf("plot.pdf"); plot(table$p, main = "${not a Groovy name}"); dev.off()
    '''
}

workflow {
    pattern = ~/.*[\/{](\d+)\.tsv/
    ratio = params.cutoff / 2 / 1
    log.info """\
        table  : ${params.table}
        cutoff : ${params.cutoff} "quoted" ${ratio > 1 ? "big" : "it's ${'small'}"}
        """.stripIndent()

    Channel.fromPath(params.table)
        .filter { it.name ==~ pattern }
        .map { table -> tuple(table.baseName, table) }
        .set { tables }

    FILTER_TABLE(tables)
    FILTER_TABLE.out.report.collectFile(name: 'reports.txt').view()
    PLOT(FILTER_TABLE.out.filtered)
}
