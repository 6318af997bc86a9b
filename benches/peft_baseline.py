"""One case of `cargo bench --bench train` in PyTorch and PEFT: the same model, the same batches, the fastest step.

Arguments: the model's directory, a file of batches (rows of [ids, learned]), dropout, threads. The last line of the output is
{"seconds", "loss", "memory"}.
"""

import json
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM


def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])


def main(model_dir, batches, dropout, threads):
    torch.set_num_threads(int(threads))
    torch.manual_seed(42)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, attn_implementation="sdpa")
    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=float(dropout), target_modules=targets, task_type="CAUSAL_LM")
    model = get_peft_model(model, lora)
    model.train()
    model.config.use_cache = False
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0)
    best, first = float("inf"), None
    for rows in json.load(open(batches)):
        ids = torch.tensor([ids for ids, _ in rows])
        learned = torch.tensor([learned for _, learned in rows])
        labels = torch.where(learned, ids, -100)
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        best = min(best, time.perf_counter() - begin)
        first = loss.item() if first is None else first
    print(json.dumps({"seconds": best, "loss": first, "memory": peak()}))


main(*sys.argv[1:])
