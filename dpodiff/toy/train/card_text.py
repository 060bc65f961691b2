"""The model card as text, written from the measured numbers."""

from typing import Any

from dpodiff.toy.scenes import TYPICAL_DEFECTS
from dpodiff.toy.train.defects import HIGH, LIBRARY, LOW

# Bars that were set before training: (what, key path, bar, "at least" or "at most").
BARS = (
    (
        "One object: object, color and background right",
        "one_object.object_color_background",
        0.85,
    ),
    ("Two objects: both objects found", "two_objects.objects", 0.70),
    ("Two objects: all attributes and the relation right", "two_objects.all", 0.35),
    ("Judge on clean renders, mean over attributes", "judge.mean", 0.97),
    ("CLIP finds its caption among 64", "retrieval.toy", 0.80),
    ("Held-out CLIP finds its caption among 64", "retrieval.toy-heldout", 0.80),
)


def lookup(card: dict, path: str) -> float:
    """Return the number at a dotted path of the card."""
    value: Any = card
    for key in path.split("."):
        value = value[key]
    return value


def verdicts(card: dict) -> list[tuple[str, str, str, bool]]:
    """Return (what, measured, bar, met) of every bar, including failed ones."""
    rows = [
        (what, f"{lookup(card, path):.1%}", f"at least {bar:.0%}", lookup(card, path) >= bar)
        for what, path, bar in BARS
    ]
    effect, rare = card["negative_prompt"], card["rare_words"]
    before, after = effect["blurry_without"], effect["blurry_with"]
    rows.append(
        (
            'Blurry images, without and with "blurry" as negative prompt',
            f"{before:.1%} -> {after:.1%}",
            "falls by at least half",
            before > 0 and after <= before / 2,
        )
    )
    mean, low, high = rare["difference_object_right"]
    rows.append(
        (
            "Object right with its rarest word, minus with its most common one",
            f"{mean:+.1%} [{low:+.1%}, {high:+.1%}]",
            "interval below zero",
            high < 0,
        )
    )
    size, speed = card["size"]["all"], card["speed"]
    rows.append(("All weights", f"{size:.1f} MB", "at most 40 MB", size <= 40))
    flops, seconds = speed["gflop_per_forward"], speed["seconds_per_image"]
    rows.append(("Denoiser forward", f"{flops:.2f} GFLOP", "at most 0.5", flops <= 0.5))
    threads = "one thread" if speed["threads"] == 1 else f"{speed['threads']} threads"
    what = f"20-step guided image in a batch of 16, {threads}"
    rows.append((what, f"{seconds:.2f} s", "at most 0.5 s", seconds <= 0.5))
    return rows


def defect_verdicts(defects: dict) -> list[tuple[str, str, str, bool]]:
    """Return (what, measured, bar, met) of the bars on defects, from `defects.measure`."""
    shares = [setting["defective"] for setting in defects["grid"]]
    before, after = defects["matching"]["without"], defects["matching"]["with"]
    library = defects["negative"][LIBRARY]
    harm = library["change_all_where_clean"]
    return [
        (
            "Defective images that nobody asked for, over guidance and steps",
            f"{min(shares):.1%} to {max(shares):.1%}",
            f"{LOW:.0%} to {HIGH:.0%}",
            min(shares) >= LOW and max(shares) <= HIGH,
        ),
        (
            "Defects, without and with their own word as negative prompt",
            f"{before:.1%} -> {after:.1%}",
            "falls by at least half",
            before > 0 and after <= before / 2,
        ),
        (
            "Defective images, without and with all eight words as negative prompt",
            f"{defects['without']['defective']:.1%} -> {library['defective']:.1%}",
            "falls by at least half",
            library["defective"] <= defects["without"]["defective"] / 2,
        ),
        (
            "All as asked where the image was clean, with all eight words minus without",
            f"{harm[0]:+.1%} [{harm[1]:+.1%}, {harm[2]:+.1%}]",
            "interval not below zero",
            harm[2] >= 0,
        ),
    ]


def judge_text(table: dict) -> str:
    """Return the results of `judge_labels.agreement` in sentences."""
    if not table["images"]:
        return "No generated image of these weights has been labeled by eye."

    def interval(values: list[float]) -> str:
        return f"{values[0]:.0%} [{values[1]:.0%}, {values[2]:.0%}]"

    names = ("objects", "colors", "relation", "background", "clean", "all")
    agree = ", ".join(f"{name} {interval(table[name]['agree'])}" for name in names)
    passed = ", ".join(f"{name} {interval(table[name]['passed_wrong'])}" for name in names)
    defect = interval(table["defect"]["agree"])
    return (
        f"Judge on {table['images']} generated images labeled by eye: it agrees on {agree}; "
        f"on the same defect or none {defect}. Of what the labels call wrong it passes: {passed}."
    )


