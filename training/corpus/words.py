"""The words of the corpus, and words that nobody has heard before.

A model that only ever reads listed names learns the list and not how to copy. So half
of the names in training are invented, and two sets of words are kept for evaluation:
real words listed here under `UNSEEN_*`, and the eighth of all inventable words that
`is_reserved` picks by hash.
"""

from __future__ import annotations

import random

from training.corpus.document import Split, bucket


def word_tuple(text: str) -> tuple[str, ...]:
    """Return the words of a text: how the corpus writes its word lists."""
    return tuple(text.split())


FIRST_NAMES = word_tuple(
    """Alice Bob Emma Tom Anna Ben Clara David Eva Frank Grace Henry Ivy Jack Kate Leo Maria
    Nina Oscar Paul Rosa Sam Tina Uma Victor Wendy Xavier Yara Zoe Adam Bella Carl Diana Eric
    Fiona George Hanna Ian Julia Kevin Laura Mark Nora Oliver Peter Ruth Simon Sara Lisa Max
    John Mary James Linda Robert Susan Lucy Daniel Amy Chris Jane Mia Noah Liam Olivia Sophia
    Felix Greta Hugo Irene Jonas Karen Lena Martin Nick Olga Rita Steve Theo Vera Will Ella
    Ali Mei Ravi Yuki Omar Leila Ana Luis Marta Pedro Ines Ivan Sofia Elena Jan Lars"""
)
SURNAMES = word_tuple(
    """Baker Smith Jones Brown Miller Cook Fisher Green Hill Hunter King Lake Mason Nash Parker
    Reed Scott Taylor Turner Walker White Wood Young Adams Bell Carter Davis Evans Ford Gray
    Harris Jackson Kelly Lewis Moore Nelson Owen Perry Ross Stone Ward Clark Cooper Morris
    Rossi Silva Garcia Lopez Costa Muller Weber Wagner Becker Kim Lee Chen Singh Khan Sato
    Ivanova Petrov Jensen Larsen Berg"""
)
CITIES = word_tuple(
    """Rome Paris London Berlin Madrid Vienna Lisbon Dublin Athens Oslo Cairo Tokyo Boston
    Chicago Milan Munich Hamburg Prague Warsaw Geneva Zurich Lyon Porto Seville Naples Turin
    Denver Dallas Seattle Miami Toronto Sydney Delhi Lima Bern Kyoto Oxford Venice Helsinki
    Stockholm Copenhagen Budapest Brussels Amsterdam Moscow Istanbul Nairobi Houston"""
)
JOBS = word_tuple(
    """pilot doctor teacher nurse baker cook farmer lawyer driver painter singer writer actor
    dentist engineer gardener waiter tailor plumber carpenter builder judge librarian chemist
    photographer journalist musician programmer scientist clerk guard barber butcher architect
    designer dancer student sailor soldier mechanic"""
)
THINGS = word_tuple(
    """apples pears plums oranges lemons eggs books pens cards coins balls toys boxes cups plates
    stamps stones shells flowers cookies cakes candies marbles stickers pencils tickets bottles
    bananas cherries peaches nuts keys hats socks shirts dolls kites rings"""
)
UNSEEN_FIRST_NAMES = word_tuple(
    """Wanda Bruno Thelma Igor Agnes Cedric Dolores Ferdinand Gwen Hector Imogen Jasper
    Kirsten Lorenzo Mabel Nadia Otto Priya Quentin Rowena"""
)
UNSEEN_SURNAMES = word_tuple(
    """Zimmer Okafor Novak Lindqvist Abernathy Fitzgerald Kowalski Montague Nakamura
    Papadopoulos Quigley Rasmussen Schubert Thornton Underhill Vandenberg Whitlock Yamada
    Dubois Hawthorne"""
)
UNSEEN_CITIES = word_tuple(
    """Antwerp Leipzig Kolkata Bilbao Dresden Granada Mombasa Nagoya Odessa Palermo Rotterdam
    Salzburg Tampere Uppsala Verona Winnipeg"""
)
UNSEEN_JOBS = word_tuple(
    """surgeon blacksmith translator locksmith geologist florist optician watchmaker
    janitor beekeeper conductor diver"""
)
UNSEEN_THINGS = word_tuple(
    """melons buttons turnips lanterns pillows ribbons saddles trumpets walnuts zebras
    feathers candles"""
)

