import numpy as np
import pandas as pd
import pytest
from helpers import FakeModel, negative_space, shade
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dpodiff import EPO, Budget, Objective, RandomSearch, paired_bootstrap, search
from dpodiff.plots import (
    contact_sheet,
    convergence,
    distribution,
    heatmaps,
    intervals,
    learned,
    lines,
    population,
    scatter,
    slider,
    strip,
    triangle,
)
from dpodiff.spaces.space import Slot, Space

AWKWARD = r"a $\frac{ball_ ^ \$ %s on $x_{2}$ {} & a very long prompt that has to go on for lines"


WORDS = Space(
    "a $red ball",
    (Slot("$red", ("$red", "crimson"), start=2), Slot("", ("", "blurry", "dark"), "negative")),
)


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


def test_pixels_stay_crisp_and_keep_their_colors():
    shown_images = images(2)
    figure = strip(shown_images, shown_images)
    shown = [image for ax in figure.findobj() for image in getattr(ax, "images", [])]
    assert {image.get_interpolation() for image in shown} == {"nearest"}
    np.testing.assert_allclose(shown[0].get_array(), shown_images[0].transpose(1, 2, 0))


def test_contact_sheet_places_titles_in_reading_order():
    figure = contact_sheet(images(5), titles=[f"image {i} $" for i in range(5)], columns=3)
    assert [t for t in texts(figure) if t.startswith("image")] == [f"image {i} $" for i in range(5)]
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


def test_convergence_shows_the_means_alone_where_they_are_asked_for():
    traces = [search_result(seed=seed).trace for seed in range(3)]
    (ax,) = convergence({"random": traces}, means=True).axes
    best = np.mean([[record.best for record in trace.records] for trace in traces], axis=0)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), best)
    assert not ax.collections


def test_convergence_leaves_rejected_and_short_runs_in_place():
    rejecting = search_result(constraint=lambda prompts: "w0-1" not in prompts.negative).trace
    short = search_result().trace
    short.records = short.records[:4]
    (ax,) = convergence({"one": [rejecting], "two": [short]}).axes
    assert ax.lines[0].get_xdata().tolist() == list(range(1, 10))
    assert ax.lines[1].get_ydata()[3:].tolist() == [short.records[3].best] * 6


def test_runs_of_different_prompts_can_start_at_zero():
    traces = [search_result(seed=seed).trace for seed in range(3)]
    (ax,) = convergence({"random": traces}, relative=True).axes
    gains = [[r.best - trace.records[0].best for r in trace.records] for trace in traces]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.median(gains, axis=0), atol=1e-12)


def test_convergence_of_a_record_is_that_of_its_searches():
    curves = pd.DataFrame(
        [
            {"solver": s, "prompt": p, "search_seed": 0, "spent": spent, "best": best + shift}
            for s, shift in (("epo", 0.0), ("random", 1.0))
            for p in "ab"
            for spent, best in ((1, 3.0), (3, 2.0))
        ]
    )
    (ax,) = convergence(curves).axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["epo (2)", "random (2)"]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[3, 3, 2], [4, 4, 3]]


def test_lines_name_their_curves_and_band_some_of_them():
    x = [1, 2, 3]
    curves = {"loss": (x, [3, 2, 1]), "": (x, [1, 1, 1])}
    bands = {"loss": ([2, 1, 0], [4, 3, 2])}
    (ax,) = lines(curves, xlabel="cost", ylabel="value", bands=bands).axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["loss"]
    assert (ax.get_xlabel(), ax.get_ylabel(), len(ax.collections)) == ("cost", "value", 1)


def test_scatter_shows_every_point_beside_the_diagonal():
    clouds = {"cold": ([1, 2], [2, 1]), "hot": ([3], [3])}
    (ax,) = scatter(clouds, xlabel="x", ylabel="y", diagonal=True).axes
    assert [len(cloud.get_offsets()) for cloud in ax.collections] == [2, 1]
    assert ax.lines[0].get_slope() == 1


def test_a_distribution_shows_every_word_and_its_probability():
    shown = texts(distribution(WORDS, [[0.25, 0.75], [0.1, 0.2, 0.7]]))
    for text in ("$red", "crimson", "blurry", "dark", "0.75", "0.70", "+ $red", "− library"):
        assert text in shown


def test_what_was_learned_is_one_plot_a_slot_titled_with_the_winner():
    history = [[[0.9, 0.1], [0.8, 0.1, 0.1]], [[0.2, 0.8], [0.6, 0.3, 0.1]]]
    figure = learned(WORDS, history)
    assert {"+ $red: crimson", "− library: –"} <= set(texts(figure))
    thick = max(figure.axes[0].lines, key=lambda line: line.get_linewidth())
    np.testing.assert_allclose(thick.get_ydata(), [0.1, 0.8])


def test_a_population_stands_with_its_best_on_top():
    figure = population(WORDS, [(0, 0), (1, 2)], [0.9, 0.5], parents=1)
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.500", "0.900"]
    (top,) = [text for text in ax.texts if text.get_text() == "crimson"]
    assert top.get_position()[1] < 1
    assert ax.lines[0].get_ydata()[0] == 1


