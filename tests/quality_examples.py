"""Made rows with planted faults, for the tests of the quality measurements."""

import random
from dataclasses import replace

from data_examples import example, labelled
from metier.core.types import CompletionTarget, FieldsTarget, LabelsTarget, LabelTarget

TOPICS = {
    "garden": ["hedge", "lawn", "spade", "compost", "tulip", "rake", "seedling"],
    "kitchen": ["oven", "kettle", "saucepan", "fridge", "toaster", "ladle", "grill"],
    "travel": ["ticket", "suitcase", "platform", "visa", "airport", "ferry", "hostel"],
}
FRAMES = [
    "Who can tell me where the {a} goes, beside the {b}",
    "My {a} is broken and the {b} too",
    "Please send a new {a} for the {b}",
    "How do I look after a {a} without any {b}",
    "The {a} came late and the {b} never came",
]


def texts(count, seed=0):
    """Pairs of text and topic, all texts different."""
    rng, seen = random.Random(seed), {}
    while len(seen) < count:
        topic = rng.choice(sorted(TOPICS))
        a, b = rng.sample(TOPICS[topic], 2)
        text = f"{rng.choice(FRAMES).format(a=a, b=b)}, number {rng.randrange(1000)}"
        seen.setdefault(text, topic)
    return list(seen.items())


def rows(count=240, wrong=12, seed=0, per_group=2):
    """Labelled rows, and the ids of those whose label is wrong."""
    found, planted = [], set()
    for number, (text, topic) in enumerate(texts(count, seed)):
        label = topic
        if number % (count // wrong) == 0:
            label = next(name for name in sorted(TOPICS) if name != topic)
            planted.add(f"ex_{number}")
        row = labelled(number, text, label, group=f"group {number // per_group}")
        found.append(replace(row, slices={"channel": "mail" if number % 3 else "chat"}))
    return found, planted


def several(count=240, wrong=10):
    """The same with any number of labels."""
    found, planted = [], set()
    for number, (text, topic) in enumerate(texts(count)):
        labels = {topic, "broken"} if "broken" in text else {topic}
        if number % (count // wrong) == 0:
            labels ^= {"broken"}
            planted.add(f"ex_{number}")
        found.append(example(number, text, LabelsTarget(tuple(sorted(labels)))))
    return found, planted


def forms(count=240, wrong=12):
    """The same as fields: the topic and a reply."""
    labelled_rows, planted = rows(count, wrong)
    return [
        replace(
            row,
            target=FieldsTarget({"topic": row.target.label, "reply": "We will look into it."}),
        )
        for row in labelled_rows
        if isinstance(row.target, LabelTarget)
    ], planted


def answered(number, text, reply):
    return example(number, text, CompletionTarget(reply))
