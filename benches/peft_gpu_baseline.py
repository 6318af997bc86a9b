"""The counterpart of `campaignd bench-train` in PyTorch and PEFT, for the same GPU: random weights of the same shapes, the same
tokens in documents of the same length, the same targets, rank and dropout.

    python3 benches/peft_gpu_baseline.py --shape llama-3.1-8b --targets all
    python3 benches/peft_gpu_baseline.py --shape config.json --layers 1 --tokens 64 --seq 16 --device cpu

Needs torch, transformers and peft. The base is bf16, the adapters are f32 under autocast, as PEFT and the Hugging Face Trainer
have it with bf16 = true; documents of one length are rows of a batch, so nothing is padded. Of several steps the fastest counts.
The last line of the output is one JSON value.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import peft
import torch
import transformers

SHAPES = pathlib.Path(__file__).parent.parent / "src/worker/bench/shapes"
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = sorted(path.stem for path in SHAPES.glob("*.json"))
    parser.add_argument("--shape", default="qwen2.5-7b", help=f"{', '.join(known)}, or a config.json")
    parser.add_argument("--targets", default="q_proj,k_proj,v_proj,o_proj", help="modules by comma, or all")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--seq", type=int, default=2048, help="tokens of a document")
    parser.add_argument("--tokens", type=int, default=8192, help="tokens of a microbatch")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--layers", type=int, help="the first layers only")
    parser.add_argument("--steps", type=int, default=10, help="measured steps, after two others")
    parser.add_argument("--attention", default="sdpa", help="sdpa, flash_attention_2, ...")
    parser.add_argument("--checkpoint", action="store_true", help="gradient checkpointing, where memory does not suffice")
    args = parser.parse_args()
    if args.seq < 2 or args.tokens < 1 or args.tokens % args.seq:
        parser.error(f"documents of {args.seq} tokens do not fill a microbatch of {args.tokens}")
    args.targets = MODULES if args.targets == "all" else args.targets.split(",")
    if wrong := [name for name in args.targets if name not in MODULES]:
        parser.error(f"{wrong[0]} is none of {', '.join(MODULES)}")
    return args


def build(args):
    """The model with its adapters, without reading or writing any weights."""
    file = SHAPES / f"{args.shape}.json"
    fields = json.loads((file if file.exists() else pathlib.Path(args.shape)).read_text())
    config = transformers.AutoConfig.for_model(**fields)
    whole = config.num_hidden_layers
    if args.layers is not None:
        if not 1 <= args.layers <= whole:
            sys.exit(f"--layers {args.layers} is wrong: {args.shape} has 1 to {whole}")
        config.num_hidden_layers = args.layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[: args.layers]
    config.use_cache = False
    with torch.device(args.device):
        model = transformers.AutoModelForCausalLM.from_config(
            config, dtype=torch.bfloat16, attn_implementation=args.attention
        )
        lora = peft.LoraConfig(
            r=args.rank,
            lora_alpha=2 * args.rank,
            lora_dropout=args.dropout,
            target_modules=args.targets,
            task_type="CAUSAL_LM",
        )
        model = peft.get_peft_model(model, lora)
    if args.checkpoint:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    model.train()
    return model, config, whole


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def peak(device):
    """The most memory: of the device, or of this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return None


def step(model, optimizer, trained, ids, device):
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(device, dtype=torch.bfloat16):
        loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    return loss


def main():
    args = arguments()
    torch.manual_seed(42)
    model, config, whole = build(args)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0, fused=args.device == "cuda")
    ids = torch.randint(config.vocab_size, (args.tokens // args.seq, args.seq), device=args.device)
    best, first = math.inf, None
    for number in range(args.steps + 2):
        wait(args.device)
        begin = time.perf_counter()
        loss = step(model, optimizer, trained, ids, args.device)
        wait(args.device)
        if number > 1:
            best = min(best, time.perf_counter() - begin)
        first = loss.item() if first is None else first
    if not math.isfinite(first):
        sys.exit(f"the loss of the first step is {first}")
    print(
        json.dumps(
            {
                "version": 1,
                "shape": args.shape,
                "layers": config.num_hidden_layers,
                "whole_layers": whole,
                "parameters": sum(p.numel() for p in model.parameters() if not p.requires_grad),
                "trained_parameters": sum(p.numel() for p in trained),
                "targets": args.targets,
                "rank": args.rank,
                "dropout": args.dropout,
                "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
                "attention": args.attention,
                "checkpointing": args.checkpoint,
                "seq": args.seq,
                "tokens": args.tokens,
                "steps": args.steps,
                "first_loss": first,
                "seconds": best,
                "tokens_per_second": args.tokens / best,
                "peak_bytes": peak(args.device),
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "peft": peft.__version__,
            }
        )
    )


main()
