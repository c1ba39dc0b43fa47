"""A believable sample market whose spot channels jam in the peaks (docs/sample-market.md)."""

from planning.market.workspace import MarketSummary, make_market

__all__ = ["MarketSummary", "make_market"]
