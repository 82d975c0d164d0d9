"""Batched greedy answers: as fast as is claimed, and the same as one by one?

usage: python benchmarks/generate_speed.py RUN DATA [--rows N] [--one-by-one-rows N] [--device cpu|cuda]
           [--precision fp32|bf16] [--batch-size N]
on the CUDA machine: PYTHONPATH=gpu-kit/site:gpu-kit python3 benchmarks/generate_speed.py RUN DATA --precision fp32
           (and again with bf16)

Three ways, with the same model in the same process, after loading and a warm-up:
  batched greedy        what `sparksmith eval` does
  one by one, greedy    the same with one prompt at once: the strings that the batched way must give
  one by one, sampled   model.generate at temperature 1, one prompt at once, as gemma3-g2p evaluates
Where two answers differ, the gap between the two best logits at the first differing token is shown, computed one by
one: under 1e-4 it is a tie. In fp32 any other difference is a failure (exit code 1); in bf16 they are counted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sparksmith.model.libraries import settle_libraries

settle_libraries()

import torch  # noqa: E402

from sparksmith.data.examples import Message  # noqa: E402
from sparksmith.data.named import read_named  # noqa: E402
from sparksmith.evaluate.dataset import computing_in  # noqa: E402
from sparksmith.evaluate.find import find_model  # noqa: E402
from sparksmith.evaluate.load import Ready, load_ready  # noqa: E402
from sparksmith.model.generate import Answer, generate_greedy  # noqa: E402

TIE = 1e-4
WARM_UP = 8
Prompt = Sequence[int]


@dataclass(frozen=True)
class Way:
    """How one way of answering went."""

    name: str
    rows: int
    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.rows / self.seconds

    def line(self, slowest: Way) -> str:
        return (
            f"{self.name:<22}{self.rows:>7,}{self.seconds:>9.2f}{self.rate:>12,.1f}{self.tokens / self.rows:>14.1f}"
            f"{self.rate / slowest.rate:>9.1f}x"
        )


def greedy(ready: Ready, prompts: Sequence[Prompt], batch_size: int) -> list[Answer]:
    with computing_in(ready.model, ready.precision):
        return generate_greedy(
            ready.model, prompts, pad_id=ready.encoder.tokenizer.pad_token_id, stop_ids=ready.encoder.stop_ids(),
            max_new_tokens=ready.max_new_tokens, batch_size=batch_size, on_warning=print,
        ).answers  # fmt: skip


def sample(ready: Ready, prompt: Prompt) -> list[int]:
    """One sampled answer with its stop token, by Transformers' own loop."""
    from transformers import GenerationConfig

    config = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=ready.max_new_tokens,
        pad_token_id=ready.encoder.tokenizer.pad_token_id, eos_token_id=ready.encoder.stop_ids(),
    )  # fmt: skip
    input_ids = torch.tensor([list(prompt)], device=next(ready.model.parameters()).device)
    with torch.inference_mode(), computing_in(ready.model, ready.precision):
        output = ready.model.generate(
            input_ids=input_ids, attention_mask=torch.ones_like(input_ids), generation_config=config
        )
    return list(output[0, len(prompt) :].tolist())


def timed(name: str, rows: int, answer: Callable[[], Sequence[Sequence[int]]]) -> Way:
    """Answers are lists on the CPU when they are there, so that the GPU has finished."""
    began = time.perf_counter()
    answers = answer()
    seconds = time.perf_counter() - began
    return Way(name, rows, sum(map(len, answers)), seconds)


def find_gap(ready: Ready, prompt: Prompt, first: Answer, second: Answer) -> tuple[int, float]:
    """(place of the first differing token, gap between the two best logits there, alone in its batch)."""
    pairs = zip(first.tokens, second.tokens, strict=False)
    same = next((at for at, (one, other) in enumerate(pairs) if one != other), None)
    place = min(len(first.tokens), len(second.tokens)) if same is None else same
    input_ids = torch.tensor([[*prompt, *first.tokens[:place]]], device=next(ready.model.parameters()).device)
    with torch.inference_mode(), computing_in(ready.model, ready.precision):
        logits = ready.model(input_ids=input_ids, logits_to_keep=1).logits[0, -1].float()
    best = logits.topk(2).values
    return place, float(best[0] - best[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("data")
    parser.add_argument("--rows", type=int, help="prompts that are answered in batches; all, if not said")
    parser.add_argument("--one-by-one-rows", type=int, default=200, help="of these, spread evenly, one by one")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="fp32")
    parser.add_argument("--batch-size", type=int, help="the run's own, if not said")
    arguments = parser.parse_args()

    ready = load_ready(
        find_model(arguments.run), device=arguments.device, precision=arguments.precision,
        batch_size=arguments.batch_size,
    )  # fmt: skip
    examples = read_named(arguments.data, "eval").examples[: arguments.rows]
    prompts = [ready.encoder.encode_prompt([Message("user", example.prompt)]) for example in examples]
    count = min(arguments.one_by_one_rows, len(prompts))
    chosen = [at * len(prompts) // count for at in range(count)]
    some = [prompts[at] for at in chosen]

    device = next(ready.model.parameters()).device
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    parameters = sum(parameter.numel() for parameter in ready.model.parameters())
    print(f"{ready.name}: {parameters / 1e6:.1f}M parameters, {ready.precision}, {where}, torch {torch.__version__}")
    torch.manual_seed(0)
    greedy(ready, prompts[: ready.batch_size], ready.batch_size)
    greedy(ready, some[:WARM_UP], 1)
    for prompt in some[:WARM_UP]:
        sample(ready, prompt)

    batched: list[Answer] = []
    single: list[Answer] = []

    def keep(into: list[Answer], answers: list[Answer]) -> list[list[int]]:
        into += answers
        return [answer.tokens for answer in answers]

    ways = [
        timed(
            f"greedy, {ready.batch_size} at once", len(prompts),
            lambda: keep(batched, greedy(ready, prompts, ready.batch_size)),
        ),
        timed("greedy, one by one", count, lambda: keep(single, greedy(ready, some, 1))),
        timed("sampled, one by one", count, lambda: [sample(ready, prompt) for prompt in some]),
    ]  # fmt: skip
    print(f"{'':<22}{'rows':>7}{'seconds':>9}{'answers/s':>12}{'tokens/answer':>14}{'ratio':>10}")
    for way in ways:
        print(way.line(ways[-1]))

    different = [(at, one) for at, one in zip(chosen, single, strict=True) if batched[at] != one]
    failures = 0
    for at, one in different:
        place, gap = find_gap(ready, prompts[at], one, batched[at])
        tie = gap < TIE
        failures += not tie
        print(
            f"  line {examples[at].line}, token {place + 1}: gap {gap:.2e}{', a tie' if tie else ''}: "
            f"{ready.encoder.tokenizer.decode(one.tokens)!r} one by one, "
            f"{ready.encoder.tokenizer.decode(batched[at].tokens)!r} batched"
        )
    print(
        f"batched against one by one: {count - len(different):,} of {count:,} the same, "
        f"{len(different) - failures} ties under {TIE:g}, {failures} other differences"
    )
    return int(failures > 0 and ready.precision == "fp32")


if __name__ == "__main__":
    raise SystemExit(main())
