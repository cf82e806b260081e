"""What the analysis predicts beside what trained models certify.

Predictions from data alone: a convolutional model that is solved (:mod:`~noiseaug.bridge.convolutional`), Gaussian
classes (:mod:`~noiseaug.bridge.quadratic`) and the kernel rule (:mod:`~noiseaug.bridge.kernel`), all smoothed by votes
(:mod:`~noiseaug.bridge.prediction`); and Gaussian surrogates of pairs of classes in closed form
(:mod:`~noiseaug.bridge.surrogate`). Predictions of a run from other votes: :mod:`~noiseaug.bridge.vote_prediction`. The
gap to what was measured: :mod:`~noiseaug.bridge.compare`; the choice of a training noise:
:mod:`~noiseaug.bridge.choice`, with its evidence :mod:`~noiseaug.bridge.advice` and its track record
:mod:`~noiseaug.bridge.record`; all of it for a data set: :mod:`~noiseaug.bridge.study`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
