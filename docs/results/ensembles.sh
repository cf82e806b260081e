#!/bin/sh
# The table ensembles.csv: one to three LeNets on MNIST at α = β = 0.5.
#
#   sh docs/results/ensembles.sh FOLDER      some ten minutes on one core; killed, it goes on where it was
#
# Five epochs, four copies. MNIST lies in $NOISEAUG_DATA, or is fetched.
set -eu
out=$1
mkdir -p "$out"
export OMP_NUM_THREADS=1

for seed in 0 1 2; do
    noiseaug train --data mnist --model lenet --objective gaussian --train-sigma 0.5 --set copies=4 \
        --epochs 5 --clip 1 --seed $seed --out "$out/mnist-$seed" --resume
done
python docs/results/ensembles_table.py "$out" --out "$out/ensembles.csv"
