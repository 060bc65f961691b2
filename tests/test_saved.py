"""Results as folders: what is written, what is read back, and what other tools find in it."""

import json
import re
from html.parser import HTMLParser

import pytest
import torch
from helpers import FakeModel
from PIL import Image

import dpodiff
from dpodiff.results.metadata import Rollout, parameters, workflow
from dpodiff.spaces.prompts import GuidedPrompts, Prompts
from dpodiff.weighted_text import WeightedText

PROMPT = "a red ball on the sea"
TOY = Rollout("toy", 6, 3.0, "DDIMScheduler")


def improved(prompt=PROMPT, **settings):
    settings = {"budget": 20, "seeds": 2, "verify": 0, "space": "nplib"} | settings
    return dpodiff.improve(prompt, model=FakeModel(), loss="white", progress=False, **settings)


def test_a_result_is_read_back_as_it_was_written(tmp_path):
    result = improved()
    saved = dpodiff.load_result(result.save(tmp_path / "run"))
    assert saved.prompts == result.prompts != saved.user_prompts == result.user_prompts
    assert saved.losses == result.losses
    assert saved.baseline_losses == result.baseline_losses
    assert (saved.verdict, saved.status) == (result.verdict, result.status)
    assert saved.cost["images"] == result.cost.images
    assert torch.allclose(saved.images, result.images, atol=1 / 255)
    assert torch.allclose(saved.before, result.before, atol=1 / 255)
    assert saved.trace.frame().equals(result.trace.frame())
    assert result.prompts.negative in str(saved)


def test_a_refused_result_shows_the_images_of_the_users_own_prompt(tmp_path):
    class Useless(FakeModel):  # words change nothing but the luck of the search's own seeds
        def generate(self, prompts, negative_prompts, seeds):
            lucky = [n if seed < 2 else "" for n, seed in zip(negative_prompts, seeds)]
            return super().generate(prompts, lucky, seeds)

    settings = {"loss": "white", "space": "nplib", "seeds": 2, "verify": 8, "progress": False}
    result = dpodiff.improve(PROMPT, model=Useless(), budget=40, **settings)
    assert not result.verification.accepted
    saved = dpodiff.load_result(result.save(tmp_path / "run"))
    assert saved.prompts == saved.user_prompts
    assert torch.equal(saved.images, saved.before)
    assert saved.found.prompts == result.found.prompts
    assert not torch.equal(saved.found.images, saved.before)


def test_files_of_another_search_are_kept_unless_told_otherwise(tmp_path):
    folder = improved().save(tmp_path)
    before = (folder / "result.json").read_bytes()
    with pytest.raises(ValueError, match=r"has result\.json of another search"):
        improved("a blue box").save(folder)
    assert (folder / "result.json").read_bytes() == before
    improved("a blue box").save(folder, overwrite=True)
    assert dpodiff.load_result(folder).user_prompts.positive == "a blue box"
    assert not list(tmp_path.glob("*.part"))


def test_the_noise_that_was_found_is_kept(tmp_path):
    from safetensors.torch import load_file

    settings = {"budget": 2, "seeds": 1, "method": "zero-order", "progress": False}
    result = dpodiff.align("a red ball", loss="white", **settings)
    folder = result.save(tmp_path)
    assert torch.equal(load_file(folder / "noise.safetensors")["noise"], result.noise)
    assert torch.allclose(dpodiff.load_result(folder).images, result.images, atol=1 / 255)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ('{"verdict": "better"}', "not format 1"),
        ('{"format": 1, "found": {}}', "not of a result"),
        ('{"format": 1, "found": 3}', "not of a result"),
    ],
)
def test_what_is_no_saved_result_is_named(tmp_path, text, message):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        dpodiff.load_result(tmp_path)
    assert "result.json" in str(error.value)


def test_an_image_says_how_it_was_made_as_the_web_ui_reads_it(tmp_path):
    result = dpodiff.improve(PROMPT, budget=2, seeds=1, verify=0, progress=False)
    folder = result.save(tmp_path)
    with Image.open(folder / "found-0.png") as image:
        positive, negative, settings = image.text["parameters"].split("\n")
        nodes = json.loads(image.text["prompt"])
    assert positive == result.prompts.positive
    assert negative == f"Negative prompt: {result.prompts.negative}"
    # the pattern by which the web UI takes the last line apart
    read = dict(re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', settings))
    assert read == {
        "Steps": "6",
        "Sampler": "DDIM",
        "CFG scale": "3",
        "Seed": "0",
        "Size": "64x64",
        "Model": "toy",
        "RNG": "CPU",
    }
    assert nodes["2"]["inputs"]["text"] == result.prompts.positive


def test_the_nodes_of_the_workflow_are_joined_to_nodes_that_exist():
    nodes = workflow(Prompts("a", "b"), 7, (64, 64), TOY)
    links = [v for node in nodes.values() for v in node["inputs"].values() if isinstance(v, list)]
    assert len(links) == 9 and {name for name, _ in links} < set(nodes)
    sampler = next(n for n in nodes.values() if n["class_type"] == "KSampler")["inputs"]
    assert (sampler["seed"], sampler["steps"], sampler["cfg"]) == (7, 6, 3.0)
    assert nodes[sampler["negative"][0]]["inputs"]["text"] == "b"


def test_weights_and_a_guidance_of_ones_own_are_written_as_the_web_ui_reads_them():
    text = WeightedText([("a ", 1.0), ("red", 1.2), (" ball (toy)", 1.0)])
    lines = parameters(GuidedPrompts(text, "", 7.5), 0, (64, 64), TOY).split("\n")
    assert lines[0] == r"a (red:1.2) ball \(toy\)"
    assert "CFG scale: 7.5" in lines[1]


def test_a_line_break_in_a_prompt_does_not_become_a_line_of_the_metadata():
    text = parameters(Prompts("a ball\nSteps: 99", "x\ny"), 0, (64, 64), TOY)
    assert text.split("\n")[:2] == ["a ball Steps: 99", "Negative prompt: x y"]


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.sources = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_of_a_comparison_escapes_the_prompt_and_loads_nothing(tmp_path):
    bad = 'a <script>alert("x")</script> ball $x$ & "more"'
    result = improved(bad, verify=0)
    page = Page(result.compare(tmp_path / "compare.html").read_text())
    assert "script" not in page.tags
    assert bad in page.words
    assert len(page.sources) == 4 and all(s.startswith("data:image/png;") for s in page.sources)
    assert page.tags.count("input") == 2


def test_results_traces_and_spaces_show_as_escaped_tables(tmp_path):
    result = improved("a <b>red</b> ball")
    saved = dpodiff.load_result(result.save(tmp_path))
    for shown in (result, saved, result.trace, result.objective.space):
        page = Page(shown._repr_html_())
        assert "b" not in page.tags and "table" in page.tags
        assert any("<b>red</b>" in words for words in page.words)
