"""The pattern recognisers: which finders each is made of, in order of precedence."""

from __future__ import annotations

from metier.privacy.patterns.base import FirstCome, Patterns
from metier.privacy.patterns.contacts import emails, personal_urls
from metier.privacy.patterns.cued import classic_cued
from metier.privacy.patterns.dates import birth_dates
from metier.privacy.patterns.devices import ip_addresses
from metier.privacy.patterns.numbers import cards, ibans, ssns
from metier.privacy.patterns.phones import phones


def _slugs(text: str) -> frozenset[str]:
    return frozenset(text.split())


CLASSIC = FirstCome(
    Patterns(
        "patterns.classic",
        frozenset(
            [
                "url",
                "email",
                "card",
                "iban",
                "ssn",
                "birth_date",
                "ip",
                "phone",
                "record_number",
                "order_number",
                "account_number",
                "id_number",
            ]
        ),
        frozenset({"*"}),
        of_any=(personal_urls, emails),
        of_digits=(cards, ibans, ssns, birth_dates, ip_addresses, classic_cued, phones),
    )
)
"""The profile ``patterns``: few kinds, surely identifiers; cue words in English."""
