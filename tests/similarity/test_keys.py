from metier.similarity import exact_key, normalise


def test_what_does_not_count() -> None:
    same = [
        "Where is my card?",
        "where  is MY card",
        "\u201cWhere is my card!\u201d\n",
        "Where is my ｃａｒｄ",
    ]
    assert len({exact_key(text) for text in same}) == 1


def test_what_counts() -> None:
    different = ["where is my card", "where is my cards", "wheres my card", "1.5", "15", "-5", "5"]
    assert len({exact_key(text) for text in different}) == len(different)


def test_text_of_only_punctuation_keeps_it() -> None:
    assert normalise("?!") == "?!"
    assert exact_key("?!") != exact_key("...")
    assert normalise("  ") == ""


def test_a_key_is_a_128_bit_hash_even_of_half_a_surrogate_pair() -> None:
    assert len(exact_key("\ud800")) == 32
