"""The vocabulary of the toy world.

A concept (the color red) has several surface words (red, crimson, scarlet, ruby), the most common
first. Captions draw them with Zipf frequencies, so the last ones are rare in training and weakly
learned: an attack replaces a word by a rarer one of the same meaning.
"""

import functools

import numpy as np

# kind -> concept -> surface words, the most frequent first.
CONCEPTS: dict[str, dict[str, tuple[str, ...]]] = {
    "object": {
        "ball": ("ball", "sphere", "orb", "globe"),
        "box": ("box", "cube", "crate", "carton"),
        "star": ("star", "starlet", "pentagram", "asterisk"),
        "heart": ("heart", "valentine", "sweetheart", "ticker"),
        "moon": ("moon", "crescent", "luna", "satellite"),
        "tree": ("tree", "pine", "fir", "evergreen", "conifer"),
        "house": ("house", "home", "cottage", "cabin", "lodge"),
        "boat": ("boat", "ship", "sailboat", "vessel", "yacht"),
        "car": ("car", "automobile", "auto", "vehicle", "sedan"),
        "plane": ("plane", "airplane", "aircraft", "jet", "airliner"),
        "fish": ("fish", "goldfish", "trout", "carp", "salmon"),
        "cup": ("cup", "mug", "teacup", "beaker"),
    },
    "color": {
        "red": ("red", "crimson", "scarlet", "ruby"),
        "orange": ("orange", "tangerine", "amber", "apricot"),
        "yellow": ("yellow", "golden", "lemon", "canary"),
        "green": ("green", "emerald", "jade", "olive"),
        "blue": ("blue", "azure", "cobalt", "sapphire"),
        "purple": ("purple", "violet", "mauve", "plum"),
        "pink": ("pink", "rose", "fuchsia", "magenta"),
        "white": ("white", "ivory", "pale", "chalky"),
    },
    "size": {
        "small": ("small", "little", "tiny", "miniature"),
        "large": ("large", "big", "huge", "giant", "enormous"),
    },
    "background": {
        "sky": ("sky", "clouds", "heavens", "air"),
        "meadow": ("meadow", "field", "grassland", "pasture"),
        "desert": ("desert", "dunes", "sand", "wasteland"),
        "night": ("night", "midnight", "nighttime", "darkness"),
        "sea": ("sea", "ocean", "water", "waves"),
        "snow": ("snow", "winter", "ice", "frost"),
        "sunset": ("sunset", "dusk", "sundown", "twilight"),
        "room": ("room", "chamber", "interior", "parlor"),
    },
    "relation": {
        "left of": ("left of", "to the left of"),
        "right of": ("right of", "to the right of"),
        "above": ("above", "over", "atop"),
        "below": ("below", "under", "beneath", "underneath"),
    },
    "defect": {
        "blurry": ("blurry", "blurred", "fuzzy", "unfocused"),
        "grainy": ("grainy", "noisy", "speckled"),
        "monochrome": ("monochrome", "grayscale", "colorless"),
        "cropped": ("cropped", "truncated", "cutoff"),
        "dark": ("dark", "dim", "gloomy", "underexposed"),
        "pixelated": ("pixelated", "blocky", "lowres"),
        "duplicate": ("duplicate", "duplicated", "cloned", "repeated"),
        "watermark": ("watermark", "watermarked", "signature", "stamp"),
    },
}

# Words of judgment: the first kind is used for clean images, the second for defective ones.
PRAISE = ("sharp", "clean", "detailed", "crisp", "masterpiece", "professional")
BLAME = ("bad", "ugly", "sloppy", "amateur", "worst", "poor")

# Prepositions of background words in a sentence.
BACKGROUND_PHRASES: dict[str, str] = {
    "sky": "in the sky", "clouds": "in the clouds", "heavens": "in the heavens",
    "air": "in the air",
    "meadow": "in a meadow", "field": "in a field", "grassland": "in a grassland",
    "pasture": "in a pasture", "desert": "in the desert", "dunes": "in the dunes",
    "sand": "in the sand", "wasteland": "in a wasteland", "night": "at night",
    "midnight": "at midnight", "nighttime": "at nighttime", "darkness": "in the darkness",
    "sea": "on the sea", "ocean": "on the ocean", "water": "on the water", "waves": "on the waves",
    "snow": "in the snow", "winter": "in the winter", "ice": "on the ice",
    "frost": "in the frost", "sunset": "at sunset", "dusk": "at dusk", "sundown": "at sundown",
    "twilight": "at twilight", "room": "in a room", "chamber": "in a chamber",
    "interior": "in an interior", "parlor": "in a parlor",
}  # fmt: skip

