# SPDX-License-Identifier: Apache-2.0
"""Lightning, Hugging Face's Trainer and peft, with the real packages where they are installed."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import detente

ROOT = Path(__file__).resolve().parents[2]


def data(rows=48):
    x = torch.randn(rows, 5)
    return x, torch.stack([x.sum(1), -x.sum(1) + x[:, 0]], 1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(5, 8), nn.Tanh())
        self.heads = nn.ModuleList([nn.Linear(8, 1), nn.Linear(8, 1)])

    def losses(self, x, y):
        z = self.trunk(x)
        found = [F.mse_loss(head(z)[:, 0], y[:, k]) for k, head in enumerate(self.heads)]
        return dict(zip(("up", "down"), found))


def plain_loop(net, batches, method, lr, accumulate=1):
    """What the frameworks' loops must come to."""
    balancer = detente.Balancer(method)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    for i, (x, y) in enumerate(batches):
        losses = {name: loss / accumulate for name, loss in net.losses(x, y).items()}
        balancer.backward(losses)
        if (i + 1) % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
    return [p.detach().clone() for p in net.parameters()]


# ---- Lightning


def lightning_model(net, method="upgrad", **options):
    from detente.lightning import BalancedModule

    class Model(BalancedModule):
        def __init__(self):
            super().__init__(method, **options)
            self.net = net

        def training_step(self, batch, batch_idx):
            return self.balance(self.net.losses(*batch))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.05)

    return Model()


def lightning_trainer(folder, **options):
    lightning = pytest.importorskip("lightning.pytorch")
    return lightning.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_epochs": 2, "enable_checkpointing": False, **options},
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_lightning_is_the_plain_loop(tmp_path, accumulate):
    trainer = lightning_trainer(tmp_path, accumulate_grad_batches=accumulate)
    x, y = data()
    batches = list(zip(x.split(12), y.split(12)))
    torch.manual_seed(1)
    expected = plain_loop(Net(), 2 * batches, "upgrad", 0.05, accumulate)
    torch.manual_seed(1)
    net = Net()
    model = lightning_model(net)
    trainer.fit(model, torch.utils.data.DataLoader(list(zip(x, y)), batch_size=12))
    for p, wanted in zip(net.parameters(), expected):
        torch.testing.assert_close(p.detach(), wanted, rtol=1e-5, atol=1e-6)
    assert set(model.report.weights) == {"up", "down"}


@pytest.mark.filterwarnings("ignore")
def test_lightning_keeps_the_balancers_state(tmp_path):
    trainer = lightning_trainer(tmp_path, max_epochs=1)
    x, y = data()
    loader = torch.utils.data.DataLoader(list(zip(x, y)), batch_size=12)
    model = lightning_model(Net(), "famo")
    trainer.fit(model, loader)
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    state = model.balancer.state_dict()
    again = lightning_model(Net(), "famo")
    lightning_trainer(tmp_path, max_epochs=1).fit(
        again, loader, ckpt_path=tmp_path / "c.ckpt", weights_only=False
    )
    assert again.balancer.state_dict()["state"] == state["state"]


@pytest.mark.filterwarnings("ignore")
def test_lightning_without_balance_is_told(tmp_path):
    trainer = lightning_trainer(tmp_path)
    model = lightning_model(Net())
    model.training_step = lambda batch, batch_idx: sum(model.net.losses(*batch).values())
    x, y = data()
    with pytest.raises(RuntimeError, match="self.balance"):
        trainer.fit(model, torch.utils.data.DataLoader(list(zip(x, y)), batch_size=12))


# ---- Hugging Face


class ForTrainer(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, x=None, y=None):
        return {"losses": self.net.losses(x, y), "logits": self.net.trunk(x)}


def hf_arguments(folder, **more):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    options = dict(
        output_dir=str(folder),
        use_cpu=True,
        per_device_train_batch_size=12,
        learning_rate=0.05,
        optim="sgd",
        lr_scheduler_type="constant",
        max_grad_norm=0,
        num_train_epochs=2,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        logging_strategy="no",
        remove_unused_columns=False,
        label_names=["y"],
    )
    return transformers.TrainingArguments(**{**options, **more})


