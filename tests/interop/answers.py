"""What Optimum answers with a folder: run in .venv-interop, with the folder, its head and texts as arguments.

Prints JSON: the logits of all texts together, and what Optimum's pipeline says of each.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import optimum.onnxruntime
import transformers

folder, head, task, *texts = sys.argv[1:]
model: Any = getattr(optimum.onnxruntime, f"ORTModelFor{head}").from_pretrained(folder)
tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
logits = model(**batch).logits.tolist()
pipeline: Any = transformers.pipeline
said = pipeline(task, model=model, tokenizer=tokenizer)(texts)
sys.stdout.write(json.dumps({"logits": logits, "pipeline": said}, default=float))
