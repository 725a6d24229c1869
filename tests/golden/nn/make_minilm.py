#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes minilm.json: sentences, their token ids and vectors by another implementation.

    python make_minilm.py FOLDER      (data/minilm after prepare.sh; transformers 5.24, torch 2.13)
"""
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModel, BertTokenizer

folder = sys.argv[1]
tokenizer = BertTokenizer(str(Path(folder) / "vocab.txt"), do_lower_case=True)
model = AutoModel.from_pretrained(folder).eval()
sentences = [
    "A man with a hard hat is dancing.",
    "Café au lait, 3€ — naïve!",
    "The quick brown fox jumps over the lazy dog; unbelievably, nobody noticed 1,234 zebras.",
    "漢字 and emoji 🙂",
]
vectors = []
for sentence in sentences:
    with torch.no_grad():
        hidden = model(**tokenizer(sentence, return_tensors="pt")).last_hidden_state
    vectors.append([round(v, 7) for v in torch.nn.functional.normalize(hidden.mean(1)[0], dim=0).tolist()])
Path(__file__).with_name("minilm.json").write_text(
    json.dumps({"sentences": sentences, "ids": [tokenizer(s)["input_ids"] for s in sentences],
                "vectors": vectors}, ensure_ascii=False) + "\n", encoding="utf-8")
