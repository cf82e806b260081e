#!/bin/sh
# How fast networks are certified and where the time goes: performance.csv and where.csv.
#
#   sh docs/results/performance.sh FOLDER                           on a CUDA device
#   DEVICE=cpu COLOUR=resnet-narrow EPOCHS=8 sh docs/results/performance.sh FOLDER     on a CPU with nothing else to do
#
# A small CNN is trained on MNIST and a ResNet on CIFAR-10 first, with noise .5, so that early stopping meets real images;
# ResNet-20 and ResNet-110 are timed with random weights. A run of cifar10_objectives.sh in FOLDER is taken as it is.
set -eu
out=$1
device=${DEVICE:-cuda} colour=${COLOUR:-resnet} epochs=${EPOCHS:-30} images=${IMAGES:-200}
compiled=$([ "$device" = cpu ] || echo --compiled)
mkdir -p "$out"

noiseaug train --data mnist --model cnn --train-sigma 0.5 --epochs 3 --precision bfloat16 --device "$device" $compiled \
    --out "$out/cnn" --resume
noiseaug train --data cifar10 --model "$colour" --train-sigma 0.5 --epochs "$epochs" --precision bfloat16 \
    --device "$device" $compiled --clip 1 --out "$out/gaussian-0.5-s0" --resume
python -m benchmarks.speed "cnn=$out/cnn" "$colour=$out/gaussian-0.5-s0" resnet20 resnet110 --device "$device" \
    $compiled --images "$images" --out "$out/performance.csv"
python -m benchmarks.where --device "$device" --out "$out/where.csv"