# Words for the negative prompt against a concept: an antonym if there is one, else other members of
# the same kind.
OPPOSITES: dict[str, tuple[str, ...]] = {
    "ball": ("box", "star", "moon"), "box": ("ball", "house", "cup"),
    "star": ("moon", "ball", "heart"), "heart": ("star", "ball", "cup"),
    "moon": ("star", "ball", "fish"), "tree": ("house", "star", "boat"),
    "house": ("tree", "box", "car"), "boat": ("car", "plane", "fish"),
    "car": ("boat", "plane", "house"), "plane": ("boat", "car", "fish"),
    "fish": ("boat", "plane", "moon"), "cup": ("box", "ball", "house"),
    "red": ("green", "blue", "pink"), "orange": ("blue", "red", "yellow"),
    "yellow": ("purple", "orange", "white"), "green": ("red", "yellow", "blue"),
    "blue": ("orange", "purple", "white"), "purple": ("yellow", "pink", "blue"),
    "pink": ("green", "purple", "red"), "white": ("purple", "yellow", "pink"),
    "small": ("large", "huge"), "large": ("small", "tiny"),
    "sky": ("meadow", "sea", "room"), "meadow": ("desert", "snow", "sea"),
    "desert": ("meadow", "snow", "sunset"), "night": ("sky", "sunset", "snow"),
    "sea": ("desert", "meadow", "sky"), "snow": ("desert", "meadow", "sky"),
    "sunset": ("night", "sky", "desert"), "room": ("meadow", "sky", "night"),
    "left of": ("right of",), "right of": ("left of",),
    "above": ("below", "under"), "below": ("above", "over"),
    "blurry": ("sharp", "crisp"), "grainy": ("clean", "sharp"),
    "monochrome": ("detailed", "clean"), "cropped": ("professional", "clean"),
    "dark": ("clean", "crisp"), "pixelated": ("detailed", "sharp"),
    "duplicate": ("clean", "professional"), "watermark": ("clean", "professional"),
}  # fmt: skip

# The toy negative prompt library: typical words, defects first and then blame.
NPLIB: tuple[str, ...] = (
    *(word for words in CONCEPTS["defect"].values() for word in words[:2]),
    *BLAME,
)

# Words that help most prompts, for the first candidates of a search: modifiers with words of the
# negative prompt. A long prompt has no room for all of them.
FIRST: tuple[tuple[str, ...], ...] = (
    ("sharp", "clean", "detailed", "crisp", "bad", "ugly"),
    ("sharp", "clean", "bad", "ugly"),
    ("bad", "ugly"),
)

ZIPF_EXPONENT = 2.5


def zipf(count: int) -> np.ndarray:
    """Return the frequencies (count,) of words by rank: proportional to rank ** -2.5."""
    # eq. (zipf)
    weights = np.arange(1, count + 1, dtype=float) ** -ZIPF_EXPONENT
    return weights / weights.sum()


@functools.cache
def concept_of() -> dict[str, tuple[str, str]]:
    """Return kind and concept of each surface word."""
    return {
        word: (kind, concept)
        for kind, concepts in CONCEPTS.items()
        for concept, words in concepts.items()
        for word in words
    }


@functools.cache
def rarity() -> dict[str, float]:
    """Return the rarity of each surface word: 0 is the most common of its concept, 1 the rarest.

    Ranks are evenly spaced, so a word drawn uniformly from its concept has a mean of 0.5.

    Examples:
        >>> from dpodiff.toy.words import rarity
        >>> [(word, round(rarity()[word], 2)) for word in ("red", "crimson", "ruby")]
        [('red', 0.0), ('crimson', 0.33), ('ruby', 1.0)]
    """
    return {
        word: rank / (len(words) - 1)
        for concepts in CONCEPTS.values()
        for words in concepts.values()
        for rank, word in enumerate(words)
    }


def toy_lexicon():
    """Return the dictionary of the toy world: synonyms and opposites of each content word.

    Examples:
        >>> from dpodiff.toy.words import toy_lexicon
        >>> words = toy_lexicon()
        >>> words.synonyms("ball"), words.antonyms("above")
        (['sphere', 'orb', 'globe'], ['below', 'under'])
    """
    from dpodiff.spaces.lexicons import Dictionary

    synonyms, antonyms = {}, {}
    for word, (kind, concept) in concept_of().items():
        synonyms[word] = [other for other in CONCEPTS[kind][concept] if other != word]
        antonyms[word] = list(OPPOSITES[concept])
    for words, opposite in ((PRAISE, BLAME), (BLAME, PRAISE)):
        for word in words:
            synonyms[word] = [other for other in words if other != word]
            antonyms[word] = list(opposite[:3])
    # Captions sometimes say "a orange ball" too, and recorded results must stay reproducible.
    return Dictionary(synonyms=synonyms, antonyms=antonyms, articles=False)
