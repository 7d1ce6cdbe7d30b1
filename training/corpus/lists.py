"""Lists of things of one category; held out by category, length and layout together.

The items of a list stand in the order of their category below, from anywhere on and round
again: what follows an item then says by itself that nothing comes twice.
"""

from __future__ import annotations

import random

from training.corpus.document import Document, Split, Turn, draw_in_split

CATEGORIES: dict[str, tuple[str, ...]] = {
    category: tuple(item.strip() for item in items.split(","))
    for category, items in {
        "fruits": "apple, pear, plum, banana, orange, lemon, cherry, grape, peach, mango, melon,"
        "kiwi, fig, apricot",
        "vegetables": "carrot, onion, potato, tomato, cabbage, pea, bean, spinach, leek, radish,"
        "pepper, garlic",
        "animals": "dog, cat, horse, cow, pig, sheep, lion, tiger, bear, wolf, fox, rabbit,"
        "mouse, elephant, monkey, goat",
        "birds": "eagle, duck, swan, owl, crow, robin, sparrow, goose, parrot, penguin, hen",
        "colors": "red, blue, green, yellow, black, white, brown, pink, purple, orange, grey",
        "drinks": "water, milk, tea, coffee, juice, wine, beer, lemonade, cocoa, soda",
        "tools": "hammer, saw, drill, screwdriver, wrench, pliers, axe, shovel, rake, ladder",
        "clothes": "shirt, coat, hat, scarf, sock, shoe, glove, dress, skirt, belt, jacket",
        "sports": "football, tennis, swimming, running, hockey, boxing, golf, rowing, cycling,"
        "skiing, rugby",
        "instruments": "piano, guitar, violin, drum, flute, trumpet, harp, cello, organ, banjo",
        "countries": "France, Spain, Italy, Germany, Poland, Japan, China, India, Brazil, Egypt,"
        "Kenya, Canada, Mexico, Norway",
        "cities": "Paris, London, Rome, Berlin, Madrid, Vienna, Lisbon, Tokyo, Cairo, Oslo,"
        "Athens, Dublin, Prague",
        "jobs": "pilot, doctor, teacher, nurse, baker, cook, farmer, lawyer, driver, painter,"
        "singer, writer",
        "trees": "oak, pine, birch, maple, willow, elm, beech, cedar, poplar, ash",
        "flowers": "rose, tulip, daisy, lily, violet, orchid, poppy, iris, lavender, sunflower",
        "things to pack for the sea": "swimsuit, towel, sunscreen, sunglasses, sandals, umbrella,"
        "snorkel, beach ball, sun hat, fins",
        "things to pack for the mountains": "boots, map, rope, tent, compass, warm jacket,"
        "flashlight, sleeping bag, gloves, backpack",
        "things to pack for the city": "guidebook, camera, comfortable shoes, phone, charger,"
        "wallet, umbrella, ticket, headphones, notebook",
    }.items()
}
LENGTHS = (2, 3, 4, 5, 6, 7)
STYLES = ("bullets", "open bullets", "line", "asked")
_STYLES = ("bullets", "bullets", "bullets", "open bullets", "line", "line", "asked")
_HARD_STYLES = ("asked", "asked", "bullets", "line", "open bullets")
_HARD_CATEGORY = "vegetables"


def header(style: str, category: str, length: int) -> str:
    """Return the prompt of a list in one of the layouts."""
    return {
        "bullets": f"A list of {length} {category}:\n",
        "open bullets": f"A list of {category}:\n",
        "line": f"{category.capitalize()}:",
        "asked": f"Q: Name {length} {category}.\nA:",
    }[style]


def _lines(style: str, items: list[str]) -> str:
    if style.endswith("bullets"):
        return "".join(f"- {item}\n" for item in items)
    return " " + ", ".join(items) + "\n"


def parse_items(answer: str) -> list[str]:
    """Return the items of a list in either layout."""
    if answer.startswith("- "):
        return [line.removeprefix("- ") for line in answer.splitlines()]
    return [item.strip() for item in answer.strip().split(",")]


def is_valid(prompt: str, answer: str) -> bool:
    """True if the items fit the category in the prompt's last header, in number, once each."""
    items = parse_items(answer)
    *_, question, last = ["", *prompt.strip().split("\n")]
    if last == "A:":
        last = question
    words = last.strip(":.").removeprefix("A list of ").removeprefix("Q: Name ").split(" ", 1)
    number = int(words[0]) if words[0].isdigit() else None
    category = words[1] if number is not None else " ".join(words)
    members = CATEGORIES[category[0].lower() + category[1:]]
    right_number = len(items) == number if number is not None else len(items) >= 2
    return right_number and len(set(items)) == len(items) and set(items) <= set(members)


def _sample_in_order(rng: random.Random, members: tuple[str, ...], count: int) -> list[str]:
    start = rng.randrange(len(members))
    turned = members[start:] + members[:start]
    places = sorted(rng.sample(range(1, len(members)), count - 1))
    return [turned[place] for place in (0, *places)]


def _write(rng: random.Random, styles: tuple[str, ...], hard: bool = False) -> Document:
    style = rng.choice(styles)
    category = rng.choice(list(CATEGORIES))
    if hard and rng.random() < 0.1:
        category = _HARD_CATEGORY
    length = rng.choice(LENGTHS)
    if style in ("open bullets", "line"):
        length = max(length, 3)
    members = CATEGORIES[category]
    items = _sample_in_order(rng, members, length)
    if hard and rng.random() < 0.5:  # each item with the next one, so none is passed by
        start = rng.randrange(len(members))
        items = list((members[start:] + members[:start])[:length])
    turn = Turn(header(style, category, length), _lines(style, items))
    return Document(f"list, {style}", f"lists:{style}:{category}:{length}", (turn,))


def draw(rng: random.Random, split: Split) -> Document:
    """Return one list."""
    return draw_in_split(lambda rng, _: _write(rng, _STYLES), rng, split)


def draw_hard(rng: random.Random, split: Split) -> Document:
    """Return one list of a layout that is hard to count in or to end."""
    return draw_in_split(lambda rng, _: _write(rng, _HARD_STYLES, hard=True), rng, split)
