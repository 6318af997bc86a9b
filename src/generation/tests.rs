//! The catalogue, the matrix and the plan against the specification's numbers and lists.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::catalogue::{catalogue, catalogue_size, check_target};
use super::vocabulary::{parse, words};
use super::wording::Wording;
use super::*;

/// The specification's templates: analysis type and text.
const GIVEN: [(&str, &str); 47] = [
    (
        "rna_seq",
        "RNA-seq differential expression analysis for {organism}",
    ),
    (
        "rna_seq",
        "{organism} RNA-seq workflow with {aligner} alignment",
    ),
    (
        "rna_seq",
        "Bulk RNA-seq comparing {condition1} vs {condition2} in {organism}",
    ),
    (
        "rna_seq",
        "RNA-seq with {quantifier} quantification for {organism} samples",
    ),
    (
        "rna_seq",
        "Stranded RNA-seq analysis using {library_type} library prep",
    ),
    (
        "chip_seq",
        "ChIP-seq peak calling for {target} in {organism}",
    ),
    (
        "chip_seq",
        "{organism} ChIP-seq with {peak_caller} and {organism} reference",
    ),
    (
        "chip_seq",
        "Histone modification ChIP-seq for {histone_mark} in {cell_type}",
    ),
    (
        "chip_seq",
        "Transcription factor ChIP-seq for {tf} binding sites",
    ),
    (
        "atac_seq",
        "ATAC-seq chromatin accessibility for {organism}",
    ),
    ("atac_seq", "Single-cell ATAC-seq analysis for {cell_type}"),
    ("atac_seq", "ATAC-seq with {peak_caller} peak calling"),
    (
        "wgs",
        "Whole genome sequencing variant calling for {organism}",
    ),
    ("wgs", "WGS germline variant detection with {caller}"),
    ("wgs", "WGS somatic mutation calling for {tumor_type}"),
    ("wgs", "Structural variant detection from WGS data"),
    ("wes", "Whole exome sequencing for {organism}"),
    ("wes", "WES variant annotation with {annotator}"),
    ("wes", "Clinical exome analysis with {panel}"),
    ("methylation", "Bisulfite sequencing methylation analysis"),
    ("methylation", "RRBS methylation profiling for {organism}"),
    ("methylation", "WGBS with {aligner} alignment"),
    ("methylation", "Differential methylation analysis"),
    ("scrna_seq", "Single-cell RNA-seq with {platform}"),
    (
        "scrna_seq",
        "scRNA-seq clustering and annotation for {cell_type}",
    ),
    ("scrna_seq", "10x Genomics scRNA-seq processing"),
    ("scrna_seq", "scRNA-seq trajectory analysis"),
    ("spatial", "Spatial transcriptomics analysis for {tissue}"),
    ("spatial", "Visium spatial gene expression"),
    ("spatial", "MERFISH/seqFISH analysis"),
    ("metagenomics", "16S rRNA amplicon analysis"),
    ("metagenomics", "Shotgun metagenomics with {assembler}"),
    ("metagenomics", "Metagenomic taxonomic profiling"),
    ("metagenomics", "Antimicrobial resistance detection"),
    ("hic", "Hi-C chromatin interaction analysis"),
    ("hic", "Hi-C contact matrix generation"),
    ("hic", "TAD boundary detection from Hi-C"),
    ("long_read", "Oxford Nanopore sequencing analysis"),
    ("long_read", "PacBio long-read assembly"),
    ("long_read", "Long-read RNA isoform detection"),
    ("multiomics", "Integrated RNA-seq and ATAC-seq analysis"),
    (
        "multiomics",
        "Multi-modal single-cell analysis (RNA + ATAC)",
    ),
    ("multiomics", "Proteogenomics integration"),
    ("crispr", "CRISPR screen analysis with MAGeCK"),
    ("crispr", "CRISPR guide RNA design and analysis"),
    (
        "phylogenetics",
        "Phylogenetic tree construction from {marker}",
    ),
    ("phylogenetics", "Comparative genomics analysis"),
];

/// A plan without faults.
fn clean(seed: u64) -> Plan {
    Plan { seed, faults: 0.0 }
}

fn samples(plan: Plan, n: u64) -> Vec<QuerySample> {
    let samples: Vec<_> = (0..n).filter_map(|index| plan.sample(index)).collect();
    assert_eq!(samples.len() as u64, n);
    samples
}

