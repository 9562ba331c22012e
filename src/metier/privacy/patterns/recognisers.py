"""The pattern recognisers: which finders each is made of, in order of precedence."""

from __future__ import annotations

from metier.privacy.patterns.addresses import street_addresses
from metier.privacy.patterns.base import FirstCome, Patterns
from metier.privacy.patterns.contacts import emails, handles, hosts, personal_urls, urls
from metier.privacy.patterns.cued import classic_cued, codes, cued
from metier.privacy.patterns.dates import (
    ages,
    ages_in_words,
    birth_dates,
    births,
    dates,
    partial_dates,
)
from metier.privacy.patterns.devices import hardware, ip_addresses, vins
from metier.privacy.patterns.geography import coordinates, counties, post_codes
from metier.privacy.patterns.media import media_files
from metier.privacy.patterns.national import national_numbers
from metier.privacy.patterns.numbers import cards, crypto_addresses, ibans, ssns
from metier.privacy.patterns.phones import phones, phones_and_faxes
from metier.privacy.patterns.words_dates import dates_in_words


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
_ANY = frozenset({"*"})
_ENGLISH = frozenset({"en"})
CONTACTS = Patterns(
    "patterns.contacts",
    _slugs("url email domain handle"),
    _ANY,
    of_any=(urls, emails, hosts, handles),
)
NUMBERS = Patterns(
    "patterns.numbers",
    _slugs("card iban ssn crypto_address"),
    _ANY,
    of_digits=(cards, ibans, ssns, crypto_addresses),
)
NATIONAL = Patterns("patterns.national", _slugs("national_id"), _ANY, of_digits=(national_numbers,))
DEVICES = Patterns(
    "patterns.devices",
    _slugs("ip mac imei uuid vin"),
    _ANY,
    of_digits=(ip_addresses, hardware, vins),
)
PHONES = Patterns("patterns.phones", _slugs("phone fax"), _ANY, of_digits=(phones_and_faxes,))
CUED = Patterns(
    "patterns.cued",
    _slugs(
        "ssn health_plan_number record_number plate vin device_id licence_number order_number"
        " account_number national_id id_number swift"
    ),
    _ENGLISH,
    of_any=(codes,),
    of_digits=(cued,),
)
DATES = Patterns(
    "patterns.dates",
    _slugs("date birth_date age"),
    _ENGLISH,
    of_any=(dates_in_words, ages_in_words),
    of_digits=(births, dates, partial_dates, ages),
)
GEOGRAPHY = Patterns(
    "patterns.geography",
    _slugs("street_address zip_code place"),
    _ENGLISH,
    of_any=(street_addresses, counties),
    of_digits=(post_codes,),
)
COORDINATES = Patterns(
    "patterns.coordinates", _slugs("coordinates"), _ANY, of_digits=(coordinates,)
)
MEDIA = Patterns("patterns.media", _slugs("biometric_file photo_file"), _ANY, of_any=(media_files,))

WIDE = (CONTACTS, NUMBERS, NATIONAL, DEVICES, PHONES, CUED, DATES, GEOGRAPHY, COORDINATES, MEDIA)
"""What ``safe-harbor`` and ``expert-determination`` run beside the recognisers of names."""
