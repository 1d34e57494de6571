"""Hugging Face: its Trainer's `hyperparameter_search` under our loop; nothing is downloaded."""

import tempfile
from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from autohpo.integrations.huggingface import hyperparameter_search

tokens = torch.randint(5, 50, (300, 6), generator=torch.Generator().manual_seed(0))
rows = [{"input_ids": row, "labels": int(row[0] > 25)} for row in tokens]


def model_init() -> Any:
    """Return a new model: here a very small one, else ``AutoModel....from_pretrained``."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForSequenceClassification(BertConfig(vocab_size=50, max_position_embeddings=8, **sizes))


def compute_metrics(prediction: Any) -> dict[str, float]:
    """Return the accuracy."""
    return {"accuracy": float((prediction.predictions.argmax(1) == prediction.label_ids).mean())}


def hp_space(trial: Any) -> dict[str, Any]:
    """Return what is searched, as Transformers' own method takes it."""
    return {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            folder,
            num_train_epochs=3,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            logging_strategy="no",
            disable_tqdm=True,
            report_to="none",
            use_cpu=True,
        )
        trainer = Trainer(
            model_init=model_init,
            args=args,
            train_dataset=rows[:200],
            eval_dataset=rows[200:],
            compute_metrics=compute_metrics,
        )
        best = hyperparameter_search(
            trainer, hp_space, n_trials=5, direction="maximize", algorithm="bohb", seed=0, run={"progress": False}
        )
    print("best", best.hyperparameters, "accuracy", round(best.objective, 3))
