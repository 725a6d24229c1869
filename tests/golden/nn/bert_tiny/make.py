#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes this folder: a BERT model of random parameters as `transformers` saves it, and what it answers.

    python make.py      (transformers 5.24, torch 2.13)
"""
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

folder = Path(__file__).parent
torch.manual_seed(7)
config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
                    intermediate_size=16, max_position_embeddings=12, hidden_act="gelu")
model = BertModel(config, add_pooling_layer=False).eval()
with torch.no_grad():
    for parameter in model.parameters():  # away from the zeros and ones they start with
        parameter.add_(0.3 * torch.randn_like(parameter))
save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()
           if "position_ids" not in name}, folder / "model.safetensors")
kept = ["model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
        "max_position_embeddings", "type_vocab_size", "hidden_act", "vocab_size", "pad_token_id"]
values = config.to_dict()
(folder / "config.json").write_text(json.dumps({k: values[k] for k in kept}, indent=1) + "\n")

ids = torch.tensor([[2, 5, 6, 7, 3, 0, 0], [2, 9, 3, 11, 12, 29, 3]])
segments = torch.tensor([[0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1]])
mask = (ids != 0).long()
with torch.no_grad():
    hidden = model(ids, attention_mask=mask, token_type_ids=segments).last_hidden_state
mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
(folder / "expected.json").write_text(json.dumps(
    {"ids": ids.tolist(), "segments": segments.tolist(), "hidden": hidden.tolist(),
     "mean": mean.tolist()}) + "\n")
