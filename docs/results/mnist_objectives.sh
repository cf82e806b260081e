#!/bin/sh
# The table mnist_objectives.csv: objectives on MNIST at α = β = 0.5 with equal budgets, three seeds.
#
#   sh docs/results/mnist_objectives.sh FOLDER      some half an hour on two cores; killed, it goes on where it was
#
# LeNet, 5 epochs; four forward and backward passes for each image and epoch (clean: one). Every 100th test image,
# 10 000 votes. MNIST lies in $NOISEAUG_DATA, or is fetched.
set -eu
out=$1
mkdir -p "$out"

train() { # name seed objective parameters...
    name=$1 seed=$2 objective=$3
    shift 3
    sigma="--train-sigma 0.5"
    [ "$objective" != clean ] || sigma="--train-sigma 0"
    OMP_NUM_THREADS=1 noiseaug train --data mnist --model lenet --objective "$objective" $sigma "$@" \
        --epochs 5 --clip 1 --seed "$seed" --out "$out/$name-$seed" --resume
}

for seed in 0 1 2; do
    train gaussian $seed gaussian --set copies=4 &
    train smoothadv $seed smoothadv --set copies=2 --set steps=1 --set radius=1 --set warm_up=2
    wait
    train consistency $seed consistency --set copies=4 --set weight=10 &
    train adre $seed adre --set copies=4 --set weight=0.001
    wait
    train clean $seed clean
done
for run in clean gaussian adre consistency smoothadv; do
    for seed in 0 1 2; do
        noiseaug certify --classifier "$out/$run-$seed" --smooth-sigma 0.5 --n 10000 --every 100 \
            --out "$out/$run-$seed.jsonl" --resume
    done
done
noiseaug report "$out"/*.jsonl --radii 0,0.5,1,1.5 --format csv > "$out/mnist_objectives.csv"
