"""Filters and orders of Browse: old links keep their meaning, new terms survive beside the filter panel."""

import math

import numpy as np
import pandas as pd
import pytest

from galspec.store.id_lists import save_ids
from galspec.ui.query import (
    FILTER_FIELDS,
    SORTS,
    Query,
    like_of,
    like_sort,
    parse_query,
    random_sort,
    sort_label,
)


@pytest.fixture
def catalog() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"g{index}" for index in range(6)],
            "galaxy_class": ["SF", "GV", "Q", "SF", "Q", "SF"],
            "redshift": [0.02, 0.05, 0.10, 0.15, np.nan, 0.20],
            "mag_g": [15.0, 16.0, 17.0, 18.0, 17.0, 16.0],
            "mag_r": [14.6, 15.3, 16.1, 17.5, 16.2, 15.7],
            "split": ["train", "test", "test", "valid", "test", "train"],
            "latent_rmse": [0.5, 2.0, np.nan, 1.0, 0.2, 3.0],
        }
    )


def test_old_links_keep_their_meaning(catalog):
    query, problems = parse_query("class=SF,GV & z>=0.03 & z<=0.1 & r<=16 & split=test", "-z")
    assert problems == []
    assert query.classes == {"class": ("SF", "GV"), "split": ("test",)}
    assert query.ranges == {"z": (0.03, 0.1), "r": (-np.inf, 16.0)}
    assert query.extra == ()
    assert query.rows(catalog).tolist() == [1]
    assert query.text == "class=SF,GV & split=test & z>=0.03 & z<=0.1 & r<=16"
    assert query.url == {"q": query.text, "sort": "-z"}


def test_terms_without_a_widget_are_kept_and_written_back(catalog):
    text = "class=SF & z<0.2 & 0.3<g-r<0.6 & (err>=1 | not class=SF,Q)"
    query, problems = parse_query(text)
    assert problems == []
    assert query.classes == {"class": ("SF",)}
    assert query.text == "class=SF & z<0.2 & g-r>0.3 & g-r<0.6 & (err>=1 | not class=SF,Q)"
    assert query.rows(catalog).tolist() == [3]
    again, _ = parse_query(query.text)
    assert again == query
    # The panel makes a new query of its widgets and hands the other terms on.
    assert Query({}, {}, "", query.extra).rows(catalog).tolist() == [3]


def test_a_range_within_parentheses_or_chained_reaches_the_panel():
    query, _ = parse_query("0.02<=z<=0.1 & (class=SF)")
    assert query.ranges == {"z": (0.02, 0.1)}
    assert query.classes == {"class": ("SF",)}
    assert query.extra == ()


def test_a_field_named_twice_must_hold_twice(catalog):
    query, _ = parse_query("z>=0.01 & z>=0.05 & z<=0.3 & z<=0.15 & class=SF,Q & class=SF")
    assert query.ranges == {"z": (0.05, 0.15)}
    assert query.rows(catalog).tolist() == [3]


def test_a_mistake_spares_the_other_terms(catalog):
    query, problems = parse_query("z~0.1 & colour=red & class=Q & (r<x | z<1)", "beauty")
    assert query.rows(catalog).tolist() == [2, 4]
    assert problems[0] == (
        "The filter term “z~0.1” is ignored: at character 2 there is “~0.1”, but one of < <= > >= = != was expected."
    )
    assert "“colour=red” is ignored: at character 9 there is “colour”" in problems[1]
    assert "“(r<x | z<1)” is ignored: at character 35 there is “x”, but a number was expected" in problems[2]
    assert "The order “beauty” is unknown" in problems[3]


def test_a_filter_too_long_for_a_link_is_refused():
    query, problems = parse_query("z<0.1 & " * 400)
    assert query == Query()
    assert problems == ["The filter is ignored: it has 3,200 characters, and 2,000 fit into a link."]


def test_what_the_catalogue_lacks_is_left_out_and_said(catalog):
    query, problems = parse_query("agn=none & class=SF & (novelty>2 | z<0.1) & z<=0.1", "-novelty")
    assert problems == []
    assert query.rows(catalog).tolist() == [0]
    said = query.ignored(catalog)
    assert len(said) == 3
    assert "“agn=none” is ignored" in said[0]
    assert "“(novelty>2 | z<0.1)” is ignored" in said[1]
    assert "lack novelty" in said[1]
    assert "The order “most unusual spectrum first” is ignored" in said[2]
    assert parse_query("z<0.1", "random(3)")[0].ignored(catalog) == []


def test_orders(catalog):
    assert parse_query("", "-err")[0].rows(catalog).tolist() == [5, 1, 3, 0, 4, 2]
    assert parse_query("", "err")[0].rows(catalog).tolist() == [4, 0, 3, 1, 5, 2]
    assert parse_query("", "-novelty")[0].rows(catalog).tolist() == list(range(6))
    assert all(sort_label(sort) for sort in SORTS)


