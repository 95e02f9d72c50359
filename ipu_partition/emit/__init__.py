"""Turns a plan into what runs it: files, Python source, blocks on a live model."""
