"""Hosting ONNX artifacts over HTTP, and measuring them. Never imports torch or transformers."""