def test_a_random_order_is_repeated_by_its_seed_and_by_a_filter(catalog):
    first = parse_query("", random_sort(7))[0]
    assert first.url == {"sort": "random(7)"}
    order = first.rows(catalog).tolist()
    assert sorted(order) == list(range(6))
    assert parse_query("", "random(7)")[0].rows(catalog).tolist() == order
    assert any(parse_query("", random_sort(seed))[0].rows(catalog).tolist() != order for seed in range(5))
    filtered = parse_query("class=SF", "random(7)")[0].rows(catalog).tolist()
    assert filtered == [row for row in order if row in {0, 3, 5}]
    assert parse_query("", "random(-1)")[1] == ["The order “random(-1)” is unknown; the survey's order is used."]


def test_every_field_can_be_written_in_each_of_its_ways():
    for field in FILTER_FIELDS:
        value = "x" if field.kind == "class" else "1"
        for name in field.names:
            query, problems = parse_query(f"{name.upper()}={value}")
            assert problems == [], name
            assert query.text == f"{field.name}={value}"


def test_64000_rows(rng):
    n = 64_000
    catalog = pd.DataFrame(
        {
            "galaxy_class": rng.choice(["SF", "GV", "Q"], n),
            "redshift": rng.uniform(0, 0.3, n),
            "mag_g": rng.normal(17, 1, n),
            "mag_r": rng.normal(16, 1, n),
        }
    )
    found = parse_query("(class=SF | g-r>1.2) & not z>0.1", "random(1)")[0].rows(catalog)
    is_in = ((catalog.galaxy_class == "SF") | (catalog.mag_g - catalog.mag_r > 1.2)) & (catalog.redshift <= 0.1)
    assert np.array_equal(np.sort(found), np.flatnonzero(is_in))


def test_a_colour_has_a_range_in_the_panel(catalog):
    query, _ = parse_query("g-r>=0.4 & g-r<=0.75")
    assert query.ranges == {"g-r": (0.4, 0.75)}
    assert query.rows(catalog).tolist() == [0, 1, 3]
    assert query.ignored(catalog.drop(columns="mag_g")) != []


def test_a_list_narrows_and_one_that_is_not_here_is_said(catalog, monkeypatch, tmp_path):
    monkeypatch.setenv("GALSPEC_HOME", str(tmp_path))
    name = save_ids(["g1", "g4", "elsewhere"], "by hand")
    query, problems = parse_query(f"list={name} & z<0.1")
    assert problems == []
    assert query.text == f"list={name} & z<0.1"
    assert query.rows(catalog).tolist() == [1]
    assert parse_query(f"not list={name}")[0].rows(catalog).tolist() == [0, 2, 3, 5]
    assert parse_query(f"list!={name}")[0].rows(catalog).tolist() == [0, 2, 3, 5]
    assert [listed.list_name for listed in query.lists] == [name]
    unknown, _ = parse_query("list=0123456789ab")
    assert unknown.rows(catalog).tolist() == list(range(6))
    assert "the list 0123456789ab" in unknown.ignored(catalog)[0]


def test_the_order_by_likeness_starts_with_the_galaxy_itself(catalog):
    vectors = {"latent_1": [0.0, 3.0, 0.1, np.nan, 1.0, -0.2], "latent_2": [0.0, 4.0, 0.0, 0.0, 0.0, 0.0]}
    scored = catalog.assign(**vectors, latent_observed_1=99.0)
    query, problems = parse_query("", like_sort("g0", "latents"))
    assert problems == []
    assert query.rows(scored).tolist() == [0, 2, 5, 4, 1, 3]
    assert query.ignored(scored) == []
    assert sort_label(query.sort) == "most like g0: predicted spectrum"
    for galaxy_id in ("g3", "nobody"):
        lost = Query(sort=like_sort(galaxy_id, "latents"))
        assert lost.rows(scored).tolist() == list(range(6))
        assert galaxy_id in lost.ignored(scored)[0]
    assert like_of("like(a,b,image)") == ("a,b", "image")
    assert parse_query("", "like(g0,beauty)")[1] != []


def test_the_order_by_distance_needs_a_position(catalog):
    placed = catalog.assign(ra_deg=[10.0, 10.1, 9.99, 200.0, np.nan, 10.02], dec_deg=0.0)
    query, _ = parse_query("cone(10,0,1 deg)", "sep")
    assert query.rows(placed).tolist() == [0, 2, 5, 1]
    assert query.can_sort(placed)
    assert not Query(sort="sep").can_sort(placed)
    assert "no position" in Query(sort="sep").ignored(placed)[0]
    assert query.separation_arcsec(placed)[1] == pytest.approx(360.0)


def test_a_range_keeps_the_digits_that_were_typed():
    assert parse_query("z>=0.12345678")[0].text == "z>=0.12345678"
    assert Query(ranges={"z": (0.1 + 0.2, math.inf)}).text == "z>=0.3"


def test_values_that_cannot_be_are_named_and_those_that_only_happen_to_be_absent_are_not():
    catalog = pd.DataFrame({"galaxy_class": ["SF", "Q"]})
    assert parse_query("class=SF,PSB & class!=GV")[0].ignored(catalog) == []
    for text in ("class=sf", "not class=sf", "class=SF,sf"):
        (problem,) = parse_query(text)[0].ignored(catalog)
        assert "“sf”" in problem
        assert "GV, PSB, Q, SF" in problem
