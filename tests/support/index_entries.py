"""Entries of an index: of cards, of any number of models, and hostile ones.

Run as a script with numbers of models, it prints what their index takes.
"""

from __future__ import annotations

import math
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator

from support import cards

from thermoscan.card import Card
from thermoscan.catalogue.index import IndexEntry, profile_of
from thermoscan_reports.index import HtmlIndex

ARCHITECTURES = (
    "BertModel", "LlamaForCausalLM", "GPT2LMHeadModel", "ViTForImageClassification",
    "T5ForConditionalGeneration", "ResNetForImageClassification", "WhisperForConditionalGeneration",
    "CLIPModel", "MistralForCausalLM", "Qwen3ForCausalLM",
)  # fmt: skip
OWNERS = ("google", "sentence-transformers", "meta-llama", "mistralai", "lab-x", "hf-internal")
SIZES = ("base", "large", "small", "tiny")
KINDS = ("uncased", "finetuned-sst2", "v1", "instruct", "en")
REFUSALS = (
    ("header-json", "model.safetensors: the header is not JSON"),
    ("pickle-global", "pytorch_model.bin: asks for os.system, which is not on the list"),
    ("worker-died", "its worker died twice"),
)


def of_card(card: Card, name: str = "") -> IndexEntry:
    """The entry of a model that was scanned."""
    summary = card.summary
    severities = Counter(finding.severity for finding in card.findings)
    worst = next((each for each in ("error", "warning") if severities[each]), None)
    return IndexEntry(
        name=name or card.model.id,
        status="scanned",
        card="cards/model/card.html",
        architecture=card.model.architecture,
        parameters=card.model.parameters,
        bytes=card.model.bytes,
        dtype=max(card.model.dtypes, key=lambda dtype: card.model.dtypes[dtype], default=None),
        sampled=card.sampling is not None,
        reduced_temperature=summary.reduced_temperature,
        order=summary.order,
        transition_temperature=summary.transition_temperature,
        refresh_temperature=summary.refresh_temperature,
        work_efficiency=summary.work_efficiency,
        bits_per_parameter=summary.bits_per_parameter,
        sparsity=summary.sparsity,
        findings=severities,
        worst=tuple(sorted({each.code for each in card.findings if each.severity == worst})),
        profile=profile_of(card),
    )


def of_models(count: int, seed: int = 0) -> Iterator[IndexEntry]:
    """Models as a hub has them: a few families, the larger the rarer, some broken or refused."""
    random_ = random.Random(seed)
    for number in range(count):
        family = min(int(random_.expovariate(0.45)), len(ARCHITECTURES) - 1)
        short = ARCHITECTURES[family].partition("For")[0].lower()
        size, kind = random_.choice(SIZES), random_.choice(KINDS)
        name = f"{random_.choice(OWNERS)}/{short}-{size}-{kind}-{number}"
        fate = random_.random()
        if fate < 0.04:
            yield IndexEntry(name, "refused", *random_.choice(REFUSALS))
        elif fate < 0.06:
            yield IndexEntry(
                name, "skipped", "too-large", "its weights are of more bytes than 1 GB"
            )
        else:
            yield _scanned(name, family, random_)


def _scanned(name: str, family: int, random_: random.Random) -> IndexEntry:
    depth = random_.choice((6, 12, 24, 32, 32, 32))
    warmth = (1.2 + 0.25 * family) * random_.choice((1,) * 70 + (0.02, 12))
    profile = tuple(
        warmth * (1 + 0.8 * layer / depth) * math.exp(random_.gauss(0, 0.18))
        for layer in range(depth)
    )
    wide = random_.random() < 0.5
    parameters = int(10 ** random_.uniform(6.5, 10))
    findings = {
        severity: random_.randint(1, 5)
        for severity, share in (("error", 0.02), ("warning", 0.2), ("info", 0.6))
        if random_.random() < share
    }
    worst = ("at-initialisation", "dead-units") if "warning" in findings else ()
    return IndexEntry(
        name=name,
        status="scanned",
        card=f"cards/{name}/card.html",
        architecture=ARCHITECTURES[family],
        parameters=parameters,
        bytes=parameters * (4 if wide else 2),
        dtype="F32" if wide else "BF16",
        sampled=random_.random() < 0.1,
        reduced_temperature=sum(profile) / depth,
        order=random_.lognormvariate(-3.5, 0.4),
        transition_temperature=random_.lognormvariate(-6, 0.3) if random_.random() < 0.8 else None,
        work_efficiency=random_.uniform(0.1, 0.25),
        bits_per_parameter=(24 if wide else 10.5) + random_.gauss(0, 0.2),
        sparsity=0.0 if random_.random() < 0.98 else random_.random(),
        findings=findings,
        worst=("non-finite",) if "error" in findings else worst,
        profile=profile,
    )


def hostile() -> Iterator[IndexEntry]:
    """Every text of an entry is an attack, in each status."""
    for text in (*cards.HOSTILE_NAMES, "x" * 10_000, "//evil.example/x", "../../etc/passwd"):
        yield IndexEntry(
            text,
            "scanned",
            card=text,
            architecture=text,
            dtype=text,
            reduced_temperature=1.0,
            findings={"error": 1},
            worst=(text,),
            profile=(1.0, None, 2.0),
        )
        yield IndexEntry(text + "2", "scanned", card=f"cards/{text}", architecture=text)
        yield IndexEntry(text + "3", "refused", text, text)
        yield IndexEntry(text + "4", "skipped", text, text)


def main(counts: list[str]) -> None:
    """Prints what an index of each number of models takes."""
    print(f"{'models':>8} {'pages':>6} {'bytes a model':>14} {'largest page':>13} {'seconds':>8}")
    for count in map(int, counts):
        start, sizes = time.perf_counter(), []
        for _, text in HtmlIndex().render(of_models(count)):
            sizes.append(len(text.encode()))
        seconds = time.perf_counter() - start
        each = sum(sizes) / count
        print(f"{count:8,} {len(sizes):6,} {each:14,.0f} {max(sizes):13,} {seconds:8.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"most memory of the process: {peak:,.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
