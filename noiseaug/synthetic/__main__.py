"""``python -m noiseaug.synthetic``."""

from noiseaug.synthetic.cli import main

if __name__ == "__main__":
    main()
