"""Prompts taken apart into statements, and which of them images hold."""

import copy
import math

import pytest
import tiny
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dpodiff import Dictionary, LoadError, WordNet, contrasts_of, faithfulness, losses, statements
from dpodiff.losses import Contrastive, Decomposed, SphericalCLIP
from dpodiff.plots import statements as plot
from dpodiff.toy.words import toy_lexicon

LEXICON = Dictionary(antonyms={"red": ["green", "blue"], "blue": ["green"], "ball": ["box", "cup"]})
PROMPT = "a red ball"


def groups(prompt):
    return contrasts_of(prompt, LEXICON)


def images(count, seed=0):
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tiny.clip(tmp_path_factory.mktemp("clip") / "tiny")
    return SphericalCLIP(f"local-dir:{folder}", device="cpu")


def read(prompt, lexicon):
    return [(statement.kind, statement.text) for statement in statements(prompt, lexicon)]


def test_a_prompt_is_read_as_things_attributes_relations_and_a_place():
    assert read("a small red ball left of a blue box on the sea", toy_lexicon()) == [
        ("attribute", "small ball"),
        ("attribute", "red ball"),
        ("object", "ball"),
        ("relation", "ball left of a blue box"),
        ("attribute", "blue box"),
        ("object", "box"),
        ("place", "on the sea"),
        ("order", "red, blue in this order"),
        ("order", "ball, box in this order"),
    ]


def test_a_comma_ends_a_phrase():
    kinds = dict(read("a large car, a green tree at night", toy_lexicon()))
    assert kinds["object"] == "tree"
    assert ("object", "car") in read("a large car, a green tree at night", toy_lexicon())
    assert ("attribute", "large car") in read("a large car, a green tree at night", toy_lexicon())


def test_free_text_is_read_with_wordnet():
    found = read("a happy young woman walking down a dark street", WordNet())
    assert ("attribute", "happy woman") in found
    assert ("attribute", "dark street") in found
    assert ("object", "woman") in found


def test_each_contrast_belongs_to_one_statement():
    prompt = "a red ball left of a blue box"
    found = contrasts_of(prompt, toy_lexicon())
    texts = [text for others in found.values() for text in others]
    assert len(texts) == len(set(texts))
    assert prompt not in texts
    assert found["ball left of a blue box"] == ["a red ball right of a blue box"]


def test_probabilities_equal_a_computation_by_hand(clip):
    batch = images(3)
    table = Decomposed(clip, groups).probabilities(batch, PROMPT)
    assert list(table.index) == ["red ball", "ball"]
    scale = clip.clip.logit_scale.exp().item()
    for text, others in groups(PROMPT).items():
        cosines = (clip.features(batch) @ clip.text_features([PROMPT, *others]).T).tolist()
        for column, row in enumerate(cosines):
            weights = [math.exp(scale * cosine) for cosine in row]
            assert table.loc[text, column] == pytest.approx(weights[0] / sum(weights), abs=1e-4)


def test_the_loss_is_minus_the_mean_log_probability(clip):
    loss, batch = Decomposed(clip, groups), images(3)
    prompts = [PROMPT, "a blue ball", PROMPT]
    for row, prompt in enumerate(prompts):
        logs = loss.probabilities(batch[row : row + 1], prompt)[0].map(math.log)
        assert loss(batch, prompts)[row].item() == pytest.approx(-logs.mean(), abs=1e-4)


def test_one_statement_gives_the_contrastive_loss(clip):
    batch, prompts = images(2), ["a blue cup"] * 2
    contrastive = Contrastive(clip, lambda prompt: ["a green cup"])
    torch.testing.assert_close(
        Decomposed(clip, groups)(batch, prompts), contrastive(batch, prompts)
    )


def test_gradients_agree_with_differences_in_float64(clip):
    exact = copy.copy(clip)
    exact.clip = copy.deepcopy(clip.clip).double()
    exact._texts = type(clip._texts)(exact._encode_texts)
    loss, batch = Decomposed(exact, groups), images(2).double().requires_grad_()
    direction = torch.randn(batch.shape, generator=torch.Generator().manual_seed(1)).double()

    def total(x):  # before the cast to float32
        return loss._log_probabilities(exact.features(x), PROMPT).sum()

    total(batch).backward()
    with torch.no_grad():
        slope = (total(batch + 1e-5 * direction) - total(batch - 1e-5 * direction)) / 2e-5
    assert (batch.grad * direction).sum().item() == pytest.approx(slope.item(), rel=1e-5)


