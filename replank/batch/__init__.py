"""Offline prediction of files of any size."""
