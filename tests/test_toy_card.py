import pytest

from dpodiff.toy.train.card_text import card_text, defect_verdicts, verdicts
from dpodiff.toy.train.defects import LIBRARY

SHARES = {"objects": 0.95, "colors": 0.9, "background": 1.0, "clean": 0.9, "all": 0.8}
CARD = {
    "sampling": {"steps": 25, "guidance": 7.5, "seeds": 4},
    "one_object": {
        "object_color_background": 0.9,
        "all": 0.8,
        "objects": 0.95,
        "colors": 0.94,
        "background": 0.93,
        "clean": 0.92,
    },
    "two_objects": {
        "all": 0.36,
        "objects": 0.71,
        "colors": 0.6,
        "background": 0.9,
        "clean": 0.8,
    },
    "judge": {"objects": 0.99, "mean": 0.98},
    "retrieval": {"toy": 0.9, "toy-heldout": 0.85},
    "naming": {"toy": 0.7, "toy-heldout": 0.6},
    "vae_psnr": 31.25,
    "negative_prompt": {"blurry_without": 0.1, "blurry_with": 0.04},
    "rare_words": {"difference_object_right": [-0.3, -0.4, -0.2]},
    "size": {
        "all": 29.0,
        "stable-diffusion/unet/diffusion_pytorch_model.safetensors": 12.38,
        "stable-diffusion-small/unet/diffusion_pytorch_model.safetensors": 5.6,
    },
    "judge_on_generated": {"images": 0},
    "defects": {
        "grid": [{"defective": 0.16}, {"defective": 0.29}],
        "matching": {"without": 0.2, "with": 0.1},
        "without": {"defective": 0.2},
        "negative": {LIBRARY: {"defective": 0.1, "change_all_where_clean": [-0.01, -0.03, 0.01]}},
    },
    "speed": {"gflop_per_forward": 0.4, "seconds_per_image": 0.3, "threads": 2},
}


CARD["small"] = {
    "one_object": CARD["one_object"] | {"object_color_background": 0.8},
    "two_objects": CARD["two_objects"],
}


def test_a_card_that_meets_its_bars_says_so():
    assert all(met for *_, met in verdicts(CARD))
    text = card_text(CARD)
    assert "**no**" not in text
    rows = verdicts(CARD) + defect_verdicts(CARD["defects"])
    assert text.count("| yes |") == len(rows)
    assert "31.2 dB" in text
    assert "| Two objects: both objects found | 71.0% | 71.0% |" in text
    assert "color and background right | 90.0% | 80.0% |" in text
    assert "| Weights of the denoiser | 12.4 MB | 5.6 MB |" in text
    assert "4 seeds, 25 steps, guidance 7.5" in text


@pytest.mark.parametrize(
    ("part", "change", "row"),
    [
        ("one_object", {"object_color_background": 0.849}, "84.9% | at least 85%"),
        ("two_objects", {"objects": 0.5}, "50.0% | at least 70%"),
        ("two_objects", {"all": 0.1}, "10.0% | at least 35%"),
        ("judge", {"mean": 0.96}, "96.0% | at least 97%"),
        ("retrieval", {"toy": 0.79}, "79.0% | at least 80%"),
        ("negative_prompt", {"blurry_with": 0.06}, "10.0% -> 6.0% | falls by at least half"),
        ("negative_prompt", {"blurry_without": 0.0, "blurry_with": 0.0}, "0.0% -> 0.0%"),
        ("rare_words", {"difference_object_right": [-0.1, -0.2, 0.01]}, "[-20.0%, +1.0%]"),
        ("defects", {"grid": [{"defective": 0.14}]}, "14.0% to 14.0% | 15% to 30%"),
        ("defects", {"grid": [{"defective": 0.16}, {"defective": 0.31}]}, "16.0% to 31.0%"),
        ("defects", {"matching": {"without": 0.2, "with": 0.11}}, "20.0% -> 11.0%"),
        ("size", {"all": 40.5}, "40.5 MB | at most 40 MB"),
        ("speed", {"gflop_per_forward": 0.6}, "0.60 GFLOP | at most 0.5"),
        ("speed", {"seconds_per_image": 0.7}, "0.70 s | at most 0.5 s"),
    ],
)
def test_a_missed_bar_is_printed_as_missed(part, change, row):
    text = card_text(CARD | {part: CARD[part] | change})
    (missed,) = [line for line in text.splitlines() if "**no**" in line]
    assert row in missed


def test_what_the_judge_passes_wrongly_is_printed():
    part = {"agree": [0.9, 0.85, 0.94], "passed_wrong": [0.4, 0.3, 0.5, 80]}
    names = ("objects", "colors", "relation", "background", "clean", "all", "defect")
    labeled = {"images": 200} | dict.fromkeys(names, part)
    text = card_text(CARD | {"judge_on_generated": labeled})
    assert "200 generated images" in text
    assert "objects 90% [85%, 94%]" in text
    assert "objects 40% [30%, 50%]" in text
    assert "No generated image" not in text
