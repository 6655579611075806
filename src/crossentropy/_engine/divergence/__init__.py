"""Divergences of two rows of logits: distillation and Jensen–Shannon consistency."""
