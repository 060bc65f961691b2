"""Lexicons say what a word may be replaced by; builders make search spaces of their answers."""

from dpodiff.lexicons.base import Dictionary, Lexicon
from dpodiff.lexicons.builders import antonym_space, nplib_space, synonym_space

__all__ = ["Dictionary", "Lexicon", "antonym_space", "nplib_space", "synonym_space"]
