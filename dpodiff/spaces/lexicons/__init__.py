"""Lexicons return alternatives to words; builders make search spaces from them."""

from dpodiff.spaces.lexicons.base import KINDS, Dictionary, Kind, Lexicon
from dpodiff.spaces.lexicons.builders import (
    antonym_space,
    describe,
    synonym_space,
)
from dpodiff.spaces.lexicons.emphasis import emphasis_space
from dpodiff.spaces.lexicons.keywords import extract_keywords
from dpodiff.spaces.lexicons.library import modifiers_space, nplib_space, read_words
from dpodiff.spaces.lexicons.llm import LLM, AnswerError, ServerError
from dpodiff.spaces.lexicons.sampler import guidance_space, window_space
from dpodiff.spaces.lexicons.wordnet import WordNet

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
    "emphasis_space",
    "extract_keywords",
    "guidance_space",
    "modifiers_space",
    "nplib_space",
    "read_words",
    "synonym_space",
    "window_space",
]
