"""The form of a new job: presets, settings with bounds and the paper's values, the exact command, submit."""

import dataclasses
from typing import Any, Final

import streamlit as st

from galspec.core.errors import GalspecError, JobError
from galspec.jobs import engine, standby
from galspec.jobs.command import RUN, sbatch_script, shown_command
from galspec.jobs.fields import PRESETS, TABLES, Field, changes_nothing, check_settings
from galspec.jobs.folder import runs_dir
from galspec.jobs.job import Job, Resources, require_name
from galspec.jobs.request import SETTINGS, Request, require_shareable, train_request
from galspec.store.survey import Survey
from galspec.ui import address, train_state
from galspec.ui.train_access import require_jobs_allowed
from galspec.ui.train_data import choose_survey, choose_vae, require_trainable
from galspec.ui.train_estimate import estimate_panel
from galspec.ui.train_resources import free_line, precision_note, resources_form

_FILLED: Final = "train_form_filled"
_VALUES: Final = "train_form_values"
_PROBLEM: Final = "train_form_problem"
_PRESET, _NAME, _MAX, _CLONED = "train_preset", "train_name", "train_max", "train_cloned"
_LEFT_OUT: Final = "train_left_out"
#: What the form has beside the settings in the tables; samples it always keeps.
_IN_FORM: Final = ("survey", "vae", "max_galaxies", "samples", "device")
_N_SAMPLES: Final = 6
_COLUMNS: Final = 3


def form(survey: Survey | None) -> None:
    """Draw the form; everything in it is checked before the button can be pressed."""
    preset = PRESETS[train_state.new_preset()]
    _fill(train_state.new_preset())
    left, right = st.columns([3, 2], gap="medium", vertical_alignment="bottom")
    with left:
        st.selectbox(
            "Preset",
            list(PRESETS),
            format_func=lambda key: PRESETS[key].label,
            key=_PRESET,
            on_change=_on_preset,
            help=preset.help,
        )
    with right:
        _other_commands()
    left, right = st.columns([3, 2], gap="medium")
    with left:
        chosen = choose_survey(survey)
        vae = choose_vae() if preset.what == "cnn" else ""
        settings = _settings_form(preset.what)
    with right:
        name, at_most = _name_and_number()
        wanted = resources_form()
        st.caption(free_line())
        submit_slot = st.container()
    _keep()
    try:
        changed, resources = _checked(name, preset.what, settings, wanted)
        counts = require_trainable(chosen, at_most, preset.what)
        max_galaxies = at_most if at_most < counts.n else 0
        request = train_request(preset.what, chosen, changed, vae, max_galaxies, resources.device, _N_SAMPLES)
        job = Job("JOB", name, request.argv, resources)
    except GalspecError as error:
        submit_slot.error(f"Not ready: {error}")
        return
    with submit_slot, st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Submit",
            key="train_submit",
            type="primary",
            icon=":material/play_arrow:",
            on_click=_submit,
            args=(name, request, resources),
            help="The job goes on when this page, the browser or the server is closed.",
        )
        if preset.what == "cnn" and resources.backend == "local":
            standby.prepare()  # what the training imports is loaded while the form is read
        st.caption(f"{counts.n_train:,} train and {counts.n_valid:,} valid galaxies", width="content")
    if preset.what == "cnn" and (note := precision_note(str(settings["precision"]), resources)):
        submit_slot.warning(note)
    if problem := st.session_state.pop(_PROBLEM, ""):
        submit_slot.error(f"Not submitted: {problem}")
    with submit_slot:
        estimate_panel(request, resources.device)
    _difference(preset.what, changed)
    _preview(job, request)


def _checked(
    name: str, what: str, settings: dict[str, Any], resources: Resources | JobError
) -> tuple[dict[str, Any], Resources]:
    """Return the settings that are not at their default, and the resources; or raise the first problem."""
    if isinstance(resources, JobError):
        raise resources
    require_name(name)
    changed = check_settings(what, settings)
    if what == "cnn":
        require_shareable(changed, resources)
    return changed, resources


def _name_and_number() -> tuple[str, int]:
    left, right = st.columns(2)
    name = left.text_input("Name", key=_NAME, max_chars=40, on_change=address.touch)
    at_most = right.number_input(
        "Galaxies, at most (0 = all)",
        0,
        100_000_000,
        key=_MAX,
        on_change=address.touch,
        help="The first so many galaxies of the survey.",
    )
    return name, int(at_most)


def _other_commands() -> None:
    with st.popover("Simulate or predict instead", icon=":material/terminal:"):
        from galspec.ui.train_other import other_form

        other_form()


def _key(what: str, field: Field) -> str:
    return f"train_field_{what}_{field.name}"


def _fill(name: str) -> None:
    """Give the widgets the preset's values, or those that were typed before the page was left."""
    if st.session_state.get(_FILLED) == name and _NAME in st.session_state:
        return
    kept: dict[str, Any] = st.session_state.get(_VALUES, {})
    if st.session_state.get(_FILLED) == name and kept:
        for key, value in kept.items():
            st.session_state.setdefault(key, value)
        return
    preset = PRESETS[name]
    _put(name, preset.what, preset.settings, name, preset.max_galaxies, preset.device)


def _put(preset: str, what: str, settings: dict[str, Any], name: str, max_galaxies: int, device: str) -> None:
    state = st.session_state
    for field in TABLES[what]:
        state[_key(what, field)] = settings.get(field.name, field.default)
    state[_PRESET], state[_NAME], state[_MAX] = preset, name.replace("_", "-"), max_galaxies
    state["train_device"] = device
    state[_FILLED], state[_CLONED], state[_LEFT_OUT] = preset, "", {}


