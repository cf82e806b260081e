#!/bin/sh
# A smoothing level for each input, end to end on the digits: sh docs/results/dual_smoothing.sh FOLDER
# Three experts, a router that learns from their votes on held-out images, and all of them on the same 300 test images.
# A few minutes of one core; what is there already is kept.
set -eu
out=$1
mkdir -p "$out"
levels="0.125 0.25 0.5"
export OMP_NUM_THREADS=1

# what the experts are not trained on, and the router is: the last 300 training images
[ -e "$out/held.npz" ] || python - "$out/held.npz" <<'PY'
import sys

import numpy as np

from noiseaug.data import load_images

held = load_images("digits", "train").take(slice(-300, None))
np.savez(sys.argv[1], x=held.inputs, y=held.labels)
PY

experts="" held="" single=""
for level in $levels; do
    noiseaug train --data digits --validation 300 --train-sigma "$level" --epochs 60 --out "$out/expert-$level" --resume
    noiseaug certify --data "$out/held.npz" --classifier "$out/expert-$level" --smooth-sigma "$level" --n 1000 \
        --out "$out/held-$level.jsonl" --resume
    noiseaug certify --data digits --classifier "$out/expert-$level" --smooth-sigma "$level" --n 2000 --every 3 \
        --out "$out/single-$level.jsonl" --resume
    experts="$experts --expert $level=$out/expert-$level"
    held="$held $out/held-$level.jsonl"
    single="$single $out/single-$level.jsonl"
done

[ -e "$out/router.npz" ] || noiseaug route-labels $held --data "$out/held.npz" --out "$out/router.npz"
routed=""
for sigma in 0.125 0.25; do
    noiseaug train --data "$out/router.npz" --train-sigma "$sigma" --epochs 60 --out "$out/router-$sigma" --resume
    noiseaug certify --data digits --router "$out/router-$sigma" --smooth-sigma "$sigma" $experts --n 2000 --every 3 \
        --out "$out/routed-$sigma.jsonl" --resume
    routed="$routed $out/routed-$sigma.jsonl"
done
noiseaug report $single $routed --oracle --radii 0.1,0.2,0.3,0.4,0.5,0.6,0.8,1 --format csv > "$out/dual_smoothing.csv"
