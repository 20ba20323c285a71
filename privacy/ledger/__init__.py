"""The holder's privacy budget: one durable, hash-chained ledger that can over-count but never under-count."""

from ringfence.privacy.ledger.balance import Balance
from ringfence.privacy.ledger.ledger import Ledger
from ringfence.privacy.ledger.losses import LostEntries
from ringfence.privacy.ledger.marks import HeadMarks
from ringfence.privacy.ledger.planned import Quote
from ringfence.privacy.ledger.state import Head, Reservation
from ringfence.privacy.ledger.statement import Spend
from ringfence.privacy.waist import Scope

__all__ = ["Balance", "Head", "HeadMarks", "Ledger", "LostEntries", "Quote", "Reservation", "Scope", "Spend"]
