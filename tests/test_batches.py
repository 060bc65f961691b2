"""Where memory runs out, batches get smaller, and nothing else changes."""

import warnings
import weakref
from types import SimpleNamespace

import pytest
import torch
from gaussian import Gaussian
from helpers import FakeModel, negative_space, shade

from dpodiff import Budget, Hybrid, Objective, RandomSearch, Slot, Space, search
from dpodiff.gradients import Checkpointed, Full
from dpodiff.models.batches import ADVICE, Batches
from dpodiff.objective.queries import NoiseQuery
from dpodiff.solvers import search_noise

WORDS = Space("left left", (Slot("left", ("left", "right")),))
WEIGHTS = [torch.tensor([0.3, 0.7], dtype=torch.float64)]
SEEDS = range(5)

pytestmark = pytest.mark.filterwarnings("ignore:.*ran out of memory:UserWarning")


@pytest.fixture(autouse=True)
def no_collection(monkeypatch):
    """Collecting garbage takes a second with all of torch loaded; no test depends on it."""
    monkeypatch.setattr("gc.collect", lambda *generation: 0)


def on_gpu():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def on_cpu():
    torch.empty(2**60)  # more bytes than there are


class Small(FakeModel):
    """Holds so many images, and finds out only when they are half done."""

    def __init__(self, room, fail=on_gpu):
        super().__init__()
        self.room, self.fail = room, fail

    def generate(self, prompts, negative_prompts, seeds):
        images = super().generate(prompts, negative_prompts, seeds)
        if len(seeds) > self.room:
            self.fail()
        return images


class Narrow(Gaussian):
    """Holds so many rows with a graph; runs out in the middle of the backward pass."""

    def __init__(self, room=99, plain=99):
        super().__init__()
        self.room, self.plain = room, plain

    def _denoise(self, x, t, embeddings):
        prediction = super()._denoise(x, t, embeddings)
        if not prediction.requires_grad and len(x) > self.plain:
            on_gpu()
        return prediction

    def _count_backward(self, gradient):
        super()._count_backward(gradient)
        if len(gradient) > self.room and self.backwards % 3 == 0:
            on_gpu()


def brightness(images, prompts):
    return images.square().mean(dim=(1, 2, 3))


def objective(model, size=None, **settings):
    return Objective(model, shade, negative_space(4, 4), range(3), batch_size=size, **settings)


def words(model, size=None, **settings):
    return Objective(model, brightness, WORDS, SEEDS, batch_size=size, **settings)


def ledger(goal):
    """All of it but what depends on the machine."""
    return {k: v for k, v in vars(goal.cost).items() if k not in ("seconds", "peak_memory")}


def batches(size=None, device="cpu"):
    model = SimpleNamespace(device=torch.device(device), forwards=0, backwards=0)
    return Batches(model, size)


def sizes(cut, count, room=1000):
    """The batches that `count` items come in."""

    def work(part):
        if len(part) > room:
            on_gpu()
        return len(part)

    return list(cut.map(work, range(count)))


def test_a_cpu_takes_16_at_a_time_and_a_number_is_kept_to():
    assert sizes(batches(), 40) == [16, 16, 8]
    assert sizes(batches(size=7), 20) == [7, 7, 6]
    assert sizes(batches(size=100, device="cuda"), 120) == [100, 20]


def test_on_a_gpu_batches_double_up_to_a_bound():
    cut = batches(device="cuda")
    assert sizes(cut, 3) == [3]
    assert sizes(cut, 200) == [4, 8, 16, 32, 64, 64, 12]


def test_what_fits_is_kept_and_grows_no_more():
    cut = batches(device="cuda")
    assert sizes(cut, 60, room=13) == [4, 8, 8, 8, 8, 8, 8, 8]
    assert sizes(cut, 20) == [8, 8, 4]


def test_a_batch_is_halved_until_it_fits_also_if_it_is_not_full():
    cut = batches(size=16)
    assert sizes(cut, 7, room=3) == [2, 2, 2, 1]
    assert cut.size == 2


def test_items_keep_their_order_and_tensors_are_cut_like_lists():
    def work(part):
        if len(part) > 3:
            on_gpu()
        return part * 2

    found = batches().map(work, torch.arange(10))
    assert torch.cat(list(found)).tolist() == [2 * k for k in range(10)]


def test_halving_a_number_that_was_asked_for_is_said_once():
    with pytest.warns(
        UserWarning, match="8 images .* have 2 images instead of the requested batch_size = 8"
    ) as said:
        sizes(batches(size=8), 30, room=3)
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sizes(batches(), 30, room=3)


def test_the_tensors_of_a_failed_batch_are_let_go_before_the_next_try():
    alive = weakref.WeakSet()

    def work(part):
        big = torch.ones(len(part))
        alive.add(big)
        if len(part) > 1:
            on_gpu()
        return len(alive), big.sum()

    assert next(batches().map(work, range(4)))[0] == 1


def test_at_one_image_the_error_says_what_would_help():
    cut = batches(size=4)
    with pytest.raises(torch.OutOfMemoryError) as error:
        sizes(cut, 4, room=0)
    assert str(error.value).startswith("CUDA out of memory. Tried to allocate 2.00 GiB.")
    assert str(error.value).count(ADVICE) == 1
    assert cut.size == 4


def test_batches_in_batches_give_their_advice_once():
    outer, inner = batches(), batches()
    with pytest.raises(torch.OutOfMemoryError) as error:
        list(outer.map(lambda part: sizes(inner, len(part), room=0), range(2)))
    assert str(error.value).count(ADVICE) == 1


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("out of memory.")])
def test_any_other_error_passes_through_at_once(error):
    tries = []

    def work(part):
        tries.append(len(part))
        raise error

    with pytest.raises(type(error)) as raised:
        list(batches().map(work, range(4)))
    assert raised.value is error
    assert tries == [4]


