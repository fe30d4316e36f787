"""A linearizability checker for histories of key-value operations; README.md describes it."""

from .history import HistoryError, Operation, load, parse_line
from .search import Verdict, check

__all__ = ["HistoryError", "Operation", "Verdict", "check", "load", "parse_line"]
