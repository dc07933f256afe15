#!/usr/bin/env bash
# Runs the job over many tokens with little memory and prints what it took.
#
#   job/src/test/scale/scale.sh TOKENS H INTERMEDIATE EXPERTS TOP_K even|zipf|one ep|replicated [OPTION_OF_RUN]...
#
# HEAP (2g), MASTER (local[2]), WEIGHTS (f32, or bf16) and SCRATCH (a new folder in /tmp, removed at the end) can be set;
# KEEP=1 keeps the input of a SCRATCH that was named, and uses it again. MOE is the command that runs the job.
#
# With MASTER=local-cluster[1,CORES,MIB] the executor's heap is 1 GiB, all of it touched at its start, and the most that
# was resident beside it is printed.
set -euo pipefail

[[ $# -ge 7 ]] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -P "$here/../../../.." && pwd)
tokens=$1 hidden=$2 intermediate=$3 experts=$4 topk=$5 routing=$6 dispatch=$7
shift 7
heap=${HEAP:-2g}
master=${MASTER:-local[2]}
moe=${MOE:-$root/job/bin/moe}
jars=${SPARK_JARS:-$root/job/target/spark-home/jars}
jdk=${MOE_JAVA_HOME:-${JAVA_HOME:?set JAVA_HOME to a JDK 25}}
scratch=${SCRATCH:-$(mktemp -d /tmp/moe-scale.XXXXXX)}

cleanup() {
  rm -rf "$scratch/run" "$scratch/local"
  [[ -n ${KEEP:-} ]] || rm -rf "$scratch"
}
trap cleanup EXIT

mkdir -p "$scratch/local"
rm -f "$scratch/executors"
if [[ ! -f $scratch/tokens/_SUCCESS ]]; then
  rm -rf "$scratch/tokens"
  "$jdk/bin/java" "@$root/conf/jvm.options" -Xmx1g -cp "$root/conf:$jars/*" "$here/ScaleInput.java" \
    "$scratch" "$tokens" "$hidden" "$intermediate" "$experts" "$topk" "$routing" "${WEIGHTS:-f32}" 2>"$scratch/input.log" ||
    { cat "$scratch/input.log" >&2; exit 1; }
fi

executor=()
if [[ $master == local-cluster* ]]; then
  executor=(--conf spark.executor.memory=1g --conf "spark.executor.extraJavaOptions=-Xms1g -XX:+AlwaysPreTouch")
fi
"$moe" --master "$master" --driver-memory "$heap" "${executor[@]}" --conf "spark.local.dir=$scratch/local" --conf spark.ui.enabled=false \
  run --model "$scratch/model" --layer 0 --input "$scratch/tokens" --output "$scratch/run" --overwrite \
  --dispatch "$dispatch" "$@" >"$scratch/out" 2>"$scratch/err" &
job=$!
# Every two seconds: heap in use and resident set, in MiB.
"$jdk/bin/jstat" -gc "$job" 2s >"$scratch/gc" 2>/dev/null &
while kill -0 "$job" 2>/dev/null; do
  grep -h VmRSS "/proc/$job/status" 2>/dev/null || true
  for child in $(pgrep -P "$job" -f CoarseGrainedExecutorBackend); do
    grep -h VmHWM "/proc/$child/status" 2>/dev/null >>"$scratch/executors" || true
  done
  sleep 2
done | awk '{ print int($2 / 1024) }' >"$scratch/rss"
code=0
wait "$job" || code=$?

[[ $code -eq 0 ]] || { cat "$scratch/out" "$scratch/err"; }
printf '%s tokens of H %s, I %s, %s experts, top %s, %s, %s %s, %s, heap %s: exit %s\n' \
  "$tokens" "$hidden" "$intermediate" "$experts" "$topk" "$routing" "$dispatch" "$*" "$master" "$heap" "$code"
grep -E '^(route|tables|dispatch|experts|combine) |tokens, .* in |lanes' "$scratch/out" || true
awk 'NR > 1 { used = int(($3 + $4 + $6 + $8) / 1024); if (used > most) most = used }
  END { printf "peak heap in use %d MiB\n", most }' "$scratch/gc"
awk '{ rss[NR] = $1; if ($1 > most) most = $1 }
  END { printf "peak resident %d MiB; over time:", most
        for (i = 0; i < 12; i++) printf " %d", rss[int(1 + i * (NR - 1) / 11)]; print "" }' "$scratch/rss"
if [[ -f $scratch/executors ]]; then
  awk '{ if ($2 > most) most = $2 } END { printf "an executor, beside its heap of 1024 MiB: %d MiB\n", most / 1024 - 1024 }' \
    "$scratch/executors"
fi
exit "$code"
