"""Train: jobs in the background, here or on Slurm; their list, their curves, a form for a new one."""

import streamlit as st

from galspec.core.errors import GalspecError
from galspec.ui import train_form, train_job, train_list, train_state
from galspec.ui.boot import boot
from galspec.ui.cache import current_survey
from galspec.ui.preload import preload_plots
from galspec.ui.train_access import why_jobs_are_off

boot()

try:
    survey = current_survey()
except GalspecError:  # a training names its own survey
    survey = None

problems = train_state.read_state()
reason = why_jobs_are_off()
train_list.title_line(survey, has_actions=not reason)
if reason:
    st.info(reason, icon=":material/lock:")
    st.stop()
for problem in problems:
    st.warning(problem)

if train_state.job_id():
    train_job.job_page(train_state.job_id())
elif train_state.new_preset():
    preload_plots(after="train_submit")  # for the job's page, which comes when the training needs the processor
    train_form.form(survey)
elif train_state.compared():
    train_list.comparison(train_state.compared())
else:
    train_list.job_table()
train_state.write_url()
