"""What to cite, as BibTeX."""

from typing import Final

from galspec import __version__

#: Short name -> (why, BibTeX), in the order of the method.
CITATIONS: Final = {
    "Wu & Peek 2020": (
        "spectra from images: the method and its network",
        """@article{WuPeek2020,
  author = {Wu, John F. and Peek, J. E. G.},
  title = {Predicting galaxy spectra from images with hybrid convolutional neural networks},
  journal = {arXiv e-prints},
  year = {2020},
  eprint = {2009.12318},
  archivePrefix = {arXiv}
}""",
    ),
    "Portillo et al. 2020": (
        "the variational autoencoder of spectra",
        """@article{Portillo2020,
  author = {Portillo, Stephen K. N. and Parejko, John K. and Vergara, Jorge R. and Connolly, Andrew J.},
  title = {Dimensionality Reduction of {SDSS} Spectra with Variational Autoencoders},
  journal = {The Astronomical Journal},
  year = {2020},
  volume = {160},
  pages = {45},
  doi = {10.3847/1538-3881/ab9644}
}""",
    ),
    "Ye et al. 2020": (
        "network deconvolution, the layers that replace batch normalisation",
        """@inproceedings{Ye2020,
  author = {Ye, Chengxi and Evanusa, Matthew and He, Hua and Mitrokhin, Anton and Goldstein, Tom and
            Yorke, James A. and Ferm{\\"u}ller, Cornelia and Aloimonos, Yiannis},
  title = {Network Deconvolution},
  booktitle = {International Conference on Learning Representations},
  year = {2020},
  eprint = {1905.11926},
  archivePrefix = {arXiv}
}""",
    ),
    "SDSS": (
        "the survey of spectra",
        """@article{York2000,
  author = {York, Donald G. and others},
  title = {The {Sloan} {Digital} {Sky} {Survey}: Technical Summary},
  journal = {The Astronomical Journal},
  year = {2000},
  volume = {120},
  pages = {1579--1587},
  doi = {10.1086/301513}
}""",
    ),
    "Pan-STARRS1": (
        "the survey of images",
        """@article{Chambers2016,
  author = {Chambers, K. C. and others},
  title = {The {Pan-STARRS1} Surveys},
  journal = {arXiv e-prints},
  year = {2016},
  eprint = {1612.05560},
  archivePrefix = {arXiv}
}""",
    ),
    "galspec": (
        "this software, as in CITATION.cff",
        f"""@software{{galspec,
  author = {{{{the galspec authors}}}},
  title = {{galspec: predict galaxy spectra from images}},
  version = {{{__version__}}}
}}""",
    ),
}
