#!/bin/sh
# Certified accuracy on CIFAR-10, a row for every method of the papers: Gaussian at three levels, SmoothAdv, ADRE,
# ADREADV, Consistency, pre-training on half of the classes, and self-training from 5 000 labels.
#
#   sh docs/results/cifar10_objectives.sh FOLDER                  on a CUDA device; killed, it goes on where it was
#
#   DEVICE=cpu MODEL=resnet-narrow EPOCHS=8 COPIES=2 STEPS=1 WARM_UP=2 FURTHER=gaussian N=10000 EVERY=100 CORES=2 \
#       sh docs/results/cifar10_objectives.sh FOLDER              a small network on a CPU: cifar10_objectives.csv
#
# CIFAR-10 lies in $NOISEAUG_DATA, or is fetched. Then `python docs/results/cifar10_table.py FOLDER` makes the table.
set -eu
out=$1
device=${DEVICE:-cuda} model=${MODEL:-resnet} epochs=${EPOCHS:-30} seeds=${SEEDS:-0} precision=${PRECISION:-bfloat16}
copies=${COPIES:-4} steps=${STEPS:-2} warm_up=${WARM_UP:-5} n=${N:-100000} every=${EVERY:-20} cores=${CORES:-1}
compiled=$([ "$device" = cpu ] || echo --compiled)
mkdir -p "$out"

running=0
train() { # name seed data sigma epochs others...: as many at a time as there are cores; a device is kept busy by one
    name=$1 seed=$2 data=$3 sigma=$4 length=$5
    shift 5
    OMP_NUM_THREADS=1 noiseaug train --data "$data" --model "$model" --train-sigma "$sigma" --epochs "$length" \
        --precision "$precision" --device "$device" $compiled --clip 1 --seed "$seed" "$@" \
        --out "$out/$name-s$seed" --resume &
    running=$((running + 1))
    [ $running -lt "$cores" ] || settle
}

settle() {
    wait
    running=0
}

attacked="--set copies=$copies --set steps=$steps --set radius=1 --set warm_up=$warm_up"
further="--objective smoothadv $attacked" # of pre-training and self-training, as Salman et al. have it
[ "${FURTHER:-smoothadv}" = smoothadv ] || further="--objective $FURTHER"
for seed in $seeds; do
    train smoothadv-0.5 $seed cifar10 0.5 $epochs --objective smoothadv $attacked
    train adreadv-0.5 $seed cifar10 0.5 $epochs --objective adreadv --set weight=0.1 $attacked
    train gaussian-0.25 $seed cifar10 0.25 $epochs
    train gaussian-0.5 $seed cifar10 0.5 $epochs
    train gaussian-1 $seed cifar10 1 $epochs
    train consistency-0.5 $seed cifar10 0.5 $epochs --objective consistency --set copies=$copies --set weight=10
    train adre-0.5 $seed cifar10 0.5 $epochs --objective adre --set copies=$copies --set weight=0.1
    # 5 000 labels alone, without noise, in half as many steps
    train teacher $seed cifar10 0 $((epochs * 5)) --objective clean --labelled 5000
    train half $seed cifar10:0,1,2,3,4 0.5 $epochs
    settle
    train pretrained-0.5 $seed cifar10 0.5 $((epochs / 2)) --init-from "$out/half-s$seed" --fresh-head $further
    # an epoch goes through the 45 000 others once, and as often through labelled ones
    train selftrained-0.5 $seed cifar10 0.5 $((epochs / 2)) --labelled 5000 --teacher "$out/teacher-s$seed" $further
    settle
done
for seed in $seeds; do
    for run in gaussian-0.25 gaussian-0.5 gaussian-1 smoothadv-0.5 adre-0.5 adreadv-0.5 consistency-0.5 \
        pretrained-0.5 selftrained-0.5; do
        noiseaug certify --classifier "$out/$run-s$seed" --smooth-sigma "${run##*-}" --precision "$precision" \
            --device "$device" $compiled --n "$n" --every "$every" --out "$out/$run-s$seed.jsonl" --resume
    done
done
