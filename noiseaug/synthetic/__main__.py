"""``python -m noiseaug.synthetic``."""

from noiseaug.cli.synthetic import main

if __name__ == "__main__":
    main()
