"""What the wider profiles look for, kind by kind: found, and not confused with its neighbours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.privacy import find_identifiers, redact
from metier.privacy.patterns import WIDE
from metier.privacy.patterns.devices import vin_checks


def blanked(text: str) -> str:
    return redact(text, find_identifiers(text, WIDE))[0]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        # A web and mail addresses
        ("see https://example.org/help now", "see [URL] now"),
        ("www.example.museum/a and shop.example.co.uk.", "[DOMAIN] and [DOMAIN]."),
        ("ask anna (at) example (dot) org", "ask [EMAIL]"),
        ("follow @anna_miller, please", "follow [HANDLE], please"),
        # numbers with check digits
        ("paid with 4111 1111 1111 1111", "paid with [CARD]"),
        ("to GB82 WEST 1234 5698 7654 32", "to [IBAN]"),
        ("send to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "send to [CRYPTO_ADDRESS]"),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 got it", "[CRYPTO_ADDRESS] got it"),
        ("0x52908400098527886E0F7030069857D2E4169EE7", "[CRYPTO_ADDRESS]"),
        ("SSN 078-05-1120", "SSN [SSN]"),
        ("ITIN 912-70-1234", "ITIN [NATIONAL_ID]"),
        ("NI number QQ123456C or AB 12 34 56 C", "NI number [ID_NUMBER] or [NATIONAL_ID]"),
        ("codice MRTMTT91D08F205J", "codice [NATIONAL_ID]"),
        ("DNI 54362315K", "DNI [NATIONAL_ID]"),
        ("cpf 390.533.447-05", "cpf [NATIONAL_ID]"),
        ("AHV 756.9217.0769.85", "AHV [NATIONAL_ID]"),
        ("PAN ACUPA7085R", "PAN [NATIONAL_ID]"),
        # after a cue word
        ("MRN: 00123456", "MRN: [RECORD_NUMBER]"),
        ("member id W1234-5678", "member id [HEALTH_PLAN_NUMBER]"),
        ("Medicare number 1EG4-TE5-MK73", "Medicare number [HEALTH_PLAN_NUMBER]"),
        ("account no. 12345678", "account no. [ACCOUNT_NUMBER]"),
        ("her driver's license is D1234567", "her driver's license is [LICENCE_NUMBER]"),
        ("DEA number AB1234563", "DEA number [LICENCE_NUMBER]"),
        ("license plate 7XYZ123", "license plate [PLATE]"),
        ("plate: AB12 CDE", "plate: [PLATE]"),
        ("serial number SN-48821-77", "serial number [DEVICE_ID]"),
        ("pacemaker PM123456", "pacemaker [DEVICE_ID]"),
        ("swift code DEUTDEFF500", "swift code [SWIFT]"),
        ("passport X1234567", "passport [ID_NUMBER]"),
        ("employee 004512", "employee [ID_NUMBER]"),
        ("invoice 2020-4411", "invoice [ORDER_NUMBER]"),
        # without one, where long
        ("it says 918273645 on it", "it says [ID_NUMBER] on it"),
        ("code ZX81QK4420PLM", "code [ID_NUMBER]"),
        # devices
        ("VIN 1HGCM82633A004352", "VIN [VIN]"),
        ("1M8GDM9AXKP042788 was towed", "[VIN] was towed"),
        ("mac 00:1B:44:11:3A:B7 or 001b.4411.3ab7", "mac [MAC] or [MAC]"),
        ("imei 490154203237518", "imei [IMEI]"),
        ("49-015420-323751-8", "[IMEI]"),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id [UUID]"),
        ("from 192.168.1.20", "from [IP]"),
        # phones
        ("fax: 415-555-2671", "fax: [FAX]"),
        ("(898)666-3621x0135", "[PHONE]"),
        ("send messages to 699 956 915", "send messages to [PHONE]"),
        # files
        ("see scans/left_thumb_fingerprint.wsq", "see [BIOMETRIC_FILE]"),
        ("photo IMG_2041.JPG attached", "photo [PHOTO_FILE] attached"),
        ("<img src=data:image/png;base64,iVBORw0KGgo=>", "<img src=[PHOTO_FILE]>"),
    ],
)
def test_codes_and_numbers_are_found(text: str, after: str) -> None:
    assert blanked(text) == after


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("on 2014-05-08 at 10:30", "on [DATE] at 10:30"),
        ("on 12/31/2014, 31.12.14", "on [DATE], [DATE]"),
        ("seen on 3/14 again", "seen on [DATE] again"),
        ("since 07/2019, in 2019-05 and Q3 2019", "since [DATE], in [DATE] and [DATE]"),
        ("expires 04/27, exp. 11-2028", "expires [DATE], exp. [DATE]"),
        ("May 5, 2001 and the 3rd of May", "[DATE] and the [DATE]"),
        ("Tuesday, May 3rd 2011", "[DATE]"),
        ("3-MAY-1987, May-87, May '87", "[DATE], [DATE], [DATE]"),
        ("le 3 mars 1987, am 3. Mai 1987, 5 de mayo de 1990", "le [DATE], am [DATE], [DATE]"),
        ("in March, last May", "in [DATE], last [DATE]"),
        ("on Fridays", "on [DATE]"),
        ("September first of nineteen ninety nine", "[DATE]"),
        ("in January on the thirteenth", "in [DATE]"),
        ("June 5-7, 2001", "[DATE]"),
        ("DOB: 01/02/1980, born in 1931", "DOB: [BIRTH_DATE], born in [BIRTH_DATE]"),
        ("born 3 March 1975", "born [BIRTH_DATE]"),
        ("a 93-year-old man, 5 y/o", "a [AGE]-year-old man, [AGE] y/o"),
        ("aged 47, at the age of 102", "aged [AGE], at the age of [AGE]"),
        ("he just turned 64. I'm 91.", "he just turned [AGE]. I'm [AGE]."),
        ("ninety-two years old, in her 90s", "[AGE] years old, in her [AGE]s"),
        ("a centenarian", "a [AGE]"),
    ],
)
def test_dates_and_ages_are_found(text: str, after: str) -> None:
    assert blanked(text) == after


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("lives at 12 Hill Road, Leeds, with Anna", "lives at [STREET_ADDRESS], with Anna"),
        ("Ben Ode, 4 Elm St, Apt. 7, Reno, NV 89501", "Ben Ode, [STREET_ADDRESS]"),
        ("sent to Ringvej 144", "sent to [STREET_ADDRESS]"),
        ("my address: Via Roma 7, Bergamo", "my address: [STREET_ADDRESS]"),
        ("24 Storgatan\n Suite 3\n Lund\n Sweden 22100\nPhone:", "[STREET_ADDRESS]\nPhone:"),
        ("write to P.O. Box 114, Salem", "write to [STREET_ADDRESS]"),
        ("PSC 1203, Box 88\nAPO AE 09012", "[STREET_ADDRESS]"),
        ("at the corner of Elm Street and Oak Lane", "at [STREET_ADDRESS]"),
        ("in Austin, TX 78701", "in Austin, [STREET_ADDRESS]"),
        ("ZIP: 35350, postcode SW1A 1AA", "ZIP: [ZIP_CODE], postcode [ZIP_CODE]"),
        ("in Columbus, Ohio 43004", "in Columbus, Ohio [ZIP_CODE]"),
        ("near K1A 0B1 in town", "near [ZIP_CODE] in town"),
        ("from Orange County to here", "from [PLACE] to here"),
        ("at 40.7128, -74.0060", "at [COORDINATES]"),
        ("48°51'24\"N 2°21'03\"E", "[COORDINATES]"),
    ],
)
def test_geography_is_found(text: str, after: str) -> None:
    assert blanked(text).replace("[STREET_ADDRESS], TX", "TX") in {
        after,
        after.replace("in Austin, [STREET_ADDRESS]", "in [STREET_ADDRESS]"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "blood pressure 120/80, pulse 72, 5/10 pain, 20/20 vision",
        "take 2 x 500 mg, 3 times a day, for 10-14 days",
        "it may march on; grade 3 may occur; may 10 mg help",
        "since 2019 and in 1987, founded in 1750",
        "version 1.2.3.4 of the form, section 3.4.5",
        "type 2 diabetes, stage 3, vitamin B12, CD4 count 350",
        "C5-C6 fusion, L4/L5, T 98.6, BMI 31.5",
        "see Table 4 and Figure 12 in Chapter 3",
        "rs12345678 and NCT01234567 in PMC1234567",
        "12 points on a 5 Point Scale, 2 way valve",
        "turned 90 degrees, he is 6 feet tall",
        "1,234,567.89 dollars or 3.141592653589793",
        "the street was long, the road is closed",
        "e.g. this, i.e. that, U.S. law, node.js",
        "file report.pdf and notes.txt",
        "plate of food, a tag on it, chart below",
        "12:30 to 14:45, 1:1 ratio",
        "meet @ noon",
        "",
    ],
)
def test_what_is_left_alone(text: str) -> None:
    assert blanked(text) == text


def test_check_digits_of_a_vehicle_number() -> None:
    assert vin_checks("1M8GDM9AXKP042788")
    assert not vin_checks("1M8GDM9A1KP042788")
    assert not vin_checks("11111111111111111")  # right digit, but no vehicle's number


@pytest.mark.parametrize("recogniser", WIDE, ids=lambda one: one.name)
def test_a_recogniser_finds_only_the_kinds_it_names(recogniser) -> None:
    text = (
        "Call 415-555-2671 or fax 415-555-2672, born 01/02/1980, MRN 00123456, 10.0.0.1, "
        "a@b.org, www.b.org, 12 Hill Road, Leeds, IMG_1.jpg, 40.7128, -74.0060, 54362315K, "
        "4111 1111 1111 1111, Orange County, DE89 3704 0044 0532 0130 00"
    )
    found = {one.kind for one in recogniser.find(text)}
    assert found and found <= recogniser.kinds


HOSTILE = [
    "1",
    "a",
    "A",
    "1 ",
    "a@",
    "1-",
    "1.",
    "(",
    "://",
    "a:",
    "+",
    "0 0",
    "call ",
    "@a.",
    "1/",
]
HOSTILE += [
    "A1",
    "A1 ",
    "May ",
    "May 1 ",
    "1 A ",
    "aged ",
    "lives at ",
    "1 Elm St ",
    "\n1 A",
    "corner of ",
]
HOSTILE += [
    "zip ",
    "x.jpg",
    "a/",
    "www.",
    "A. ",
    ", ",
    "of ",
    "born ",
    "County ",
    "Elm\n",
    "1°1'",
    "f-",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_repetition_is_read_to_the_end(unit: str) -> None:
    """Matching that is not linear would take minutes here and run into the time limit."""
    assert find_identifiers(unit * (60_000 // len(unit)) + " me@a.org", WIDE)


_PIECES = (
    "12 Elm Road May 3rd , / @ Apt. born 1980 a.org TX 78701 zip call 415-555-2671 aged of 93"
    " -year-old MRN 0012345 é ﬁ İ"
)
WORDS = st.sampled_from([*_PIECES.split(), " ", "\n", "\x00"])


@given(
    st.one_of(
        st.text(max_size=120),
        st.lists(WORDS, max_size=14).map(" ".join),
        st.lists(WORDS, max_size=14).map("".join),
    )
)
def test_findings_are_inside_and_apart_and_redacting_again_finds_nothing(text: str) -> None:
    found = find_identifiers(text, WIDE)
    ends = [0, *(one.end for one in found)]
    assert all(
        end <= one.start < one.end <= len(text) for end, one in zip(ends, found, strict=False)
    )
    once = redact(text, found)[0]
    again = find_identifiers(once, WIDE)
    assert redact(once, again)[0].count("[") >= once.count("[")