_ONSETS = word_tuple(
    """b bl br c ch cl d dr f fl g gr h j k kl l m n p pl pr qu r s sh sl st t th tr v w y
    z"""
)
_VOWELS = word_tuple("a e i o u a e i o ai ee ou oa ia ea y")
_CODAS = ("", "", "", *word_tuple("n r l s t m d k ck rt nd ng lf st ss x p b g ll tz ff sk"))
# What unheard words are put together from, beside syllables: beginnings and ends of English
# words, so that every token of the tokenizer that can begin a word does.
_BEGINNINGS = word_tuple(
    """act after answ ask bad baker ball bank bat beach bee bell bird black block blue boat bone
    book bottle box brand break brew brick brown bull butter cake call cam camera cand cap car
    castle cattle cel chair chap cheer cherr cit city clay clean clock cloth coal cold color com
    come con contin cook cop corn count country cour craft cream cur cust day deep dent dep der
    des din dis dock door down dream dress driver dust earth edit educ elect em en end est ev ex
    exc exp fam farm feather field fire fish fix flag flower flowers fly fold for free friend
    front fruit gard gate gave gift glass gold golden good grand great green ground guid guide
    gun hair hall hand hang happ hard hat head heat help herb high hill hon horse host house
    hunt im ind ink inn instr int iron ivor jewel joy key king kit kitchen knit lab lam lamp
    land lang language late law lead leaf leather leg lem lett light lim lin list liv lock log
    loud low mag man many map mark mass mast meat mech med mess met milk mill min mind mod mon
    month moon more morning moun mount mous mus nam nav neck neg net new night north not numb
    oat ob oct off oil old on op opp opt or org out over own owner pack paint pan pap pass path
    pav pea pen pep perf phon phone phys pig pin plan plant plum pol pos pot pr pres prim print
    prof pub quick quilt rad rain reap rec recept red ref reg rep rest rid ring road rock roof
    room rope round run sad saddl safe sal salt sand saw school scout scr sea sec sent serv
    service sharp ship shoe shop show sign silk silver sky sleep slow small smith snow soap sol
    sound south spok spring staff stat stem step stock stone stor story strat street sug sum sun
    surv sword table tap tax teach tech tele tent test text there thick think this thread tim
    time tin tool town track trad train trans tree trib truck tub tun tut under uni up vac val
    van vel vend vet view vis viv voc wag wait waiter wall want ward warm wash watch water wax
    weav web wheel whit white wild win wind wine wire wit with wood wool word work wreck wright
    writ year years yell yellow young zeal zo zon"""
)
_ENDINGS = word_tuple(
    """er or ist ian man maid smith maker keeper monger wright ier eer ant ent ard ary ator itor
    ologist ographer ographist ician iver aver ster stress ling ette age el et en on om ine ing
    ment ness tion ship work worker dealer seller cutter binder minder tender herd guard hand
    boy girl ory ery ony une ace ess erre ure ade all ock and ow up box room"""
)
# Beginnings that the tokenizer mostly cuts at another letter after a space than after a
# quotation mark: ` o pt`, but `"op t`.
_CUT_APART = word_tuple(
    """ab ad af ag ai ak al am ap ar at be bo bu ce ch ci co do eb ec eg em ev ga gr gu hi ho jo li
    na ne ob od of og ok ol om op os ot ou pe ph ra se sh sm so sp sw tr we wh"""
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_UNSEEN = frozenset(
    word.lower()
    for group in (
        UNSEEN_FIRST_NAMES,
        UNSEEN_SURNAMES,
        UNSEEN_CITIES,
        UNSEEN_JOBS,
        UNSEEN_THINGS,
    )
    for word in group
)


def is_reserved(word: str) -> bool:
    """True for a word that training text never holds."""
    return word.lower() in _UNSEEN or bucket("word:" + word.lower(), 8) == 0


def _syllables(rng: random.Random, count: int) -> str:
    return "".join(
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(count)
    )


def _blend(rng: random.Random) -> str:
    """Join the head of one listed word to the tail of another: close to real words."""
    pool = rng.choice((FIRST_NAMES, SURNAMES, CITIES, JOBS, THINGS))
    head, tail = rng.choice(pool).lower(), rng.choice(pool).lower()
    middle = "".join(rng.choice(_LETTERS) for _ in range(rng.choice((0, 0, 1))))
    return head[: rng.randint(1, len(head) - 1)] + middle + tail[rng.randint(1, len(tail) - 1) :]


def _letters(rng: random.Random) -> str:
    return "".join(rng.choice(_LETTERS) for _ in range(rng.randint(2, 7)))


def invent_word(rng: random.Random, reserved: bool = False) -> str:
    """Return a lower-case word of 3 to 13 letters, reserved for evaluation or free for training."""
    while True:
        style = rng.random()
        if style < 0.55:
            word = _syllables(rng, rng.choice((1, 2, 2, 3)))
        elif style < 0.9:
            word = _blend(rng)
        else:
            word = _letters(rng)
        if 3 <= len(word) <= 13 and is_reserved(word) == reserved:
            return word


def _join(rng: random.Random) -> str:
    """Join parts of English words at any letters, so that tokens meet in many ways."""
    head, middle = rng.choice(_BEGINNINGS), rng.choice(_BEGINNINGS)
    if rng.random() < 0.3:
        head = rng.choice("aeiou") + rng.choice(_BEGINNINGS)
    word = head[: rng.randint(1, 4)] + middle[rng.randint(0, len(middle) - 1) :]
    return word + rng.choice(_ENDINGS)


def unheard_word(rng: random.Random) -> str:
    """Return an invented lower-case word, free for training, of six letters in most cases or more.

    Beside those of `invent_word` it may be a beginning and an end of English words.
    """
    while True:
        style = rng.random()
        if style < 0.2:
            word = rng.choice(_BEGINNINGS) + rng.choice(_ENDINGS)
        elif style < 0.4:
            word = _join(rng)
        elif style < 0.65:
            middle = rng.choice((*_CODAS, *_ONSETS, _syllables(rng, 1)))
            word = rng.choice(_CUT_APART) + middle + rng.choice(_ENDINGS)
        elif style < 0.7:
            word = _syllables(rng, rng.choice((2, 2, 3)))
        else:
            word = invent_word(rng)
        if 3 <= len(word) <= 13 and not is_reserved(word):
            return word


def _choose(
    rng: random.Random, split: Split, listed: tuple[str, ...], unseen: tuple[str, ...], share: float
) -> str:
    """Draw a listed word, or an unseen one where the split says so, or invent one."""
    if split is Split.HELD_OUT:
        return rng.choice(listed)
    if split is Split.UNSEEN_WORDS:
        return rng.choice(unseen) if rng.random() < 0.5 else invent_word(rng, reserved=True)
    return invent_word(rng) if rng.random() < share else rng.choice(listed)


def _capital(word: str) -> str:
    return word[0].upper() + word[1:]


def first_name(rng: random.Random, split: Split = Split.TRAIN) -> str:
    """Return a first name; in training one in three is invented."""
    return _capital(_choose(rng, split, FIRST_NAMES, UNSEEN_FIRST_NAMES, 0.35))


def surname(rng: random.Random, split: Split = Split.TRAIN) -> str:
    """Return a surname; in training one in two is invented."""
    return _capital(_choose(rng, split, SURNAMES, UNSEEN_SURNAMES, 0.5))


def city(rng: random.Random, split: Split = Split.TRAIN) -> str:
    """Return a city; in training one in two is invented."""
    return _capital(_choose(rng, split, CITIES, UNSEEN_CITIES, 0.5))


def job(rng: random.Random, split: Split = Split.TRAIN) -> str:
    """Return a job; in training one in two is invented."""
    return _choose(rng, split, JOBS, UNSEEN_JOBS, 0.5)


def things(rng: random.Random, split: Split = Split.TRAIN) -> str:
    """Return a plural such as apples; in training one in three is invented."""
    word = _choose(rng, split, THINGS, UNSEEN_THINGS, 0.35)
    return word if word.endswith("s") else word + "s"


def article(word: str) -> str:
    """Return a or an, by the first letter."""
    return "an" if word[0] in "aeiou" else "a"
