"""Reconcile: what Stripe has against our rows and ledger; what differs is settled or handed over, never paid."""

from billingbot.flows.reconcile.passing import LATE_FAILURES, OVERDUE, PAGE, ask, reconcile, reconcile_whole, start_due

__all__ = ["LATE_FAILURES", "OVERDUE", "PAGE", "ask", "reconcile", "reconcile_whole", "start_due"]
