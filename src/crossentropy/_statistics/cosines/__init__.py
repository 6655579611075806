"""Cosines of float64 features with more digits than one rounding each leaves: values, tangents, gradients."""
