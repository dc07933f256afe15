#!/usr/bin/env bash
# Runs the job over and over, disturbs it, and compares every result with that of an undisturbed run.
#
#   job/src/test/soak/soak.sh SECONDS [SEED]
#
# Sizes, quantization, dispatch and faults are drawn from SEED (1). Faults: the driver is killed and another goes on with
# --resume, maybe several times; an executor is killed. Results are compared value by value. Exits with 1 at the first mismatch.
# SCRATCH (a new folder in /tmp, removed at the end) can be set; MOE is the command that runs the job.
set -euo pipefail

[[ $# -ge 1 ]] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -P "$here/../../../.." && pwd)
end=$((SECONDS + $1)) seed=${2:-1}
RANDOM=$seed
moe=${MOE:-$root/job/bin/moe}
jars=${SPARK_JARS:-$root/job/target/spark-home/jars}
jdk=${MOE_JAVA_HOME:-${JAVA_HOME:?set JAVA_HOME to a JDK 25}}
scratch=${SCRATCH:-$(mktemp -d /tmp/moe-soak.XXXXXX)}
[[ -n ${SCRATCH:-} ]] || trap 'rm -rf "$scratch"' EXIT

runs=0 driver_kills=0 executor_kills=0 tokens=0 peaks=()

pick() { local n=$((RANDOM % $#)); shift "$n"; printf '%s' "$1"; }

# A model and a table of so many tokens, made once.
input() {
  local folder=$scratch/$1
  if [[ ! -f $folder/tokens/_SUCCESS ]]; then
    mkdir -p "$folder"
    "$jdk/bin/java" "@$root/conf/jvm.options" -Xmx1g -cp "$root/conf:$jars/*" "$root/job/src/test/scale/ScaleInput.java" \
      "$folder" "$1" 64 64 16 4 even >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
  fi
}

# The model in a quantization, made once.
model() {
  local folder=$scratch/$1/$2
  if [[ $2 == model ]]; then return; fi
  [[ -d $folder ]] || "$moe" quantize --model "$scratch/$1/model" --scheme "$2" --output "$folder" >"$folder.log" 2>&1 ||
    { cat "$folder.log" >&2; exit 1; }
}

# run SIZE SCHEME OUTPUT MASTER OPTION...: starts it, in the background where the caller says so.
run() {
  local size=$1 scheme=$2 output=$3 master=$4
  shift 4
  exec "$moe" --master "$master" --conf spark.ui.enabled=false --conf spark.sql.files.maxPartitionBytes=300k \
    run --model "$scratch/$size/$scheme" --layer 0 --input "$scratch/$size/tokens" --output "$output" --backend vector \
    --no-report "$@" >"$output.out" 2>"$output.err"
}

# Waits for a run and notes how much memory it took.
finish() {
  local most=0 now
  while kill -0 "$1" 2>/dev/null; do
    now=$(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$1/status" 2>/dev/null || true)
    most=${now:-$most}
    sleep 1
  done
  peaks+=("$most")
  wait "$1"
}

# Kills the driver after a while, unless it ends before.
kill_driver() {
  sleep "$((4 + RANDOM % 12))"
  if kill -9 "$1" 2>/dev/null; then driver_kills=$((driver_kills + 1)); fi
  wait "$1" 2>/dev/null || true
}

kill_executor() {
  local victim
  sleep "$((8 + RANDOM % 8))"
  victim=$(pgrep -P "$1" -f CoarseGrainedExecutorBackend | head -1 || true)
  if [[ -n $victim ]] && kill -9 "$victim" 2>/dev/null; then executor_kills=$((executor_kills + 1)); fi
}

while ((SECONDS < end)); do
  size=$(pick 2000 8000 20000) scheme=$(pick model fp8-channel int8 nvfp4 mxfp4) fault=$(pick driver driver executor none)
  dispatch=$(pick ep replicated) lanes=$((2 + RANDOM % 4)) output=$scratch/run-$runs
  input "$size"
  model "$size" "$scheme"
  reference=$scratch/$size/$scheme.reference
  if [[ ! -d $reference ]]; then
    (run "$size" "$scheme" "$reference" 'local[2]' --dispatch replicated) || { cat "$reference.err" >&2; exit 1; }
  fi
  options=(--dispatch "$dispatch" --unit-tokens "$((size / 6))" --resume)
  [[ $dispatch == replicated ]] || options+=(--lanes "$lanes")
  master='local[2]'
  [[ $fault != executor ]] || master='local-cluster[2,1,1024]'
  if [[ $fault == driver ]]; then
    for ((kill = 0; kill <= RANDOM % 3; kill++)); do
      run "$size" "$scheme" "$output" "$master" "${options[@]}" & kill_driver $!
    done
  fi
  run "$size" "$scheme" "$output" "$master" "${options[@]}" & job=$!
  [[ $fault != executor ]] || kill_executor "$job"
  finish "$job" || { echo "run $runs failed:"; cat "$output.err"; exit 1; }
  "$moe" verify --run "$output" --reference "$reference" --tolerance 0 >"$output.verify" 2>&1 ||
    { echo "run $runs, $size tokens, $scheme, ${options[*]}, fault $fault: mismatch"; cat "$output.verify"; exit 1; }
  rm -rf "$output"
  runs=$((runs + 1)) tokens=$((tokens + size))
  printf '%3d  %6d tokens  %-11s %-10s fault %-8s equal, peak resident of the last driver %d MiB\n' \
    "$runs" "$size" "$scheme" "$dispatch" "$fault" "${peaks[-1]}"
done
printf 'seed %s: %d runs, %d drivers and %d executors killed, %d tokens, 0 mismatches; peak resident over time, MiB: %s\n' \
  "$seed" "$runs" "$driver_kills" "$executor_kills" "$tokens" "${peaks[*]}"
