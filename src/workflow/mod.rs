//! Nextflow workflows as text: read, judged, mended and spoilt on purpose.
//!
//! Pure: a text in, findings or another text out, so that whoever asks twice hears the same.

pub mod defect;
pub mod dsl;
pub mod fix;
pub mod lint;
