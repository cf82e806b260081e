#!/bin/sh
# The table mnist_smoothadv.csv: SmoothAdv on MNIST at α = β = 0.5 over copies m, steps T and radius ε, one seed.
#
#   sh docs/results/mnist_smoothadv.sh FOLDER       some quarter of an hour on two cores; killed, it goes on where it was
#
# LeNet, 3 epochs, from m = 2, T = 2, ε = 1 one parameter at a time; more copies and steps cost more time. Every 100th
# test image, 10 000 votes. MNIST lies in $NOISEAUG_DATA, or is fetched.
set -eu
out=$1
mkdir -p "$out"

train() { # name objective parameters...
    name=$1 objective=$2
    shift 2
    OMP_NUM_THREADS=1 noiseaug train --data mnist --model lenet --objective "$objective" --train-sigma 0.5 "$@" \
        --epochs 3 --clip 1 --out "$out/$name" --resume
}

adv() { # copies steps radius
    train "smoothadv-m$1-T$2-e$3" smoothadv --set copies="$1" --set steps="$2" --set radius="$3" --set warm_up=1
}

adv 4 2 1 & adv 2 4 1
wait
adv 2 2 1 & adv 2 2 0.25
wait
adv 2 2 0.5 & adv 2 2 2
wait
adv 2 1 1 & adv 1 2 1
wait
train gaussian-m2 gaussian --set copies=2
for run in gaussian-m2 smoothadv-m1-T2-e1 smoothadv-m2-T2-e1 smoothadv-m4-T2-e1 smoothadv-m2-T1-e1 smoothadv-m2-T4-e1 \
    smoothadv-m2-T2-e0.25 smoothadv-m2-T2-e0.5 smoothadv-m2-T2-e2; do
    noiseaug certify --classifier "$out/$run" --smooth-sigma 0.5 --n 10000 --every 100 --out "$out/$run.jsonl" --resume
done
noiseaug report "$out"/*.jsonl --radii 0,0.5,1,1.5 --format csv > "$out/mnist_smoothadv.csv"
