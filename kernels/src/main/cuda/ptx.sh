#!/bin/sh
# Compiles the kernels to the PTX that the jar carries. Needs nvcc and ptxas of CUDA 12.3 or later.
set -eu
cd "$(dirname "$0")"
resources=../resources/org/sparkmoe/kernels/cuda
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

headers="codes.cuh experts.cuh fp8.cuh gather.cuh hopper.cuh logits.cuh tiles.cuh"

# compile NAME TARGET ISA [OUTPUT]: nvcc names the newest ISA it knows, which old drivers refuse to read. The code is one of
# ISA, as ptxas proves.
compile() {
  output=${4:-$1}
  nvcc -O3 -std=c++17 -arch="compute_$2" -ptx "$1.cu" -o "$work/new.ptx"
  {
    # shellcheck disable=SC2086 # words
    echo "// SHA-256 of $headers $1.cu: $(cat $headers "$1.cu" | sha256sum | cut -d ' ' -f 1)"
    sed "s/^\.version .*/.version $3/" "$work/new.ptx"
  } >"$work/$output.ptx"
  ptxas -arch="sm_$2" --warn-on-spills "$work/$output.ptx" -o "$work/$output.cubin"
  cp "$work/$output.ptx" "$resources/$output.ptx"
}

compile experts 80 7.0
compile tokens 80 7.0
compile logits 80 7.0
compile logits_tensor 80 7.0
compile logits_tensor 90a 8.3 logits_hopper
compile choice 80 7.0
compile coded 80 7.0
compile fourbit 80 7.0
compile hopper 90a 8.3
compile fp8 90a 8.3
