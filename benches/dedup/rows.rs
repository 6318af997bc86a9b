//! Rows to look for duplicates in: a third of templates with slots, a third of nobody's making, and a third that says again
//! what another row says. A row is a function of its number.

/// Forms of a request, as people and generators write them; `#` is a slot.
const FORMS: [&str; 24] = [
    "# differential expression analysis for # # samples",
    "build a # pipeline for # # with # and a summary report",
    "run # on paired-end # reads of # # and keep the logs",
    "compare # between # and # in # tissue",
    "which # settings suit # data of # #?",
    "quantify # in # # with # replicates in each group",
    "align # reads of # to the reference with # and mark duplicates",
    "call variants in # # exomes using # with strict filters",
    "trim adapters from # # reads, then run # and collect the metrics",
    "I have # # samples of # and need # results by Friday",
    "write a workflow that does # of # data, then # for every #",
    "assemble the # genome from # reads with # and polish it",
    "detect # in # single-cell data, # cells, with #",
    "why does # fail on # # data with an out of memory error?",
    "convert # output of # into a table for #",
    "merge # lanes of # # before #",
    "please set up # for # #, # nodes, with retries",
    "annotate peaks of # # ChIP-seq with # against #",
    "perform quality control of # # data using # and #",
    "estimate abundance of # in # metagenomes with #",
    "integrate # and # data of # # patients",
    "plot # against # for # # samples",
    "resume the # run on # # from the step that failed",
    "benchmark # against # on # # data",
];
const SLOTS: [&str; 60] = [
    "human",
    "mouse",
    "zebrafish",
    "rat",
    "yeast",
    "Arabidopsis",
    "maize",
    "pig",
    "chicken",
    "macaque",
    "RNA-seq",
    "ATAC-seq",
    "WGS",
    "bisulfite",
    "Hi-C",
    "nanopore",
    "PacBio",
    "small RNA",
    "CITE-seq",
    "ribosome profiling",
    "STAR",
    "HISAT2",
    "Salmon",
    "kallisto",
    "BWA-MEM",
    "bowtie2",
    "minimap2",
    "GATK",
    "DeepVariant",
    "MACS3",
    "DESeq2",
    "edgeR",
    "limma",
    "Seurat",
    "Scanpy",
    "MultiQC",
    "fastp",
    "Trim Galore",
    "liver",
    "lung",
    "brain",
    "kidney",
    "heart",
    "blood",
    "bone marrow",
    "retina",
    "tumour",
    "control",
    "knock-out",
    "wild type",
    "treated",
    "infected",
    "starved",
    "four",
    "six",
    "twelve",
    "96",
    "1,000",
    "30x",
    "hg38",
];
const SYLLABLES: [&str; 40] = [
    "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va",
    "we", "xi", "yo", "zu", "bran", "chel", "dorn", "flim", "grat", "host", "klem", "lind", "morf",
    "nast", "prel", "quin", "rost", "snab", "tark", "ulm", "vint", "wold", "yrs", "zent",
];

/// Numbers of a row, one after another.
struct Stream(u64);

impl Stream {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) % below as u64) as usize
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.next(words.len())]
    }
}

/// Row `number` of `rows`, into `text`.
pub fn write(number: u64, rows: u64, text: &mut String) {
    let mut stream = Stream(number << 20);
    match stream.next(3) {
        0 => templated(&mut stream, text),
        1 => free(&mut stream, text),
        _ => {
            // Says again what a row says that does not say something again.
            let mut other = stream.next(rows as usize) as u64;
            while Stream(other << 20).next(3) == 2 {
                other = (other + 1) % rows;
            }
            let mut said = String::new();
            write(other, rows, &mut said);
            again(&mut stream, &said, text);
        }
    }
}

fn templated(stream: &mut Stream, text: &mut String) {
    let form = stream.of(&FORMS);
    for c in form.chars() {
        match c {
            '#' => text.push_str(stream.of(&SLOTS)),
            c => text.push(c),
        }
    }
}

/// 6 to 15 words that no other row is likely to have.
fn free(stream: &mut Stream, text: &mut String) {
    for at in 0..6 + stream.next(10) {
        if at > 0 {
            text.push(' ');
        }
        for _ in 0..1 + stream.next(3) {
            text.push_str(stream.of(&SYLLABLES));
        }
    }
}

/// The same: typed otherwise, with another letter, a word more or less, or in another order.
fn again(stream: &mut Stream, said: &str, text: &mut String) {
    let mut words: Vec<&str> = said.split(' ').collect();
    let at = stream.next(words.len());
    let typo = format!("{}{}", words[at], stream.of(&["s", "e", "ing", "r"]));
    match stream.next(6) {
        0 => words.push("."),
        1 => words.insert(0, "please"),
        2 => words.rotate_left(at),
        3 => words[at] = stream.of(&SLOTS),
        4 => words[at] = &typo,
        _ => {
            words.remove(at);
        }
    }
    text.push_str(&words.join(" "));
}
