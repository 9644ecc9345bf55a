"""The models of benchmarks/compression.py: the options of `replank compress` for each row of a table."""

from __future__ import annotations

from itertools import product

PREDECESSOR = "predecessor"

# At the defaults, 3 epochs at 5e-5, a small encoder has not learned tasks of pairs yet.
_LEARNED = ("--epochs", "5", "--learning-rate", "1e-4")
_FIRST = ("--init-layers", "first")
_PUBLISHED = (*_FIRST, "--perturbed", "0")
# Without the fit and the answers, replacing did better at twice the learning rate (log.md).
_THESEUS_PUBLISHED = (
    *_FIRST,
    *("--soft-weight", "0", "--second-phase", "layers", "--learning-rate", "2e-4"),
)
# ENCODER stands for the pretrained encoder. A suite whose predecessors are not fine-tuned as by default says how.
SUITES: dict[str, dict[str, tuple[str, ...]]] = {
    # Methods as their papers have them, and at their best: from the same fitted start. In the order that decides.
    "main": {
        PREDECESSOR: _LEARNED,
        "theseus": (),
        "kd-published": ("--method", "kd", *_PUBLISHED),
        "truncate-published": ("--method", "truncate", *_FIRST),
        "kd": ("--method", "kd"),
        "truncate": ("--method", "truncate"),
        "pkd-published": ("--method", "pkd", *_PUBLISHED),
        "pkd": ("--method", "pkd"),
        "theseus-published": _THESEUS_PUBLISHED,
    },
    # RefBERT-style, a reconstruction, beside the distillation that it adds references to: benchmarks/references.py has
    # the controls.
    "references": {
        "refbert": ("--method", "refbert"),
        "refbert-vectors": ("--method", "refbert", "--retrieval", "vectors"),
        "refbert-int8-bank": ("--method", "refbert", "--bank-precision", "int8"),
        "refbert-published": ("--method", "refbert", *_FIRST),
    },
    # What each part adds, from the paper's labels alone to the default.
    "parts": {
        "labels-spread": ("--soft-weight", "0", "--init-layers", "spread"),
        "labels-fitted": ("--soft-weight", "0"),
        "soft-spread": ("--init-layers", "spread", "--perturbed", "0"),
        "soft-fitted": ("--perturbed", "0"),
        "kd-spread": ("--method", "kd", "--init-layers", "spread", "--perturbed", "0"),
    },
    # Trials by which the defaults are chosen; on tasks that no table of the README shows.
    "trials": {
        PREDECESSOR: _LEARNED,
        "base": (),
        "spread": ("--init-layers", "spread"),
        "labels": ("--soft-weight", "0"),
        "lr-2e-4": ("--learning-rate", "2e-4"),
        "lr-5e-5": ("--learning-rate", "5e-5"),
        "ramp-0.25": ("--ramp", "0.25", "--base-rate", "0.5"),
        "soft-0.9": ("--soft-weight", "0.9"),
        "temperature-5": ("--temperature", "5"),
        "no-copies": ("--perturbed", "0"),
        "module-1": ("--module-weight", "1"),
        "kd-first": ("--method", "kd", "--init-layers", "first"),
        "kd-fitted": ("--method", "kd"),
        "truncate-fitted": ("--method", "truncate"),
    },
    # Groups of several sizes: the larger ones below or above.
    "grouping": {
        "larger-last": ("--grouping", "1,1,2,2"),
        "larger-first": ("--grouping", "2,2,1,1"),
    },
    "schedule": {
        "constant": ("--schedule", "constant"),
        "anti-curriculum": ("--schedule", "anti-curriculum"),
        "no-second-phase": ("--ramp", "1", "--second-phase", "none"),
    },
    "second-phase": {
        "second-phase-layers": ("--second-phase", "layers"),
        "second-phase-head": ("--second-phase", "head"),
    },
    # Fine-tuning a predecessor and replacing its layers run about as many layers as 12 epochs of the small model alone.
    "compute": {
        "truncate-pretrained": ("--method", "truncate", "--init-from", "ENCODER"),
        "truncate-pretrained-12-epochs": ("--method", "truncate", "--init-from", "ENCODER", "--epochs", "12"),
    },
    "depth": {
        f"{method}-{layers}-layers": ("--layers", layers, "--method", method)
        for layers, method in product(("4", "3"), ("theseus", "truncate"))
    },
}
