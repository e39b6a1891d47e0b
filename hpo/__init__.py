"""Experiment-tracking hyperparameter search for fine-tuning GPT-2 text classifiers."""

__version__ = "0.2.0"
