"""Loads data sets the way their users do, and compares what each reader sees: check.py DIR...

A DIR with a card (README.md with `configs`) is a data set: each of its data sets is loaded by name, every file must belong to
one, and SHA256SUMS must be right. A DIR without is a folder of tables, as an export leaves it: each file is loaded by itself.
The truth is the JSON Lines, read by Python's own json; Parquet and JSON Lines are then read by pyarrow and by `datasets`.

One line for each DIR: "ok DIR: ..." or, for each problem, "DIR: ...". Exit status 1 if there is any problem.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet
import yaml

# Rows of other generators are kept as they are; they need not be anything that a trainer knows.
FOREIGN = {"samples"}
# Beside the tables of a data set; not tables themselves.
NO_TABLES = {"rejected.jsonl"}


class Wrong(Exception):
    pass


def need(condition, said):
    if not condition:
        raise Wrong(said)


# ---- the truth


def rows_of(path):
    rows = []
    with open(path, encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            need(line.endswith("\n"), f"line {number} is torn")
            row = json.loads(line, parse_constant=lambda word: need(False, f"line {number} has {word}"))
            need(isinstance(row, dict), f"line {number} is no object")
            rows.append(row)
    need(rows, "there is no row")
    keys = list(rows[0])
    for number, row in enumerate(rows, 1):
        need(list(row) == keys, f"line {number} has other keys than the first, or in another order")
    return rows


# A text that is a date or a time: what `datasets` reads from JSON Lines as a timestamp, whatever features it is given, and
# writes back in another form. Its Parquet reader does not.
STAMP = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)?")


def stamped(value):
    if isinstance(value, dict):
        return {key: stamped(one) for key, one in value.items()}
    if isinstance(value, list):
        return [stamped(one) for one in value]
    stamp = STAMP.fullmatch(value) if isinstance(value, str) else None
    return f"{stamp[1]} {stamp[2] or '00:00'}{stamp[3] or ':00'}" if stamp else value


def same(read, rows, reader, form=lambda value: value):
    """By their JSON: an integer is no float there, and the order of keys counts."""
    need(len(read) == len(rows), f"{reader} sees {len(read)} rows of {len(rows)}")
    # All at once is fast; one by one says where.
    if json.dumps(read) == json.dumps(rows):
        return
    for number, (one, other) in enumerate(zip(read, rows), 1):
        if json.dumps(one) != json.dumps(other) and json.dumps(form(one)) != json.dumps(form(other)):
            odd = [key for key in other if one.get(key, ...) != other[key]] or list(other)
            sight = {key: one.get(key) for key in odd}
            truth = {key: other[key] for key in odd}
            raise Wrong(f"{reader} sees row {number} as {str(sight)[:300]}, not as {str(truth)[:300]}")


# ---- shapes, as the documentation of TRL has them


def chat(messages, name):
    need(isinstance(messages, list) and messages, f"{name} is no list of messages")
    for message in messages:
        need(isinstance(message, dict), f"{name} holds something that is no message")
        need(isinstance(message.get("role"), str) and message["role"], f"a message of {name} has no role")
        need(isinstance(message.get("content"), str), f"a message of {name} has no content")


def text_or_chat(row, *names):
    """All of them texts, or all of them conversations; which."""
    if all(isinstance(row[name], str) for name in names):
        need(all(row[name] for name in names), f"one of {', '.join(names)} is empty")
        return "standard"
    for name in names:
        chat(row[name], name)
    need(row["prompt"][-1]["role"] != "assistant", "prompt ends with an answer")
    for name in names:
        need(name == "prompt" or row[name][0]["role"] == "assistant", f"{name} begins with no answer")
    return "conversational"


def language_modelling(row):
    chat(row["messages"], "messages")
    need(row["messages"][-1]["role"] == "assistant", "messages end without an answer")
    return "conversational language modelling"


def text(row):
    need(isinstance(row["text"], str) and row["text"], "text is empty")
    return "standard language modelling"


def preference(row):
    kind = text_or_chat(row, "prompt", "chosen", "rejected")
    need(row["chosen"] != row["rejected"], "chosen is rejected")
    return f"{kind} preference"


def prompt_completion(row):
    return f"{text_or_chat(row, 'prompt', 'completion')} prompt-completion"


def sharegpt(row):
    turns = row["conversations"]
    need(isinstance(turns, list) and turns, "conversations is no list")
    for turn in turns:
        need(turn.get("from") in ("system", "human", "gpt", "tool"), f"a turn is from {turn.get('from')}")
        need(isinstance(turn.get("value"), str), "a turn has no value")
    return "sharegpt"


def alpaca(row):
    need(isinstance(row["instruction"], str) and row["instruction"], "instruction is empty")
    need(isinstance(row["input"], str) and isinstance(row["output"], str), "input or output is no text")
    return "alpaca"


# The first whose keys a table has; those of a preference first, which has a prompt as well.
SHAPES = [
    (("prompt", "chosen", "rejected"), preference),
    (("prompt", "completion"), prompt_completion),
    (("messages",), language_modelling),
    (("conversations",), sharegpt),
    (("instruction", "input", "output"), alpaca),
    (("text",), text),
]


def shape(rows):
    for keys, check in SHAPES:
        if all(key in rows[0] for key in keys):
            found = set()
            for number, row in enumerate(rows, 1):
                try:
                    found.add(check(row))
                except Wrong as wrong:
                    raise Wrong(f"row {number}: {wrong}") from None
            need(len(found) == 1, f"rows of several shapes: {', '.join(sorted(found))}")
            return found.pop()
    raise Wrong(f"no trainer knows a row of {', '.join(rows[0])}")


# ---- readers


def load(kind, path, features=None):
    return datasets.load_dataset(kind, data_files={"train": str(path)}, features=features, split="train")


def table(jsonl, parquet, by_card=None, foreign=False):
    """Checks the files of one split; the number of rows and their shape. `by_card` is what its card loads, if it has one."""
    rows = rows_of(jsonl)
    try:
        known = shape(rows)
    except Wrong:
        if not foreign:
            raise
        known = "rows of others"
    features = None
    if parquet:
        read = pyarrow.parquet.read_table(parquet)
        same(read.to_pylist(), rows, "pyarrow")
        loaded = by_card or load("parquet", parquet)
        need(b"huggingface" in (read.schema.metadata or {}), "the file does not state its features")
        features = datasets.Features.from_arrow_schema(read.schema)
        need(loaded.features == features, f"features: {features} in the file, {loaded.features} when it is loaded")
        same(loaded.to_list(), rows, "datasets")
        explicit = pa.json.ParseOptions(explicit_schema=read.schema.remove_metadata(), unexpected_field_behavior="error")
        block = pa.json.ReadOptions(block_size=64 << 20)
        lines = pa.json.read_json(jsonl, parse_options=explicit, read_options=block)
        need(lines.equals(read), "pyarrow sees other rows in the JSON Lines than in the Parquet")
    same(load("json", jsonl, features).to_list(), rows, "datasets, of the JSON Lines,", stamped)
    return len(rows), known


def data_set(root, card):
    configs = card["configs"]
    names = [config["config_name"] for config in configs]
    need(len(set(names)) == len(names), "a name is there twice")
    need(datasets.get_dataset_config_names(str(root)) == names, "datasets does not see these names")
    told, seen, total = [], set(), 0
    for config in configs:
        name = config["config_name"]
        loaded = datasets.load_dataset(str(root), name)
        splits = {file["split"]: root / file["path"] for file in config["data_files"]}
        need(set(loaded) == set(splits), f"{name}: splits {sorted(loaded)} instead of {sorted(splits)}")
        shapes = set()
        for split, path in splits.items():
            try:
                jsonl = path.with_suffix(".jsonl")
                rows, known = table(jsonl, path, loaded[split], name in FOREIGN)
            except Wrong as wrong:
                raise Wrong(f"{path.relative_to(root)}: {wrong}") from None
            seen |= {path, jsonl}
            shapes.add(known)
            total += rows
        need(len(shapes) == 1, f"{name}: splits of several shapes")
        told.append(f"{name} {shapes.pop()}")
    for path in tables(root):
        need(path in seen or path.name in NO_TABLES, f"{path.relative_to(root)} is in no config of the card")
    return f"{len(names)} data sets, {len(seen)} files, {total} rows; " + ", ".join(told)


def folder(root):
    told, total = [], 0
    found = tables(root)
    need(found, "there is no table")
    for path in found:
        jsonl, parquet = path.with_suffix(".jsonl"), path.with_suffix(".parquet")
        try:
            need(jsonl in found, "has no JSON Lines beside it")
            if path == jsonl:
                rows, known = table(jsonl, parquet if parquet in found else None)
                told.append(f"{path.relative_to(root)} {known}")
                total += rows
        except Wrong as wrong:
            raise Wrong(f"{path.relative_to(root)}: {wrong}") from None
    return f"{len(found)} files, {total} rows; " + ", ".join(told)


def tables(root):
    return sorted(path for path in root.rglob("*") if path.suffix in (".parquet", ".jsonl"))


# ---- the directory


def front_matter(path):
    if not path.is_file():
        return {}
    parts = path.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else {}


def sums(root):
    listed = {}
    for line in (root / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ", 1)
        listed[name] = digest
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    need(files == set(listed), f"SHA256SUMS: {sorted(files ^ set(listed))} are not on both sides")
    for name, digest in listed.items():
        with open(root / name, "rb") as file:
            need(hashlib.file_digest(file, "sha256").hexdigest() == digest, f"SHA256SUMS: {name} is another")


def check(root):
    card = front_matter(root / "README.md")
    if (root / "SHA256SUMS").exists() or card.get("configs"):
        need((root / "SHA256SUMS").exists(), "there is no SHA256SUMS")
        sums(root)
    return data_set(root, card) if card.get("configs") else folder(root)


def main():
    datasets.disable_progress_bars()
    wrong = 0
    for name in sys.argv[1:]:
        try:
            print(f"ok {name}: {check(Path(name).resolve())}")
        except Exception as error:
            wrong += 1
            cause = f"{type(error.__cause__).__name__}: {error.__cause__}; " if error.__cause__ else ""
            kind = "" if isinstance(error, Wrong) else f"{cause}{type(error).__name__}: "
            print(f"{name}: {kind}{error}")
    sys.exit(1 if wrong else 0)


main()
