//! `campaignd bench-train`: how fast this machine trains a model of a given shape, and what the adapters cost.

use super::{
    args::Shape,
    fail::{Fail, MISSING, USAGE},
    out,
    style::thousands,
};
use crate::{
    control::api::ErrorView,
    executor::job_dir::TRY_AGAIN,
    training::words::{Device, Module},
    worker::{
        Undone,
        bench::{self, Origin, Report, Request},
    },
};
use serde_json::json;

/// The flags of `bench-train`.
#[derive(clap::Args, Clone, Debug)]
pub struct BenchTrainArgs {
    /// qwen2.5-7b, llama-3.1-8b, llama-2-7b, or a config.json
    #[arg(long, value_name = "NAME|FILE", default_value = "qwen2.5-7b")]
    pub shape: String,
    /// Modules that have adapters, as q_proj,v_proj, or all
    #[arg(long, value_name = "MODULES", default_value = "q_proj,k_proj,v_proj,o_proj", value_parser = targets)]
    pub targets: Targets,
    /// Rank of the adapters
    #[arg(long, value_name = "R", default_value_t = 16)]
    pub rank: u32,
    /// Tokens of a document [default: 2048, or as many as the microbatch and the model have]
    #[arg(long, value_name = "N")]
    pub seq: Option<usize>,
    /// Tokens of the microbatch that documents are packed to [default: 8192; 512 on the processor]
    #[arg(long, value_name = "N")]
    pub tokens: Option<usize>,
    /// Share of the adapters' inputs that is dropped
    #[arg(long, value_name = "P", default_value_t = 0.1)]
    pub dropout: f64,
    /// Where to compute
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = device)]
    pub device: Device,
    /// The model's first N layers only
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
    /// Times that each is measured; the best counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: u32,
}

/// Modules, as one word or a list of them.
#[derive(Clone, Debug)]
pub struct Targets(Vec<Module>);

fn targets(text: &str) -> Result<Targets, String> {
    if text == "all" {
        return Ok(Targets(Module::ALL.to_vec()));
    }
    let modules = text.split(',').map(|name| name.trim().parse());
    let modules = modules.collect::<Result<_, String>>();
    modules
        .map(Targets)
        .map_err(|why| format!("{why}, and not all"))
}

fn device(text: &str) -> Result<Device, String> {
    text.parse()
}

/// Measures; 1 where the machine lacks something.
///
/// # Errors
/// What is wrong with the shape or the flags; that it would not fit into memory.
pub fn run(args: &BenchTrainArgs, shape: Shape) -> Result<u8, Fail> {
    let request = Request {
        shape: args.shape.clone(),
        layers: args.layers,
        targets: args.targets.0.clone(),
        rank: args.rank,
        dropout: args.dropout,
        length: args.seq,
        tokens: args.tokens,
        rounds: args.rounds,
        device: args.device,
    };
    let mut note = |text: String| {
        if !shape.quiet {
            out::note(&text);
        }
    };
    let report = bench::measure(&request, &mut note).map_err(fail)?;
    if shape.json {
        out::json(&value(&report))?;
    } else {
        out::print(&table(&report))?;
    }
    Ok(0)
}

fn fail(undone: Undone) -> Fail {
    let passing = undone.status == TRY_AGAIN;
    let right = if passing {
        "the same command again, later"
    } else {
        "campaignd bench-train --help"
    };
    Fail(vec![ErrorView {
        kind: "bench".into(),
        message: undone.text,
        right: Some(right.into()),
        exit_status: if passing { MISSING } else { USAGE },
        ..ErrorView::default()
    }])
}

/// The three that are measured: name, seconds, operations for each token.
fn measured(report: &Report) -> [(&'static str, f64, f64); 3] {
    let seconds = report.seconds;
    let all = report.flops_per_token();
    let adapters = report.flops.iter().filter(|part| part.what == "adapters");
    let adapters: f64 = adapters.map(|part| part.forward + part.backward).sum();
    [
        ("training step", seconds.step, all),
        ("frozen step", seconds.frozen, all - adapters),
        ("GEMM ceiling", seconds.products, report.product_flops),
    ]
}

fn value(report: &Report) -> serde_json::Value {
    let decoder = &report.shape.decoder;
    let tokens = report.tokens as f64;
    let figures = measured(report).map(|(_, seconds, flops)| {
        json!({
            "seconds": seconds,
            "tokens_per_second": tokens / seconds,
            "flops_per_token": flops,
            "flops_per_second": flops * tokens / seconds,
        })
    });
    let [step, frozen, ceiling] = figures;
    let origin = |part: &Origin| {
        json!({
            "what": part.what, "forward": part.forward, "backward": part.backward, "how": part.how,
        })
    };
    json!({
        "version": 1,
        "shape": report.shape.name,
        "architecture": decoder.architecture,
        "layers": decoder.layers.len(),
        "whole_layers": report.shape.whole_layers,
        "parameters": report.shape.parameters(),
        "trained_parameters": report.trained,
        "targets": report.settings.target_modules,
        "rank": report.settings.r,
        "dropout": report.settings.lora_dropout,
        "device": report.device,
        "seq": report.length,
        "tokens": report.tokens,
        "supervised": report.supervised,
        "rounds": report.rounds,
        "first_loss": report.loss,
        "training_step": step,
        "frozen_step": frozen,
        "gemm_ceiling": ceiling,
        "share_of_gemm_ceiling": report.share_of_ceiling(),
        "lora_tax_percent": 100.0 * report.tax(),
        "flops_per_token": report.flops.iter().map(origin).collect::<Vec<_>>(),
        "bytes": {
            "frozen_weights": report.bytes.weights,
            "adapters": report.bytes.adapters,
            "kept_per_token_layer": report.bytes.kept,
            "computed_again": report.bytes.again(),
            "planned": report.bytes.planned,
            "peak": report.bytes.peak,
            "peak_of": peak_of(report),
        },
    })
}

/// Whose the peak is.
fn peak_of(report: &Report) -> &'static str {
    match (report.bytes.peak, report.device) {
        (None, _) => "not measured",
        (Some(_), Device::Cpu) => "this process",
        (Some(_), _) => "the device",
    }
}

