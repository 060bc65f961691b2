import numpy as np
import pandas as pd
import pytest
from helpers import FakeModel, negative_space, shade

from dpodiff import EPO, Budget, Objective, RandomSearch, paired_bootstrap, search
from dpodiff.plots import contact_sheet, convergence, intervals, slider, strip

AWKWARD = r"a $\frac{ball_ ^ \$ %s on $x_{2}$ {} & a very long prompt that has to go on for lines"


def images(count, size=8):
    return np.random.default_rng(0).random((count, 3, size, size))


def texts(figure):
    """Everything written in a figure, drawn first so that bad text would raise."""
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def joined(figure):
    return " ".join(" ".join(texts(figure)).split())


def search_result(solver_class=RandomSearch, seed=0, **settings):
    space = negative_space(6, 6, prompt="a $red ball")
    objective = Objective(FakeModel(), shade, space, (0, 1, 2), **settings)
    return search(solver_class(space, seed=seed), objective, Budget(9), progress=False)


def test_strip_of_a_result_shows_prompts_and_losses():
    result = search_result()
    figure = strip(result)
    words = joined(figure)
    assert "before: a $red ball" in words
    assert f"after: a $red ball | negative: {result.prompts.negative}" in words
    for loss in (*result.baseline_losses, *result.losses):
        assert f"loss {loss:.3f}" in words


def test_strip_of_images():
    figure = strip(images(1), images(1), texts=(AWKWARD, AWKWARD))
    assert joined(figure).count(" ".join(AWKWARD.split())) == 2


def test_pixels_stay_crisp_and_keep_their_colours():
    pictures = images(2)
    figure = strip(pictures, pictures)
    shown = [image for ax in figure.findobj() for image in getattr(ax, "images", [])]
    assert {image.get_interpolation() for image in shown} == {"nearest"}
    np.testing.assert_allclose(shown[0].get_array(), pictures[0].transpose(1, 2, 0))


def test_contact_sheet_places_titles_in_reading_order():
    figure = contact_sheet(images(5), titles=[f"picture {i} $" for i in range(5)], columns=3)
    assert [t for t in texts(figure) if t.startswith("picture")] == [
        f"picture {i} $" for i in range(5)
    ]
    assert sum(len(ax.images) for ax in figure.axes) == 5


@pytest.mark.parametrize(
    "draw",
    [
        lambda: strip(images(2), images(3)),
        lambda: strip(images(2)[0], images(2)[0]),
        lambda: contact_sheet(images(2).transpose(0, 2, 3, 1)),
        lambda: contact_sheet(images(2), titles=["one"]),
        lambda: contact_sheet(images(0)),
    ],
)
def test_images_of_another_layout_are_refused(draw):
    with pytest.raises(ValueError, match="images"):
        draw()


def test_convergence_shows_the_median_of_each_method():
    traces = {
        name: [search_result(solver_class, seed).trace for seed in range(3)]
        for name, solver_class in {"EPO": EPO, "random": RandomSearch}.items()
    }
    (ax,) = convergence(traces).axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["EPO (3)", "random (3)"]
    for line, runs in zip(ax.lines, traces.values(), strict=True):
        best = np.median([[record.best for record in trace.records] for trace in runs], axis=0)
        np.testing.assert_allclose(line.get_ydata(), best)


def test_convergence_leaves_rejected_and_short_runs_in_place():
    rejecting = search_result(constraint=lambda prompts: "w0-1" not in prompts.negative).trace
    short = search_result().trace
    short.records = short.records[:4]
    (ax,) = convergence({"one": [rejecting], "two": [short]}).axes
    assert ax.lines[0].get_xdata().tolist() == list(range(1, 10))
    assert ax.lines[1].get_ydata()[3:].tolist() == [short.records[3].best] * 6


def test_intervals_draw_one_line_a_row():
    frame = pd.DataFrame(
        [paired_bootstrap([-0.3, -0.1, -0.2]), paired_bootstrap([0.1, -0.1, 0.3])],
        index=["held-out $eeds", "judge"],
    )
    figure = intervals(frame)
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["held-out $eeds", "judge"]
    assert "held-out $eeds" in texts(figure)


def test_figures_show_themselves():
    assert contact_sheet(images(1))._repr_png_().startswith(b"\x89PNG")


def test_a_slider_holds_every_frame_and_escapes_its_labels():
    frames = [np.zeros((2, 3, 4, 4)), np.ones((2, 3, 4, 4))]
    page = slider(frames, ["t = 1", "<b>"])._repr_html_()
    assert page.count("data:image/png;base64,") == 2
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert 'max="1"' in page


def test_a_slider_needs_a_label_a_frame():
    with pytest.raises(ValueError, match="1 frames, but 2 labels"):
        slider([np.zeros((1, 3, 4, 4))], ["a", "b"])