def test_the_table_says_what_is_shown_instead(clip):
    batch = images(4)
    table = Decomposed(clip, groups).table(batch, PROMPT).set_index("statement")
    scores = Decomposed(clip, groups).probabilities(batch, PROMPT)
    features, others = clip.features(batch), groups(PROMPT)["ball"]
    nearest = int((features @ clip.text_features(others).T).mean(dim=0).argmax())
    assert table.loc["ball", "instead"] == others[nearest]
    assert table.loc["ball", "score"] == pytest.approx(scores.loc["ball"].mean())
    own, cosines = (
        features @ clip.text_features([PROMPT])[0],
        features @ clip.text_features(others).T,
    )
    assert table.loc["ball", "holds"] == (own > cosines.amax(dim=1)).float().mean().item()


def test_a_statement_holds_if_the_prompt_is_the_most_probable_of_its_texts(clip):
    batch, loss = images(20), Decomposed(clip, groups)
    scores, holds = loss.probabilities(batch, PROMPT), loss.holds(batch, PROMPT)
    assert holds.shape == scores.shape
    assert set(holds.to_numpy().ravel()) == {True, False}
    counts = [1 + len(others) for others in groups(PROMPT).values()]
    for (_, held), (_, score), count in zip(holds.iterrows(), scores.iterrows(), counts):
        assert (score[held] > 1 / count).all()  # the largest of several that sum to 1
        assert (score[~held] < 0.5).all()


def test_a_prompt_without_statements_is_refused(clip):
    for call in (
        lambda: losses.check_prompt(Decomposed(clip, groups), "a tree"),
        lambda: Decomposed(clip, groups)(images(1), ["a tree"]),
        lambda: faithfulness(images(1), "a tree", clip=clip, lexicon=LEXICON),
    ):
        with pytest.raises(ValueError, match="'a tree' has no contrast prompt"):
            call()


@pytest.mark.parametrize(
    ("name", "form"), [("contrastive", "softmax"), ("contrastive-margin", "margin")]
)
def test_contrastive_losses_are_loaded_by_name(clip, name, form):
    loss = losses.load(f"{name}:{clip.name}", "cpu", statements=groups)
    expected = Contrastive(clip, lambda p: [t for g in groups(p).values() for t in g], form)
    torch.testing.assert_close(loss(images(2), [PROMPT] * 2), expected(images(2), [PROMPT] * 2))


def test_a_contrastive_name_without_a_lexicon_says_what_it_needs():
    for name in ("contrastive:toy", "contrastive-margin:toy", "decomposed"):
        with pytest.raises(LoadError, match=f"'{name}' compares .*lexicon: give `statements`"):
            losses.load(name)


def test_faithfulness_works_with_wordnet_and_any_clip(clip):
    found = faithfulness(images(3), "a red ball on the sea", clip=clip)
    assert list(found.table.columns) == ["statement", "kind", "score", "holds", "instead"]
    assert found.probabilities.shape == (len(found.table), 3)
    assert found.probabilities.to_numpy().min() > 0
    for text, holds in zip(found.table["statement"], found.table["holds"]):
        assert f"{text} " in str(found)
        assert f"{round(3 * holds)} of 3" in str(found)


def test_faithfulness_refuses_what_is_no_clip():
    with pytest.raises(ValueError, match="clip must be a SphericalCLIP"):
        faithfulness(images(1), PROMPT, clip="white", lexicon=LEXICON)
    with pytest.raises(ValueError, match="unknown lexicon 'duden'"):
        faithfulness(images(1), PROMPT, lexicon="duden")


def test_the_figure_marks_each_statement_of_each_image(clip):
    found = faithfulness(images(3), "a red ball", clip=clip, lexicon=LEXICON)
    figure = plot(images(3), found.probabilities, found.holds)
    FigureCanvasAgg(figure).draw()
    marks = [text.get_text() for text in figure.axes[-1].texts]
    cells = zip(found.probabilities.to_numpy().ravel(), found.holds.to_numpy().ravel())
    assert marks == [f"{'✓' if held else '✗'} {value:.2f}" for value, held in cells]
    assert len(figure.axes) == 4
    with pytest.raises(ValueError, match="2 images, but 3 columns"):
        plot(images(2), found.probabilities, found.holds)
    with pytest.raises(ValueError, match=r"holds is \(1, 3\), but probabilities \(2, 3\)"):
        plot(images(3), found.probabilities, found.holds[:1])
