#!/usr/bin/env python3
"""A foreign generator: arithmetic questions with answers, as JSON lines.

It shows all that campaignd asks of a generator. It appends to --out, one sample a
line with an `id` that no other sample has; started again, it goes on from the lines
that are there; it ends with status 0 when --target samples are there.
"""

import argparse
import hashlib
import json
import os


def sample(seed, shard, number):
    """The sample of a number: a function of its arguments, so that a restart repeats nothing."""
    digest = hashlib.sha256(f"{seed}/{shard}/{number}".encode()).digest()
    left, right = int.from_bytes(digest[:3], "big"), int.from_bytes(digest[3:6], "big")
    return {
        "id": f"sum-{seed}-{shard}-{number}",
        "prompt": f"What is {left} + {right}?",
        "completion": str(left + right),
        "quality_score": round(0.8 + 0.2 * digest[6] / 255, 4),
    }


def finished_lines(path):
    """Reads what is there and cuts a line that was not finished."""
    if not os.path.exists(path):
        return []
    with open(path, "rb+") as file:
        text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        file.truncate(len(whole))
    return [json.loads(line) for line in whole.splitlines() if line.strip()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=int, required=True, help="samples that --out has in the end")
    parser.add_argument("--out", required=True, help="file to append to")
    parser.add_argument("--shard", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    samples = finished_lines(args.out)
    ids = {each["id"] for each in samples}
    quality = sum(each["quality_score"] for each in samples)
    number = 0
    with open(args.out, "a", encoding="utf-8") as out:
        while len(ids) < args.target:
            new = sample(args.seed, args.shard, number)
            number += 1
            if new["id"] in ids:
                continue
            out.write(json.dumps(new) + "\n")
            out.flush()
            ids.add(new["id"])
            quality += new["quality_score"]
            done = len(ids)
            print(f"Progress: {done}/{args.target} ({100 * done / args.target:.1f}%) | Quality: {quality / done:.3f}", flush=True)


if __name__ == "__main__":
    main()