fn mean(samples: &[QuerySample]) -> f64 {
    samples.iter().map(|s| s.quality_score).sum::<f64>() / samples.len() as f64
}

#[test]
fn the_given_templates_are_there_word_for_word() {
    for (analysis, text) in GIVEN {
        let analysis = words().analysis(analysis).expect(analysis);
        assert!(analysis.templates.iter().any(|t| t.text == text), "{text}");
    }
    let all: BTreeSet<&str> = (words().analyses.iter())
        .flat_map(|a| a.templates.iter().map(|t| t.text.as_str()))
        .collect();
    assert!(all.len() >= 100, "{}", all.len());
}

#[test]
fn types_organisms_and_levels_are_the_specification_s() {
    let given: BTreeSet<&str> = GIVEN.iter().map(|(analysis, _)| *analysis).collect();
    let types: BTreeSet<&str> = words().analyses.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(types, given.into_iter().chain(["small_rna_seq"]).collect());
    assert_eq!(types.len(), 15);
    let organisms: Vec<&str> = words().organisms.iter().map(|o| o.name.as_str()).collect();
    let expected = "human mouse rat zebrafish drosophila c_elegans yeast arabidopsis e_coli custom";
    assert_eq!(organisms.join(" "), expected);
    let levels = words().levels.iter();
    let rows: Vec<[&str; 5]> = levels
        .map(|l| {
            [
                &l.name,
                &l.samples,
                &l.conditions,
                &l.replicates,
                &l.compute,
            ]
            .map(|s| s.as_str())
        })
        .collect();
    let simple = ["simple", "2-4", "2", "2", "low"];
    let medium = ["medium", "12-24", "3-4", "3", "medium"];
    assert_eq!(
        rows,
        [simple, medium, ["complex", "48-96", "6+", "4+", "high"]]
    );
}

#[test]
fn every_given_parameter_value_is_asked_for() {
    let given = [
        ("aligner", "STAR HISAT2 BWA-MEM2 minimap2 salmon"),
        ("quantifier", "salmon kallisto RSEM featureCounts"),
        ("peak_caller", "MACS2 MACS3 HOMER SICER2"),
        ("variant_caller", "GATK DeepVariant Strelka2 FreeBayes"),
        ("container_runtime", "singularity docker apptainer"),
        ("executor", "slurm local awsbatch google-batch"),
    ];
    let mut asked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for number in 0..catalogue().front_len() {
        let query = catalogue().query(number).expect("inside the catalogue");
        for (slot, value) in Wording::of(&query).slots {
            let parameter = words().vocabulary(&slot).and_then(|v| v.parameter.clone());
            asked
                .entry(parameter.unwrap_or(slot))
                .or_default()
                .insert(value);
        }
    }
    for (parameter, values) in given {
        for value in values.split(' ') {
            assert!(asked[parameter].contains(value), "{parameter} = {value}");
        }
    }
}

#[test]
fn the_file_refers_only_to_what_it_defines() {
    let words = words();
    let organism = |name: &String| words.organism(name).is_some() || words.sets.contains_key(name);
    for group in words.vocabularies.iter().flat_map(|v| &v.groups) {
        assert!(group.organisms.iter().all(organism), "{group:?}");
        assert!(
            group.analyses.iter().all(|a| words.analysis(a).is_some()),
            "{group:?}"
        );
    }
    for (tool, analyses) in &words.tools {
        assert!(
            analyses.iter().all(|a| words.analysis(a).is_some()),
            "{tool}"
        );
    }
    for analysis in &words.analyses {
        assert!(
            words.designs.contains_key(&analysis.designs),
            "{}",
            analysis.name
        );
        assert!(analysis.scenarios.len() >= 10, "{}", analysis.name);
        assert!(
            analysis
                .scenarios
                .iter()
                .all(|s| words.scenarios.contains_key(s)),
            "{}",
            analysis.name
        );
        assert!(
            analysis
                .organisms
                .iter()
                .all(|o| words.organism(o).is_some()),
            "{}",
            analysis.name
        );
    }
    let used: BTreeSet<&String> = words.analyses.iter().flat_map(|a| &a.scenarios).collect();
    assert!(
        words.scenarios.keys().all(|name| used.contains(name)),
        "a scenario without use"
    );
}