def hf_trainer(model, arguments, **options):
    from detente.huggingface import BalancedTrainer

    x, y = data()

    class InOrder(BalancedTrainer):
        def _get_train_sampler(self, *args):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    rows = [{"x": a, "y": b} for a, b in zip(x, y)]
    return InOrder(model, arguments, train_dataset=rows, eval_dataset=rows, **options), list(
        zip(x.split(12), y.split(12))
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_trainer_is_the_plain_loop(tmp_path, accumulate):
    arguments = hf_arguments(tmp_path, gradient_accumulation_steps=accumulate)
    model = ForTrainer()
    torch.manual_seed(3)
    net = Net()
    model.net.load_state_dict(net.state_dict())
    trainer, batches = hf_trainer(model, arguments, method="cagrad", balancing={"c": 0.4})
    expected = plain_loop(net, 2 * batches, "cagrad", 0.05, accumulate)
    result = trainer.train()
    assert np.isfinite(result.training_loss)
    for p, wanted in zip(model.parameters(), expected):
        torch.testing.assert_close(p.detach(), wanted, rtol=1e-5, atol=1e-6)
    assert np.isfinite(trainer.evaluate()["eval_loss"]) and set(trainer.report.weights) == {"up", "down"}


@pytest.mark.filterwarnings("ignore")
def test_trainer_keeps_the_balancers_state(tmp_path):
    arguments = hf_arguments(tmp_path, save_strategy="epoch", num_train_epochs=1)
    trainer, _ = hf_trainer(ForTrainer(), arguments, method="famo")
    trainer.train()
    state = trainer.balancer.state_dict()
    later, _ = hf_trainer(ForTrainer(), hf_arguments(tmp_path, num_train_epochs=1), method="famo")
    later.train(resume_from_checkpoint=True)  # nothing is left to do
    assert later.balancer.state_dict()["state"] == state["state"]


@pytest.mark.filterwarnings("ignore")
def test_a_model_without_losses_is_told(tmp_path):
    class Bare(ForTrainer):
        def forward(self, x=None, y=None):
            return {"loss": sum(self.net.losses(x, y).values())}

    trainer, _ = hf_trainer(Bare(), hf_arguments(tmp_path))
    with pytest.raises(ValueError, match='no dict "losses"'):
        trainer.train()


# ---- LoRA


@pytest.mark.filterwarnings("ignore")
def test_lora_through_peft():
    """Adapters alone learn; the direction is that of torch.autograd.grad per task."""
    transformers, peft = pytest.importorskip("transformers"), pytest.importorskip("peft")
    config = transformers.BertConfig(
        vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48
    )
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    adapted = peft.get_peft_model(
        transformers.BertModel(config),
        peft.LoraConfig(r=4, target_modules=["query", "value"], lora_dropout=0.0),
    )
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    heads = nn.ModuleList([nn.Linear(32, 2), nn.Linear(32, 3)])
    ids = torch.randint(0, 60, (6, 9))

    def losses():
        z = adapted(input_ids=ids).last_hidden_state[:, 0]
        return [F.cross_entropy(head(z), torch.arange(6) % head.out_features) for head in heads]

    shared = [p for p in adapted.parameters() if p.requires_grad]
    rows = [torch.autograd.grad(loss, shared, retain_graph=True) for loss in losses()]
    balancer = detente.Balancer("upgrad")
    for _ in range(2):
        for p in shared:
            p.grad = None
        report = balancer.backward(losses())
    assert {id(p) for p in balancer.parameters()[0]} == {id(p) for p in shared}
    for j, p in enumerate(shared):
        expected = sum(w * row[j] for w, row in zip(report.weights, rows))
        torch.testing.assert_close(p.grad, expected, rtol=1e-4, atol=1e-7)
    assert all(p.grad is None for p in adapted.parameters() if not p.requires_grad)


# ---- the example


@pytest.mark.filterwarnings("ignore")
def test_the_accelerate_example_runs(monkeypatch, capsys):
    pytest.importorskip("accelerate")
    monkeypatch.setattr(sys, "argv", ["accelerate_two_tasks.py", "--steps", "40"])
    runpy.run_path(str(ROOT / "examples/python/accelerate_two_tasks.py"), run_name="__main__")
    lines = capsys.readouterr().out.strip().splitlines()
    first, last = (float(line.split("loss")[1].split()[0]) for line in (lines[0], lines[-1]))
    assert last < first


def test_each_is_short():
    for file in (
        "python/detente/lightning.py",
        "python/detente/huggingface.py",
        "examples/python/accelerate_two_tasks.py",
    ):
        assert len((ROOT / file).read_text().splitlines()) <= 80, file
