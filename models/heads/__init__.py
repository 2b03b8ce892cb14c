"""Heads: from a feature map to logits, of masks or of a diagnosis."""
