"""A callable that makes images is searched like any model, over a real HTTP connection too."""

import io
import itertools
import json
import signal
import threading
import urllib.error
import urllib.parse
import urllib.request
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from helpers import FakeModel, fake_shade, negative_space, shade
from PIL import Image

from dpodiff import Budget, Objective, RandomSearch, Similarity, Trace, Weighted, improve, search
from dpodiff.models.black_box import BlackBox, as_image

PROMPT = "a red ball"
JOBS = [("a", "x", 0), ("a", "", 1), ("b", "", 2), ("c", "y", 3)]
WAIT = 60  # seconds until a test that would hang fails


def drawn(prompt, negative_prompt, seed):
    """A PIL image of the shade that `FakeModel` has for these."""
    value = round(255 * fake_shade(prompt, negative_prompt, seed))
    return Image.new("RGB", (4, 2), (value,) * 3)


class Painter(BaseHTTPRequestHandler):
    """Answers every request with a PNG, but those for `broken_seed` with status 500."""

    broken_seed = -1

    def do_GET(self):
        query = urllib.parse.urlsplit(self.path).query
        asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        if int(asked["seed"]) == self.broken_seed:
            self.send_error(500, "out of paint")
            return
        file = io.BytesIO()
        drawn(asked["prompt"], asked["negative"], int(asked["seed"])).save(file, "PNG")
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        self.wfile.write(file.getvalue())

    def log_message(self, *args):
        pass


@pytest.fixture
def address(monkeypatch):
    monkeypatch.setattr(Painter, "broken_seed", -1)
    with ThreadingHTTPServer(("127.0.0.1", 0), Painter) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def fetch(address):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def fetch(prompt, negative_prompt, seed):
        asked = {"prompt": prompt, "negative": negative_prompt, "seed": seed}
        url = f"{address}/?{urllib.parse.urlencode(asked)}"
        with opener.open(url, timeout=WAIT) as answer:
            return Image.open(io.BytesIO(answer.read()))

    return fetch


def generate(model, jobs=JOBS):
    return model.generate(*map(list, zip(*jobs, strict=True)))


def shades(images):
    return pytest.approx(images.mean(dim=(1, 2, 3)).tolist())


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("solver", ["epo", "random"])
def test_a_service_is_searched_over_http(fetch, solver, workers):
    result = improve(
        PROMPT,
        model=BlackBox(fetch, workers=workers),
        loss=shade,
        space=negative_space(4, 4),
        solver=solver,
        budget=8,
        seeds=2,
        verify=0,
        progress=False,
    )
    expected = [fake_shade(*result.prompts, seed) for seed in (0, 1)]
    assert result.losses == pytest.approx(expected)
    assert sum(result.losses) < sum(result.baseline_losses)
    assert (result.cost.images, result.cost.denoiser_forwards) == (16, 0)
    assert result.images.shape == (2, 3, 2, 4)


def test_a_service_that_breaks_down_loses_nothing(fetch, tmp_path, monkeypatch):
    calls = []

    def failing(*job):
        calls.append(job)
        monkeypatch.setattr(Painter, "broken_seed", 1 if len(calls) > 6 else -1)
        return fetch(*job)

    space, path = negative_space(4, 4), tmp_path / "trace.jsonl"
    objective = Objective(BlackBox(failing, "painter"), shade, space, (0, 1), batch_size=2)
    with pytest.warns(UserWarning, match=r"painter: generate\('a red ball', '.+', 1\).*500"):
        result = search(
            RandomSearch(space), objective, Budget(10), trace=Trace(path), progress=False
        )
    assert isinstance(result.error.__cause__, urllib.error.HTTPError)
    records = Trace.load(path).records
    assert [record.evaluations for record in records] == [1, 2, 3]
    assert all(
        record.losses
        == pytest.approx([fake_shade(record.positive, record.negative, s) for s in (0, 1)])
        for record in records
    )


def test_images_keep_their_order_whatever_ends_first():
    later = threading.Event()

    def first_ends_last(prompt, negative_prompt, seed):
        if seed == JOBS[0][2]:
            assert later.wait(WAIT)
        if seed == JOBS[-1][2]:
            later.set()
        return drawn(prompt, negative_prompt, seed)

    images = generate(BlackBox(first_ends_last, workers=4))
    assert shades(images) == [fake_shade(*job) for job in JOBS]


def test_workers_are_so_many_calls_at_a_time():
    together = threading.Barrier(3, timeout=WAIT)

    def waiting(*job):
        together.wait()
        return drawn(*job)

    assert len(generate(BlackBox(waiting, workers=3), [("a", "", s) for s in range(6)])) == 6


def test_nothing_more_is_asked_for_after_a_failure():
    asked = []

    def failing(prompt, negative_prompt, seed):
        asked.append(seed)
        raise ConnectionError("lost")

    with pytest.raises(RuntimeError, match=r"generate\('a', 'x', 0\) failed.*lost"):
        generate(BlackBox(failing))
    assert asked == [0]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_keeps_its_cause(workers):
    def failing(*job):
        raise TimeoutError("no answer")

    with pytest.raises(RuntimeError, match=r"generate\('a', 'x', 0\) failed.*no answer") as error:
        generate(BlackBox(failing, workers=workers))
    assert isinstance(error.value.__cause__, TimeoutError)


