"""``python -m noiseaug``, which torchrun can start; the same as the console script."""

from noiseaug.cli import main

if __name__ == "__main__":
    main()