#[test]
fn a_wrong_file_is_an_error_that_names_the_key() {
    let error = parse("balanced_per_analysis = 1\ncolour = 2").expect_err("unknown key");
    assert!(error.to_string().contains("colour"), "{error}");
}

#[test]
fn the_matrix_has_the_specification_s_rows() {
    let expected = [
        ("RNA-seq", 10, 25, 10, 350),
        ("ChIP-seq", 8, 15, 8, 184),
        ("ATAC-seq", 6, 10, 6, 96),
        ("WGS", 5, 20, 10, 150),
        ("WES", 5, 15, 8, 115),
        ("Methylation", 4, 12, 6, 72),
        ("scRNA-seq", 6, 15, 8, 138),
        ("Metagenomics", 1, 20, 10, 30),
        ("Hi-C", 3, 8, 5, 39),
        ("Long-read", 4, 10, 6, 64),
        ("Multiomics", 3, 8, 4, 36),
    ];
    let rows = matrix();
    let seen: Vec<_> = rows
        .iter()
        .map(|r| {
            (
                r.analysis.as_str(),
                r.organisms,
                r.variations,
                r.scenarios,
                r.total,
            )
        })
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(rows.iter().map(|row| row.total).sum::<usize>(), 1_274);
    assert_eq!(catalogue().matrix_len(), 1_274);
}

/// All texts of the front, and a stride through the millions after it, whose addresses are compared in `catalogue`.
#[test]
fn texts_are_distinct_and_more_than_forty_thousand() {
    let (front, size) = (catalogue().front_len(), catalogue_size());
    assert!(front > 60_000 && size > front, "{front} of {size}");
    let mut seen = HashSet::new();
    for number in (0..front).chain((front..size).step_by(97)) {
        let query = catalogue().query(number).expect("inside the catalogue");
        let text = Wording::of(&query).text();
        assert!(!text.contains('{'), "{text}");
        assert!(!seen.contains(&text), "{number} again: {text}");
        seen.insert(text);
    }
    assert!(catalogue().query(size).is_none());
}

#[test]
fn every_template_is_asked_and_no_clean_text_is_unsound() {
    let mut templates = BTreeSet::new();
    for sample in samples(clean(11), 6_000) {
        let parts = sample.quality_parts;
        let sound = [
            parts.slots_filled,
            parts.compatible,
            parts.complexity_consistent,
            parts.distinct,
        ];
        assert_eq!(sound, [1.0; 4], "{sample:?}");
        assert!(parts.specific > 0.0 && sample.planted_fault.is_none());
        templates.insert(sample.template);
    }
    let all: usize = words().analyses.iter().map(|a| a.templates.len()).sum();
    assert_eq!(templates.len(), all);
}

#[test]
fn a_target_beyond_the_catalogue_is_refused_with_both_numbers() {
    let size = catalogue_size();
    assert_eq!(check_target(size), Ok(()));
    let error = check_target(size + 1).expect_err("one too many");
    assert!(
        error.contains(&size.to_string()) && error.contains(&(size + 1).to_string()),
        "{error}"
    );
    assert_eq!(Plan::default().sample(size), None);
    assert_eq!(
        Plan {
            seed: 1,
            faults: 1.0
        }
        .sample(size),
        None
    );
    assert!(Plan::default().sample(size - 1).is_some());
}

#[test]
fn a_share_of_faults_is_a_share() {
    let check = |faults| Plan { seed: 0, faults }.check();
    assert!(check(0.0).is_ok() && check(1.0).is_ok());
    for faults in [-0.1, 1.1, f64::NAN] {
        assert!(check(faults).is_err(), "{faults}");
    }
}

