"""Model cards: what a trained network is, made from what is stored of its job, as data and as Markdown."""

from __future__ import annotations

from api.cards.contents import Sources, card
from api.cards.markdown import to_markdown

__all__ = ["Sources", "card", "to_markdown"]
