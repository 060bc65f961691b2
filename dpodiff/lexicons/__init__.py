"""Lexicons say what a word may be replaced by; builders make search spaces of their answers."""

from dpodiff.lexicons.base import KINDS, Dictionary, Kind, Lexicon
from dpodiff.lexicons.builders import antonym_space, describe, nplib_space, synonym_space
from dpodiff.lexicons.keywords import extract_keywords
from dpodiff.lexicons.llm import LLM, AnswerError, ServerError
from dpodiff.lexicons.wordnet import WordNet

__all__ = [
    "KINDS",
    "LLM",
    "AnswerError",
    "Dictionary",
    "Kind",
    "Lexicon",
    "ServerError",
    "WordNet",
    "antonym_space",
    "describe",
    "extract_keywords",
    "nplib_space",
    "synonym_space",
]
