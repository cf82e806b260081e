"""Image classifiers with and without training noise: data, models, objectives, attacks, training, and the vote engine.

The only part of the package that uses torch.
"""
