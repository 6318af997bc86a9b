"""Near-duplicates by datasketch: MinHashLSH, first come, first kept. Its answers are taken as they are and verified after."""

import resource
import sys
import time

from datasketch import MinHash, MinHashLSH


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


rows = open(sys.argv[1], encoding="utf-8").read().splitlines()


def shingles(text):
    return {text[at : at + 4].encode() for at in range(len(text) - 3)} or {text.encode()}


before = memory()
began = time.monotonic()
signatures = MinHash.bulk([shingles(row) for row in rows], num_perm=128)
signed = time.monotonic()
index = MinHashLSH(threshold=0.85, num_perm=128)
met = {}
for row, signature in enumerate(signatures):
    found = index.query(signature)
    if found:
        met[row] = found
    else:
        index.insert(row, signature)
searched = time.monotonic()


def jaccard(a, b):
    return len(a & b) / len(a | b)


wrong = 0
for row, found in met.items():
    mine = shingles(rows[row])
    wrong += all(jaccard(mine, shingles(rows[other])) < 0.85 for other in found)
print(signed - began, searched - signed, len(met), wrong, memory() - before)
