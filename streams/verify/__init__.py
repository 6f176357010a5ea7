"""The checker: what always holds, shown from the topics alone and a list of what was submitted."""

from streams.verify.evidence import input_hash
from streams.verify.report import Report, Violation
from streams.verify.rules import check

__all__ = ["Report", "Violation", "check", "input_hash"]
