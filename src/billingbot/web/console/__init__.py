"""The console: pages for support, ops and finance, rendered here, with nothing loaded from elsewhere."""

from billingbot.web.console.door import install

__all__ = ["install"]