#[test]
fn a_plan_visits_distinct_texts_across_the_end_of_the_front() {
    let front = catalogue().front_len();
    let plan = clean(5);
    let indexes = (0..2_000)
        .chain(front - 500..front + 500)
        .chain(catalogue_size() - 500..catalogue_size());
    let mut texts = HashSet::new();
    for index in indexes {
        let sample = plan.sample(index).expect("inside the catalogue");
        assert!(texts.insert(sample.query.clone()), "{sample:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_another_order() {
    let line = |seed, index| {
        let sample = Plan { seed, faults: 0.3 }
            .sample(index)
            .expect("inside the catalogue");
        serde_json::to_string(&sample).expect("a sample is plain data")
    };
    for index in 0..200 {
        assert_eq!(line(9, index), line(9, index));
        let back: QuerySample = serde_json::from_str(&line(9, index)).expect("its own line");
        assert_eq!(
            serde_json::to_string(&back).expect("plain data"),
            line(9, index)
        );
    }
    let queries = |seed| {
        samples(clean(seed), 50)
            .into_iter()
            .map(|s| s.query)
            .collect::<Vec<_>>()
    };
    assert_ne!(queries(1), queries(2));
    let first = Plan {
        seed: 255,
        faults: 0.0,
    }
    .sample(7)
    .expect("inside the catalogue");
    assert_eq!(first.id, "q-ff-7");
}

#[test]
fn a_small_pilot_shows_every_analysis_type_and_organism() {
    for seed in [1, 2, 42] {
        let pilot = samples(Plan { seed, faults: 0.1 }, 190);
        let types: BTreeSet<&str> = pilot.iter().map(|s| s.analysis_type.as_str()).collect();
        let organisms: BTreeSet<&str> = pilot.iter().map(|s| s.organism.as_str()).collect();
        assert_eq!((types.len(), organisms.len()), (15, 10), "seed {seed}");
    }
}

#[test]
fn each_fault_lowers_the_score() {
    let faulty = Plan {
        seed: 3,
        faults: 1.0,
    };
    let mut means: BTreeMap<Fault, Vec<f64>> = BTreeMap::new();
    for sample in samples(faulty, 2_000) {
        let fault = sample.planted_fault.expect("every sample has one");
        let sound = clean(3).sample(sample.index).expect("inside the catalogue");
        assert!(
            sample.quality_score < sound.quality_score,
            "{sample:?}\n{sound:?}"
        );
        assert!(!sample.accepted, "{sample:?}");
        means.entry(fault).or_default().push(sample.quality_score);
    }
    assert_eq!(means.len(), Fault::ALL.len());
}

#[test]
fn each_fault_shows_in_its_own_part() {
    // Few faults, so that a fault's neighbour is mostly clean.
    for sample in samples(
        Plan {
            seed: 8,
            faults: 0.2,
        },
        1_000,
    ) {
        let parts = sample.quality_parts;
        let part = match sample.planted_fault {
            Some(Fault::UnfilledSlot) => parts.slots_filled,
            Some(Fault::IncompatibleTool | Fault::WrongOrganism) => parts.compatible,
            Some(Fault::ComplexityMismatch) => parts.complexity_consistent,
            Some(Fault::Repeated) => parts.distinct,
            None => continue,
        };
        assert!(part < 0.7, "{sample:?}");
    }
}

#[test]
fn the_score_does_not_read_the_label() {
    for mut sample in samples(
        Plan {
            seed: 4,
            faults: 0.5,
        },
        200,
    ) {
        let before = sample.quality(None);
        sample.planted_fault = match sample.planted_fault {
            Some(_) => None,
            None => Some(Fault::UnfilledSlot),
        };
        assert_eq!(sample.quality(None), before);
    }
}

#[test]
fn the_mean_quality_tells_a_sound_plan_from_a_faulty_one() {
    for seed in [1, 42, 0xdead_beef] {
        let usual = samples(
            Plan {
                seed,
                ..Plan::default()
            },
            4_000,
        );
        let accepted = usual.iter().filter(|s| s.accepted).count() as f64 / 4_000.0;
        let sound: Vec<_> = usual
            .iter()
            .filter(|s| s.planted_fault.is_none())
            .cloned()
            .collect();
        let bad = samples(Plan { seed, faults: 0.6 }, 4_000);
        println!(
            "seed {seed:#x}: {:.3}, sound {:.3}, accepted {accepted:.3}, faulty {:.3}",
            mean(&usual),
            mean(&sound),
            mean(&bad)
        );
        assert!(
            (0.82..=0.90).contains(&mean(&usual)),
            "seed {seed:#x}: {}",
            mean(&usual)
        );
        assert!(
            mean(&sound) > 0.8 && accepted > 0.8,
            "seed {seed:#x}: {accepted}"
        );
        assert!(mean(&bad) < 0.65, "seed {seed:#x}: {}", mean(&bad));
        let scores: BTreeSet<u64> = sound.iter().map(|s| s.quality_score.to_bits()).collect();
        assert!(scores.len() > 2, "sound samples differ in quality");
    }
}
