#!/bin/sh
# Compiles experts.cu to the PTX that the jar carries. Needs nvcc and ptxas of CUDA 12 or 13.
set -eu
cd "$(dirname "$0")"
ptx=../resources/org/sparkmoe/kernels/cuda/experts.ptx
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

nvcc -O3 -std=c++17 -arch=compute_80 -ptx experts.cu -o "$work/new.ptx"
# nvcc names the newest ISA it knows, which old drivers refuse to read. The code is one of ISA 7.0, as ptxas proves.
{
  echo "// SHA-256 of experts.cu: $(sha256sum experts.cu | cut -d ' ' -f 1)"
  sed 's/^\.version .*/.version 7.0/' "$work/new.ptx"
} >"$work/experts.ptx"
ptxas -arch=sm_80 --warn-on-spills "$work/experts.ptx" -o "$work/experts.cubin"
cp "$work/experts.ptx" "$ptx"
