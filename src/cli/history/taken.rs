//! The experiments as a file of another program. It appears only whole.

use super::{
    super::{
        args::Shape,
        export::sink::{Temporary, failed, unstored, unwritten},
        fail::{Fail, USAGE},
        out,
        style::thousands,
    },
    HistoryArgs,
};
use crate::{
    artifacts::table::write_parquet,
    control::api::VERSION,
    history::Experiment,
    report::history::{plot::Point, sqlite, svg, table},
};
use serde_json::json;
use std::{fs, path::Path};

/// Whether a file is asked for.
pub fn is_asked(args: &HistoryArgs) -> bool {
    args.parquet.is_some() || args.sqlite.is_some()
}

/// Writes it, and says so.
pub fn take(shape: Shape, args: &HistoryArgs, all: &[Experiment]) -> Result<u8, Fail> {
    let (format, file) = match (&args.parquet, &args.sqlite) {
        (Some(file), _) => ("parquet", file),
        (None, Some(file)) => ("sqlite", file),
        (None, None) => return Ok(0),
    };
    let rows = kept(file, args.force, |path| {
        if format == "sqlite" {
            return sqlite::write(path, all).map_err(|error| unstored(file, &error));
        }
        let schema = table::schema(all);
        let rows = all.iter().map(|one| table::row(one, &schema));
        write_parquet(path, &schema, rows).map_err(|error| unwritten(file, &error))
    })?;
    if shape.json {
        out::json(
            &json!({ "version": VERSION, "format": format, "file": file, "experiments": rows }),
        )?;
    } else if !shape.quiet {
        out::print(&format!(
            "{} experiments in {}\n",
            thousands(rows),
            file.display()
        ))?;
    }
    Ok(0)
}

/// Writes a plot.
pub fn svg(file: &Path, points: &[Point], metric: &str, force: bool) -> Result<(), Fail> {
    let picture = svg::svg(points, metric);
    kept(file, force, |path| {
        fs::write(path, &picture).map_err(|error| unwritten(file, &error))
    })
}

/// What `write` writes to a file that has no name yet gets its name.
fn kept<T>(
    file: &Path,
    force: bool,
    write: impl FnOnce(&Path) -> Result<T, Fail>,
) -> Result<T, Fail> {
    if file.exists() && !force {
        let message = "the file is there already".into();
        return Err(failed(
            message,
            file,
            "--force replaces it, or another file",
            USAGE,
        ));
    }
    let temporary = Temporary::beside(file)?;
    let written = write(&temporary.path)?;
    temporary
        .keep(force)
        .map_err(|error| unwritten(file, &error))?;
    Ok(written)
}