fn table(report: &Report) -> String {
    let mut text = head(report);
    text += &format!(
        "\n{:<18}{:>9}{:>12}{:>12}\n",
        "", "seconds", "tokens/s", "TFLOP/s"
    );
    let tokens = report.tokens as f64;
    for (what, seconds, flops) in measured(report) {
        text += &format!(
            "{what:<18}{seconds:>9.4}{:>12}{:>12}\n",
            thousands((tokens / seconds).round() as u64),
            tera(flops * tokens / seconds)
        );
    }
    text += &format!("\n{:<18}{:>9}\n", "", "%");
    for (what, share, how) in [
        (
            "share of ceiling",
            report.share_of_ceiling(),
            "of the step, for its frozen products alone",
        ),
        ("LoRA tax", report.tax(), "the step beyond the frozen step"),
    ] {
        text += &row(what, &[format!("{:.1}", 100.0 * share)], how);
    }
    text + &memory(report) + &origins(report)
}

/// What memory is for.
fn memory(report: &Report) -> String {
    let bytes = &report.bytes;
    let all = bytes.kept * (report.tokens * report.shape.decoder.layers.len()) as u64;
    let kept = format!("{} bytes of a token in a layer", thousands(bytes.kept));
    let mut text = format!("\n{:<18}{:>9}\n", "memory", "MB");
    for (what, bytes, how) in [
        ("frozen weights", Some(bytes.weights), ""),
        (
            "adapters",
            Some(bytes.adapters),
            "with gradients and moments",
        ),
        ("kept", Some(all), &kept),
        ("planned", bytes.planned, "all of it, before it began"),
        ("peak", bytes.peak, &format!("of {}", peak_of(report))),
    ] {
        let said = bytes.map_or("-".into(), |bytes| mega(bytes as f64));
        text += &row(what, &[said], how);
    }
    text + &format!("{:<18}{:>9}  {}\n", "computed again", "", bytes.again())
}

/// What was measured, in words.
fn head(report: &Report) -> String {
    let (shape, settings) = (&report.shape, &report.settings);
    let decoder = &shape.decoder;
    let layers = match decoder.layers.len() {
        some if some < shape.whole_layers => {
            format!("the first {some} of {} layers", shape.whole_layers)
        }
        all => format!("{all} layers"),
    };
    let all = settings.target_modules.len() == Module::ALL.len();
    let names: Vec<&str> = settings.target_modules.iter().map(|m| m.name()).collect();
    let targets = if all { "all".into() } else { names.join(",") };
    format!(
        "shape   {}, {}\n        {layers}, {} numbers, random\nLoRA    r {} on {targets}\n        {} numbers, dropout {}\nbatch   {} tokens in documents of {}, {} learned\nwhere   {}, the best of {} rounds in turns\n",
        shape.name,
        decoder.architecture,
        thousands(shape.parameters()),
        settings.r,
        thousands(report.trained),
        settings.lora_dropout,
        thousands(report.tokens as u64),
        thousands(report.length as u64),
        thousands(report.supervised as u64),
        report.device,
        report.rounds,
    )
}

/// Where operations come from.
fn origins(report: &Report) -> String {
    let mut text = format!("\n{:<18}{:>9}{:>9}\n", "MFLOP a token", "forward", "back");
    let (mut forward, mut backward) = (0.0, 0.0);
    for part in &report.flops {
        (forward, backward) = (forward + part.forward, backward + part.backward);
        text += &row(
            part.what,
            &[part.forward, part.backward].map(mega),
            part.how,
        );
    }
    text + &row("all", &[forward, backward].map(mega), "")
}

/// A name, its numbers right-aligned, and a remark.
fn row(what: &str, numbers: &[String], how: &str) -> String {
    let numbers: String = numbers
        .iter()
        .map(|number| format!("{number:>9}"))
        .collect();
    let row = format!("{what:<18}{numbers}  {how}");
    format!("{}\n", row.trim_end())
}

/// In millions of millions; what is far below one keeps a digit that says something.
fn tera(operations: f64) -> String {
    match operations / 1e12 {
        small if small < 0.01 => format!("{small:.1e}"),
        large => format!("{large:.3}"),
    }
}

/// In millions; small numbers keep a digit that says something.
fn mega(operations: f64) -> String {
    let millions = operations / 1e6;
    match millions {
        small if small < 100.0 => format!("{small:.2}"),
        large => thousands(large.round() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_all_or_a_list() {
        let read = |text| targets(text).map(|found| found.0);
        assert_eq!(read("all"), Ok(Module::ALL.to_vec()));
        assert_eq!(read("q_proj, up_proj"), Ok(vec![Module::Q, Module::Up]));
        for wrong in ["q_proj,", "queries", ""] {
            let why = read(wrong).unwrap_err();
            assert!(why.contains("is none of q_proj"), "{why}");
        }
    }

    #[test]
    fn operations_are_said_in_millions_and_more() {
        let said = [123_456.0, 99_990_000.0, 12_345_678_901.0].map(mega);
        assert_eq!(said, ["0.12", "99.99", "12,346"]);
        let said = [2.5e7, 8.1e10, 6.4e14].map(tera);
        assert_eq!(said, ["2.5e-5", "0.081", "640.000"]);
    }
}