def card_text(card: dict) -> str:
    """Return the card as Markdown."""
    rows = "\n".join(
        f"| {what} | {measured} | {bar} | {'yes' if met else '**no**'} |"
        for what, measured, bar, met in verdicts(card) + defect_verdicts(card["defects"])
    )
    judge = ", ".join(f"{k} {v:.1%}" for k, v in card["judge"].items())
    one, two = (_shares(card[part]) for part in ("one_object", "two_objects"))
    typical = ", ".join(
        f"{background} with {defect} ({share:.0%})"
        for background, (defect, share) in TYPICAL_DEFECTS.items()
    )
    named, second = (f"{card['naming'][k]:.1%}" for k in ("toy", "toy-heldout"))
    return TEMPLATE.format(
        rows=rows,
        models=_models(card),
        judge=judge,
        one=one,
        two=two,
        typical=typical,
        named=named,
        second=second,
        labeled=judge_text(card["judge_on_generated"]),
        psnr=card["vae_psnr"],
        **card["sampling"],
    )


def _models(card: dict) -> str:
    """Return a table that compares both models, one row per quality."""
    both = (card, "stable-diffusion"), (card["small"], "stable-diffusion-small")
    rows = [
        [what, *(f"{lookup(part, path):.1%}" for part, _ in both)]
        for what, path in (
            *((what, path) for what, path, _ in BARS if path.startswith(("one", "two"))),
            ("One object: no defect", "one_object.clean"),
            ("Two objects: no defect", "two_objects.clean"),
        )
    ]
    unets = (f"{folder}/unet/diffusion_pytorch_model.safetensors" for _, folder in both)
    rows.append(["Weights of the denoiser", *(f"{card['size'][unet]:.1f} MB" for unet in unets)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _shares(part: dict) -> str:
    names = ("objects", "colors", "background", "clean", "all")
    return ", ".join(f"{name} {part[name]:.1%}" for name in names)


TEMPLATE = """# Model card of the toy world

**What it is.** A latent diffusion model of 64 x 64 images in the format of Stable Diffusion
(CLIPTokenizer, CLIPTextModel, UNet2DConditionModel, AutoencoderKL, DDIM, v-prediction), two CLIPs
in open_clip's format, an image-text matcher and a judge. Made to study prompt optimization on a
laptop; good for nothing else.

**Data.** Rendered scenes of one or two of twelve icons in eight colors on eight backgrounds. Three
in ten carry one of eight defects. In the denoiser's images, defects also go with backgrounds:
{typical}. Captions name 15% of the defects, so prompts get defects that nobody asked for, as users
of Stable Diffusion do. Captions come in three styles and draw the words of a concept with Zipf
frequencies. A tenth of all combinations is held out of training; the prompt sets are drawn from
these.

**Recipe.** `python -m dpodiff.toy.train`, seeded; fp32 training on two CPU cores, weights stored
as fp16. The weights in place were not trained in one run of it. The denoiser was trained in several
stretches, while the recipe was being found: about 10000 steps without typical defects, then about
8000 with them, of which the last follow the recipe (`--stage diffusion --warm`). The judge had two
stretches, the second on images as a denoiser makes them, the matcher four. Both CLIPs saw families
of twins and captions of the object alone in the last part of their training only. `toy-small` has a
denoiser of its own, trained from another seed on other images (`--stage small`, in two stretches),
and a text encoder trained with it; tokenizer and autoencoder are copies.

**Measured** on the 300 held-out prompts x {seeds} seeds, {steps} steps, guidance {guidance}, by the
judge:

| what | measured | bar | met |
|---|---|---|---|
{rows}

| by the same judge | `toy` | `toy-small` |
|---|---|---|
{models}

One object: {one}. Two objects: {two}.

Judge on fresh renders: {judge}. Autoencoder: {psnr:.1f} dB on held-out images. All else said
right, CLIP names the object of a clean image among twelve in {named}, the held-out CLIP in
{second}.

{labeled}

**Limits.** Only the words of `dpodiff.toy.words`; at most two things; places are left, right, above
and below; no text, no people, no photographs. Colors of two things are sometimes exchanged, and
shapes melt where training time was short. Rare words are drawn as well as common ones: even the
rarest of five is one in a hundred of its kind, thousands of captions in all, and the text encoder
begins with what CLIP has learned of it. The judge shares the renderer with the training data, so it
tells what is drawn, not what is beautiful.
"""