@pytest.mark.parametrize("fail", [on_gpu, on_cpu])
def test_evaluations_go_on_with_less_and_nothing_is_counted_twice(fail):
    candidates = [(0, k) for k in range(4)]
    tight, easy = objective(Small(2, fail), size=8), objective(FakeModel(), size=2)
    assert tight.evaluate(candidates) == easy.evaluate(candidates)
    assert tight.model.batches == [8, 4, 2, 2, 2, 2, 2, 2]
    assert ledger(tight) == ledger(easy)
    assert tight.preview(candidates, seeds=2) == easy.preview(candidates, seeds=2)
    assert ledger(tight) == ledger(easy)
    assert tight.batches.size == 2
    assert tight.cost.seconds > 0


def test_images_and_scores_go_on_with_less():
    tight, easy = objective(Small(2)), objective(FakeModel())
    assert torch.equal(tight.images((0, 1), range(7)), easy.images((0, 1), range(7)))
    tight, easy = objective(Small(2)), objective(FakeModel())
    assert tight.score((0, 1), range(7)) == easy.score((0, 1), range(7))
    assert tight.cost.denoiser_forwards == 0


def test_what_was_finished_before_the_end_stays():
    goal = objective(Small(2), size=3)
    first = next(goal.stream([(0, 1)]))
    goal.model.room = 0
    with pytest.raises(torch.OutOfMemoryError, match="smaller images"):
        goal.evaluate([(0, 1), (0, 2)])
    assert (goal.cost.evaluations, goal.cost.images) == (1, 3)
    assert goal.evaluate([(0, 1)]) == [first]


def test_a_loss_that_runs_out_of_memory_counts_too():
    def greedy(images, prompts):
        if len(images) > 2:
            on_gpu()
        return shade(images, prompts)

    space = negative_space(4, 4)
    tight = Objective(FakeModel(), greedy, space, range(3))
    assert tight.evaluate([(1, 1)]) == objective(FakeModel()).evaluate([(1, 1)])


@pytest.mark.parametrize("estimator", [Full(), Checkpointed()])
def test_gradients_of_words_go_on_with_less(estimator):
    tight, easy = words(Narrow(room=2)), words(Gaussian(), size=2)
    found, expected = (goal.gradient(WEIGHTS, estimator) for goal in (tight, easy))
    assert (tight.graph_batches.size, easy.graph_batches.size) == (2, 2)
    assert found.value == expected.value
    assert torch.equal(found.gradients[0], expected.gradients[0])
    assert found.gradients[0].abs().max() > 0
    assert ledger(tight) == ledger(easy)


def full_until_the_last_step_back(model, noise, positive, negative, **rollout):
    """Runs out of memory once the gradient has come to the one text and not yet to the other."""

    def check(gradient):
        if len(gradient) > 2:
            on_gpu()

    positive.register_hook(check)
    return Full()(model, noise, positive, negative, **rollout)


def test_half_a_gradient_is_never_left_behind():
    space = Space("left", (*WORDS.slots, Slot("", ("", "far"), "negative")))
    found = []
    for size in (16, 2):
        model = Gaussian()
        model.guidance = 2.0
        goal = Objective(model, brightness, space, SEEDS, batch_size=size)
        slope = goal.gradient(WEIGHTS * 2, full_until_the_last_step_back)
        assert goal.graph_batches.size == 2
        found.append(torch.stack(slope.gradients))
    assert torch.equal(*found)
    assert (found[0] != 0).any(dim=1).all()


def test_gradients_have_a_size_of_their_own():
    goal = words(Narrow(room=2))
    goal.gradient(WEIGHTS, Full())
    assert (goal.graph_batches.size, goal.batches.size) == (2, 16)


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("estimator", [None, Full(), Checkpointed(), Hybrid(3)])
def test_questions_about_noise_go_on_with_less(estimator, eta):
    tight, easy = words(Narrow(room=2, plain=3), eta=eta), words(Gaussian(), size=2, eta=eta)
    found, expected = (
        g.evaluate_noise(NoiseQuery(g.noise(), (0,), estimator)) for g in (tight, easy)
    )
    assert found.losses == pytest.approx(expected.losses, rel=1e-9)
    if estimator is None:
        assert tight.batches.size == 3
    else:
        assert tight.graph_batches.size == 2
        torch.testing.assert_close(found.gradients, expected.gradients)
    assert ledger(tight) == ledger(easy)


def test_images_of_given_noise_go_on_with_less():
    tight, easy = words(Narrow(plain=2)), words(Gaussian())
    torch.testing.assert_close(*(g.images((1,), noise=g.noise()) for g in (tight, easy)))


def test_a_search_ends_as_it_would_have_with_room():
    def run(model, size):
        space = negative_space(4, 4)
        goal = Objective(model, shade, space, range(3), batch_size=size)
        return search(RandomSearch(space, seed=1), goal, Budget(8), progress=False)

    tight, easy = run(Small(1), 16), run(FakeModel(), 16)
    assert (tight.candidate, tight.losses) == (easy.candidate, easy.losses)
    assert ledger(tight) == ledger(easy)


def test_best_of_n_goes_on_with_less():
    tight, easy = (
        search_noise(objective(model), Budget(4), progress=False) for model in (Small(2), Small(99))
    )
    assert tight.losses == easy.losses
    assert tight.cost.images == easy.cost.images == 12