def _keep() -> None:
    """Keep what was typed: Streamlit forgets widgets that are not drawn."""
    prefixes = ("train_field_", "train_res_")
    single = (_PRESET, _NAME, _MAX, "train_device", "train_survey", "train_vae")
    st.session_state[_VALUES] = {
        key: value
        for key, value in st.session_state.items()
        if isinstance(key, str) and (key.startswith(prefixes) or key in single)
    }


def _on_preset() -> None:
    address.touch()
    st.session_state.pop(_FILLED, None)
    train_state.show_new(st.session_state[_PRESET])


def fill_from(job: Job) -> None:
    """Open the form with the settings of a job; a callback."""
    what = job.argv[1] if len(job.argv) > 1 and job.argv[1] in TABLES else "cnn"
    preset = "vae" if what == "vae" else "paper10"
    renamed = {"n_epochs": "epochs", "num_threads": "threads"}
    given = job.settings
    in_form = {*_IN_FORM, *renamed.values(), *(field.name for field in TABLES[what])}
    left_out = {name: value for name, value in given.items() if name not in in_form}
    settings: dict[str, Any] = {}
    for field in TABLES[what]:
        value = given.get(field.name, given.get(renamed.get(field.name, field.name)))
        try:
            settings |= {} if value is None else {field.name: field.check(value)}
        except JobError:
            left_out[field.name] = value
    _put(preset, what, settings, job.name, int(given.get("max_galaxies", 0)), job.resources.device)
    if given.get("survey"):
        st.session_state["train_survey"] = given["survey"]
    st.session_state["train_vae"] = given.get("vae", "")
    for name in (one.name for one in dataclasses.fields(Resources)):
        if name != "device":
            st.session_state[f"train_res_{name}"] = getattr(job.resources, name)
    st.session_state[_CLONED], st.session_state[_LEFT_OUT] = job.id, left_out
    train_state.show_new(preset)


def _settings_form(what: str) -> dict[str, Any]:
    fields = TABLES[what]
    model = st.session_state.get(_key(what, fields[0]), "") if what == "cnn" else ""
    shown = [field for field in fields if not changes_nothing(field.name, model)]
    values = _grid(what, [field for field in shown if field.is_common])
    with st.expander("All other settings"):
        values |= _grid(what, [field for field in shown if not field.is_common])
    return values


def _grid(what: str, fields: list[Field]) -> dict[str, Any]:
    values = {}
    columns = st.columns(_COLUMNS)
    for index, field in enumerate(fields):
        with columns[index % _COLUMNS]:
            values[field.name] = _widget(what, field)
            st.caption(f"paper: {field.paper}")
    return values


def _widget(what: str, field: Field) -> Any:
    label = f"{field.label} [{field.unit}]" if field.unit else field.label
    key = _key(what, field)
    common: dict[str, Any] = {"key": key, "help": field.help or None, "on_change": address.touch}
    if field.choices:
        return st.selectbox(label, list(field.choices), **common)
    if isinstance(field.default, bool):
        return st.toggle(label, **common)
    if isinstance(field.default, int):
        return int(st.number_input(label, int(field.low), int(field.high), step=1, **common))
    return float(st.number_input(label, field.low, field.high, step=_step(field), format="%g", **common))


def _step(field: Field) -> float:
    """Return a step that suits a setting: a tenth of its default, else a thousandth of its range up to 0.1."""
    return float(f"{field.default / 10:.1g}") if field.default else min(0.1, field.high / 1000)


def _difference(what: str, changed: dict[str, Any]) -> None:
    defaults = {field.name: field.default for field in TABLES[what]}
    words = [f"{name} {defaults[name]} → {value}" for name, value in changed.items()]
    source = "Wu & Peek (2020)" if what == "cnn" else "Portillo et al. (2020)"
    text = f"Changed against the defaults ({source}): {', '.join(words)}." if words else f"As in {source}."
    copied, left_out = st.session_state.get(_CLONED), st.session_state.get(_LEFT_OUT)
    if copied and left_out:
        words = [f"{name} = {value}" for name, value in left_out.items()]
        st.warning(
            f"Not copied, because this form does not have it: {', '.join(words)}. On a terminal "
            f"`python -m galspec jobs clone {copied}` copies everything."
        )
    st.caption(f"A copy of {copied}. {text}" if copied else text)


def _preview(job: Job, request: Request) -> None:
    folder = runs_dir() / job.id
    if job.resources.backend == "slurm":
        st.markdown("**Batch script** (JOB becomes the job's id)")
        st.code(sbatch_script(job, folder), language="bash")
    else:
        st.markdown("**Command** (JOB becomes the job's id)")
        st.code(shown_command(job, folder), language="bash", wrap_lines=True)
    if text := request.files.get(SETTINGS):
        with st.expander(f"{SETTINGS}, which the command reads from the job's folder"):
            st.code(text, language="toml")
            st.download_button(
                "Download", text, SETTINGS, "text/plain", key="train_settings_download", on_click="ignore"
            )
            st.caption(f"In a shell: put it anywhere and give its path in place of {RUN}/{SETTINGS}.")


def _submit(name: str, request: Request, resources: Resources) -> None:
    """Submit; on success go to the job's page. A callback, so that a second click finds another page."""
    address.touch()
    try:
        require_jobs_allowed()
        copied = str(st.session_state.get(_CLONED, ""))
        folder = engine.submit(name, request.argv, resources, request.settings, request.files, copied)
    except GalspecError as error:
        st.session_state[_PROBLEM] = str(error)
        return
    st.session_state.pop(_FILLED, None)
    st.session_state.pop(_VALUES, None)
    train_state.show_job(folder.id)