def test_long_words_and_many_slots_stay_in_their_cells():
    slots = [Slot(f"w{i}", ("", "underexposed" * 2), "negative") for i in range(12)]
    figure = population(Space("a ball", slots), [(1,) * 12], [0.0])
    FigureCanvasAgg(figure).draw()
    (ax,) = figure.axes
    cell = ax.get_window_extent().width / 12
    assert all(0 < text.get_window_extent().width < cell for text in ax.texts)


def test_triangles_put_sure_choices_in_their_corners():
    figure = triangle(
        {"cold": np.eye(3), "hot": np.ones((5, 3)) / 3}, ["a", "", "c"], np.ones(3) / 3
    )
    cold, hot = figure.axes
    np.testing.assert_allclose(cold.collections[0].get_offsets()[:2], [[0, 0], [1, 0]])
    np.testing.assert_allclose(
        hot.collections[0].get_offsets(), hot.collections[1].get_offsets()[[0] * 5]
    )
    assert [text.get_text() for text in cold.texts] == ["a", "–", "c"]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: distribution(WORDS, [[1.0, 0.0]]), "2 slots need as many rows, not 1"),
        (lambda: distribution(WORDS, [[1.0], [1, 0, 0]]), "red.* needs 2 probabilities, not 1"),
        (lambda: learned(WORDS, [[[1, 0], [1, 0]]]), "needs 3 probabilities, not 2"),
        (lambda: population(WORDS, [(0, 0)], []), "1 candidates, but 0 values"),
    ],
)
def test_numbers_that_do_not_fit_the_words_are_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


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


def test_a_slider_takes_figures_too():
    frames = [distribution(WORDS, [[p, 1 - p], [1, 0, 0]]) for p in (0.0, 1.0)]
    page = slider(frames, ["before", "after"])._repr_html_()
    assert page.count("data:image/png;base64,") == 2


def test_a_slider_needs_a_label_a_frame():
    with pytest.raises(ValueError, match="1 frames, but 2 labels"):
        slider([np.zeros((1, 3, 4, 4))], ["a", "b"])


@pytest.mark.parametrize("draw", [lines, scatter])
def test_names_with_marks_of_formulas_are_shown_as_they_are(draw):
    points = {"_": ([1, 2], [0.1, 0.2]), "$x$": ([1, 2], [0.2, 0.3])}
    figure = draw(points, xlabel="$a_b$", ylabel="_")
    assert {"_", "$x$", "$a_b$"} <= set(texts(figure))
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["_", "$x$"]
    shown = [*legend.get_texts(), figure.axes[0].xaxis.label, figure.axes[0].yaxis.label]
    assert not any(text.get_parse_math() for text in shown)


def test_an_interval_without_ends_is_a_point():
    frame = pd.DataFrame({"mean": [0.5, 0.1], "low": [-np.inf, 0.0], "high": [np.inf, 0.2]})
    figure = intervals(frame)
    figure._repr_png_()
    (bars,) = (one for one in figure.axes[0].containers)
    drawn = [segment for segment in bars[2][0].get_segments() if segment.size]
    assert len(drawn) == 1
    assert max(figure.axes[0].get_xlim()) < 1


def test_heat_maps_have_a_number_a_cell_and_one_scale_of_colors():
    triangle = pd.DataFrame([[0.1, 0.9], [np.nan, 0.2]], index=["a", "b"], columns=[1, 2])
    frames = {"one": triangle, "$two$": 10 * triangle, "three": triangle}
    figure = heatmaps(frames, xlabel="end", ylabel="start")
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [text.get_text() for text in shown[0].texts] == ["0.10", "0.90", "0.20"]
    assert {ax.images[0].get_clim() for ax in shown} == {(0.1, 9.0)}
    own = heatmaps(frames, xlabel="end", ylabel="start", shared=False)
    named = [[label.get_text() for label in ax.get_yticklabels()] for ax in own.axes[:2]]
    assert named == [[str(name) for name in next(iter(frames.values())).index], ["", ""]]
    assert [ax.images[0].get_clim() for ax in own.axes[:2]] == [(0.1, 0.9), (1.0, 9.0)]


def test_heat_maps_are_light_where_the_numbers_are_better():
    frames = {"loss": pd.DataFrame([[0.0, 1.0]]), "judge": pd.DataFrame([[0.0, 1.0]])}
    figure = heatmaps(frames, xlabel="x", ylabel="y", lower_is_better=["loss"])
    inks = [[text.get_color() for text in ax.texts] for ax in figure.axes]
    assert inks == [["black", "white"], ["white", "black"]]
    lightness = [
        ax.images[0].to_rgba(np.array([0.0, 1.0]))[:, :3].sum(axis=1) for ax in figure.axes
    ]
    assert lightness[0][0] > lightness[0][1]
    assert lightness[1][0] < lightness[1][1]
    with pytest.raises(ValueError, match="lower_is_better.*'other'"):
        heatmaps(frames, xlabel="x", ylabel="y", lower_is_better=["other"])


@pytest.mark.parametrize("frames", [{}, {"empty": pd.DataFrame([[np.nan]])}, {"text": "abc"}])
def test_heat_maps_without_numbers_are_refused(frames):
    with pytest.raises(ValueError, match="frames"):
        heatmaps(frames, xlabel="x", ylabel="y")
