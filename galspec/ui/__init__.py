"""The Streamlit pages' parts: state, charts, images. The only package that knows Streamlit; torch is imported late."""
