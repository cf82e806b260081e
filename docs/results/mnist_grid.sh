#!/bin/sh
# The grid of Pal & Sulam's CNN on MNIST, and every prediction laid over it: sh docs/results/mnist_grid.sh FOLDER
# Their recipe (nine epochs of Adadelta, learning rate 1 times .7 after each, batches of 64, from the clean model), but one
# noisy copy an image and epoch for a hundred, and bfloat16. About an hour on two cores; what is there already is kept.
set -e
out=$1
data="--data mnist"
grid="$out/grid"

noiseaug grid $data --model cnn --train-sigma 0:1:11 --smooth-sigma 0:.9:10 --radii 0,.25,.5,.75,1 \
    --epochs 9 --batch 64 --optimiser adadelta --weight-decay 0 --schedule step --step-epochs 1 --step-factor 0.7 \
    --train-precision bfloat16 --init-from-clean --n 100 --images 1000 --validation 500 --precision bfloat16 \
    --out "$grid" --resume

# what a run with 500 votes reports, predicted from 4 000 votes of another seed, for four of the networks
logs=""
for alpha in 0 0.3 0.5 1; do
    for run in "0 4000" "1 500"; do
        set -- $run
        log="$out/cnn-$alpha-$1.jsonl"
        noiseaug certify $data --classifier "$grid/models/a$alpha-s0" --smooth-sigma .5 --precision bfloat16 \
            --seed "$1" --n "$2" --every 40 --out "$log" --resume
        logs="$logs --log $log"
    done
done

noiseaug bridge $data --grid "$grid" --images 500 --out "$out/bridge" $logs
