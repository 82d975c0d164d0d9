"""Sparksmith: fine-tune language models dependably on an NVIDIA DGX Spark, and try it anywhere."""

__version__ = "0.1.0"