def test_an_interrupt_passes_untouched():
    def interrupted(*job):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(BlackBox(interrupted))


@pytest.fixture
def raising_interrupts():
    """Ctrl-C raises, also where the tests run in the background and ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("raising_interrupts")
def test_an_interrupt_does_not_wait_for_calls_that_hang():
    calls, hanging = itertools.count(1), threading.Event()

    def paint(prompt, negative_prompt, seed):
        call = next(calls)
        if call == 4:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        if call > 2:
            hanging.wait(WAIT)
        return drawn(prompt, negative_prompt, seed)

    space = negative_space(4, 4)
    objective = Objective(BlackBox(paint, workers=2), shade, space, (0, 1), batch_size=2)
    result = search(RandomSearch(space), objective, Budget(10), progress=False)
    hanging.set()
    assert (result.status, len(result.trace.records)) == ("stopped", 1)


ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
EXPECTED = torch.from_numpy(ARRAY).movedim(-1, 0) / 255


@pytest.mark.parametrize(
    "source",
    [
        Image.fromarray(ARRAY),
        Image.fromarray(ARRAY).convert("RGBA"),
        ARRAY,
        ARRAY / 255,
        (ARRAY / 255).astype(np.float32),
        EXPECTED,
        EXPECTED.double().requires_grad_(),
        torch.from_numpy(ARRAY).movedim(-1, 0),
    ],
    ids=["PIL", "RGBA", "uint8", "float64", "float32", "tensor", "with gradient", "uint8 tensor"],
)
def test_images_of_every_kind_are_read_alike(source):
    image = as_image(source)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image, EXPECTED)


def test_a_gray_image_gets_three_channels():
    assert as_image(Image.new("L", (4, 2), 51)).unique().tolist() == pytest.approx([0.2])


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (None, "a PIL image, an array or a tensor of numbers is needed, not NoneType"),
        (b"\x89PNG", "not bytes"),
        (np.array([["a"]]), "not <U1 ndarray"),
        (np.zeros((3, 2, 4)), r"\(height, width, 3\) is needed, not \(3, 2, 4\)"),
        (np.zeros((1, 2, 4, 3)), r"\(height, width, 3\) is needed, not \(1, 2, 4, 3\)"),
        (torch.zeros(2, 4, 3), r"\(3, height, width\) is needed, not \(2, 4, 3\)"),
        (torch.zeros(3, 0, 4), r"not \(3, 0, 4\)"),
        (np.zeros((2, 4, 3), dtype=int), "uint8, or floating point in .*, not torch.int64"),
        (np.full((2, 4, 3), 255.0), r"must lie in \[0, 1\], not in \[255, 255\]; values up to 255"),
        (torch.full((3, 2, 4), -0.5), r"not in \[-0.5, -0.5\]"),
        (torch.full((3, 2, 4), torch.nan), r"not in \[nan, nan\]"),
    ],
)
def test_what_is_no_image_is_refused_with_its_prompt(image, said):
    call = r"black box: generate\('a', 'x', 0\) returned no image: .*"
    with pytest.raises(ValueError, match=call + said):
        generate(BlackBox(lambda *job: image))


def test_images_of_two_sizes_are_refused():
    def sized(prompt, negative_prompt, seed):
        return Image.new("RGB", (4, 2 + (seed == 2)))

    with pytest.raises(
        ValueError, match=r"generate\('b', '', 2\) returned another size.*2x4 and 3x4"
    ):
        generate(BlackBox(sized))


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (Image.new("I;16", (4, 2), 65535 // 5), 0.2),
        (Image.new("F", (4, 2), 0.2), 0.2),
        (Image.new("L", (4, 2), 51), 0.2),
        (Image.new("RGBA", (4, 2), (0, 0, 0, 204)), 0.2),  # a fifth of the white below
        (Image.new("LA", (4, 2), (255, 0)), 1.0),
        (Image.new("RGB", (4, 2), (51, 51, 51)).quantize(2), 0.2),
    ],
    ids=["I;16", "F", "L", "RGBA", "LA", "P"],
)
def test_modes_of_pil_keep_their_shades(source, value):
    image = as_image(source)
    assert image.shape == (3, 2, 4)
    assert image.unique().tolist() == pytest.approx([value], abs=0.005)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Image.new("I", (4, 2), 300), "mode I does not say which value is white"),
        (Image.new("F", (4, 2), 255.0), "must lie in"),
        (torch.zeros(3, 2, 4, device="meta"), "not one on the device meta"),
    ],
)
def test_images_without_known_shades_are_refused(source, said):
    with pytest.raises(ValueError, match=said):
        as_image(source)


def test_sizes_that_change_between_batches_are_refused():
    made = []

    def growing(prompt, negative_prompt, seed):
        made.append(seed)
        return np.full((2 + (len(made) > 2), 4, 3), 0.5)

    objective = Objective(BlackBox(growing), shade, negative_space(4), (0, 1), batch_size=2)
    objective.evaluate([(0,)])
    with pytest.raises(ValueError, match=r"'w0-1', 0\) returned another size.*: 2x4 and 3x4"):
        objective.evaluate([(1,)])


@pytest.mark.parametrize(
    "make", [lambda image: image.numpy().transpose(0, 2, 3, 1), list, lambda image: image.double()]
)
def test_images_of_a_model_of_ones_own_are_read_alike(make):
    class Own(FakeModel):
        def generate(self, *jobs):
            return make(super().generate(*jobs))

    values = [
        Objective(model, shade, negative_space(4), (0, 1)).evaluate([(0,)])[0].value
        for model in (Own(), FakeModel())
    ]
    assert values[0] == pytest.approx(values[1])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            torch.full((2, 3, 2, 2), torch.nan),
            r"fake: generate\('a red ball', '', 0\) returned no image",
        ),
        (torch.full((2, 3, 2, 2), 255.0), "values up to 255 should be uint8"),
        (torch.zeros(1, 3, 2, 2), "fake returned 1 images for 2 prompts"),
        (None, "fake returned None, not images"),
    ],
)
def test_what_a_model_of_ones_own_may_not_give_is_refused(found, said):
    class Own(FakeModel):
        def generate(self, *jobs):
            return found

    with pytest.raises(ValueError, match=said):
        Objective(Own(), shade, negative_space(4), (0, 1)).evaluate([(0,)])


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_call_that_fails_is_made_again_as_often_as_asked(failures):
    asked = []

    def failing(*job):
        asked.append(job)
        if len(asked) <= failures:
            raise ConnectionError("lost")
        return drawn(*job)

    model = BlackBox(failing, retries=2, pause=0)
    if failures <= 2:
        assert len(generate(model, JOBS[:1])) == 1
    else:
        with pytest.raises(RuntimeError, match=r"generate\('a', 'x', 0\) failed 3 times: .*lost"):
            generate(model, JOBS[:1])
    assert len(asked) == min(failures + 1, 3)


def test_no_worker_is_refused():
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        BlackBox(drawn, workers=0)


def test_an_empty_prompt_is_refused():
    with pytest.raises(ValueError, match="prompt is empty"):
        BlackBox(drawn).check(" ")


def test_gradients_are_refused():
    space = negative_space(2)
    objective = Objective(BlackBox(drawn, "painter"), shade, space, (0,))
    with pytest.raises(ValueError, match="painter is a black box, .*no gradients.*'epo'"):
        objective.gradient((torch.tensor([0.5, 0.5]),), None)


def test_half_done_images_are_refused():
    objective = Objective(BlackBox(drawn), shade, negative_space(2), (0, 1))
    with pytest.raises(ValueError, match="black box, which has no steps"):
        objective.price(step=3)


def test_images_of_some_seeds_may_be_previewed():
    objective = Objective(BlackBox(drawn), shade, negative_space(2), (0, 1))
    assert objective.preview([(1,)], seeds=1) == pytest.approx((fake_shade(PROMPT, "w0-1", 0),))
    assert objective.cost.spent == 0.5


def test_the_trace_names_the_box(tmp_path):
    path = tmp_path / "trace.jsonl"
    space = negative_space(3)
    objective = Objective(BlackBox(drawn, "painter"), shade, space, (0,))
    search(RandomSearch(space), objective, Budget(2), trace=Trace(path), progress=False)
    stamp = json.loads(path.read_text().splitlines()[0])["stamp"]
    assert stamp["parameters"]["model"] == "painter"


def drawn_by(key, prompt, negative_prompt, seed):
    return drawn(prompt, negative_prompt, seed)


def shade_by(images, prompts, api_key):
    return shade(images, prompts)


def test_api_keys_bound_to_a_function_are_not_written_down(tmp_path):
    key, path, space = "sk-0123456789", tmp_path / "trace.jsonl", negative_space(3)
    box, loss = BlackBox(partial(drawn_by, key), "painter"), partial(shade_by, api_key=key)
    objective = Objective(box, loss, space, (0,))
    search(RandomSearch(space), objective, Budget(2), trace=Trace(path), progress=False)
    assert json.loads(path.read_text().splitlines()[0])["stamp"]["parameters"]["loss"] == (
        "partial(shade_by, api_key=...)"
    )
    assert repr(box) == "BlackBox(partial(drawn_by, ...), name='painter', workers=1)"
    assert repr(Weighted({loss: 1.0})) == "Weighted(1 * partial(shade_by, api_key=...))"
    assert key not in path.read_text()


def test_an_encoder_is_named_without_its_key():
    def encoder(texts, api_key):
        return torch.ones(len(texts), 2)

    similar = Similarity("a", partial(encoder, api_key="sk-0123456789"))
    assert "sk-" not in repr(similar)
    assert "encoder, api_key=..." in repr(similar)
