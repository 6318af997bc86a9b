"""Loads what campaignd trained as its users do, and compares losses: check.py MODEL ADAPTER MERGED ROWS ITEMS NAME.

MODEL is the base, ADAPTER its PEFT directory, MERGED the merged model's, ROWS pre-tokenised rows, ITEMS the items.jsonl of
`campaignd evaluate` on them, NAME what the adapter is called there. The base and the merged model are loaded by transformers,
the adapter by PEFT, all in f32; every row's loss must be the evaluation's to 1e-4 of itself. Exit status 1 and a line for
each that is not.
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM

TOLERANCE = 1e-4
IGNORED = -100


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines() if line.strip()]


@torch.no_grad()
def losses(model, rows):
    """The mean loss of each row's supervised tokens, and how many they are."""
    model.eval()
    found = []
    for row in rows:
        ids = torch.tensor([row["input_ids"]])
        logits = model(input_ids=ids).logits[0, :-1].double()
        labels = torch.tensor(row["labels"])[1:]
        kept = labels != IGNORED
        loss = torch.nn.functional.cross_entropy(logits[kept], labels[kept])
        found.append((loss.item(), int(kept.sum())))
    return found


def measured(items, name):
    shares = [item["models"][name]["metrics"]["loss"] for item in items]
    return [(share["sum"] / share["count"], int(share["count"])) for share in shares]


def compare(what, theirs, ours):
    """The largest relative difference; a line for each row that differs by more than is allowed."""
    wrong, worst = [], 0.0
    for number, ((right, counted), (said, tokens)) in enumerate(zip(theirs, ours, strict=True), 1):
        gap = abs(said - right) / abs(right)
        worst = max(worst, gap)
        # Written so that a gap that is no number is too large.
        if counted != tokens or not gap <= TOLERANCE:
            wrong.append(f"{what}: row {number}: {said} of {tokens} tokens, should be {right} of {counted}")
    return worst, wrong


def load(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)


def main(base, adapter, merged, rows, items, name):
    rows, items = lines(rows), lines(items)
    if not rows:
        sys.exit("there is no row")
    config = LoraConfig.from_pretrained(adapter)
    plain = losses(load(base), rows)
    tuned = losses(PeftModel.from_pretrained(load(base), adapter), rows)
    loaded = losses(load(merged), rows)
    moved = max(abs(a - b) for (a, _), (b, _) in zip(plain, tuned))
    wrong = [] if moved > 0.01 else [f"the adapter moves no loss by more than {moved}: nothing is compared"]
    said = []
    for what, theirs, ours in [
        ("base", plain, measured(items, "base")),
        ("adapter", tuned, measured(items, name)),
        ("merged", loaded, measured(items, name)),
    ]:
        worst, found = compare(what, theirs, ours)
        wrong += found
        said.append(f"{what} {worst:.1e}")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"ok {name}: {len(rows)} rows, r {config.r}, moved {moved:.3f}; off by {', '.join(said)}")


main(*sys.argv[1:])
