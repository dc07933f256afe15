#!/bin/bash
# The GPU's tests, sanitizers and benchmarks on a machine that has a GPU and nothing of Java.
#
#   mvn -DskipTests -pl kernels -am test-compile
#   kernels/src/test/cuda/run-on-gpu.sh pack DIR     here: a Java runtime, the classes and this script, about 30 MB
#   DIR/run-on-gpu.sh [tests] [sanitize] [bench]     there: all three without an argument; bench needs PyTorch for its peer
#
# CASES="shape:tokens …" chooses what bench measures; MAVEN_REPO names another local repository for pack.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

pack() {
  local target=$1 root repository junit version jar name
  root=$(cd "$here/../../../.." && pwd)
  repository=${MAVEN_REPO:-$HOME/.m2/repository}
  junit=$(sed -n 's|.*<junit.version>\(.*\)</junit.version>.*|\1|p' "$root/pom.xml")
  mkdir -p "$target/lib"
  for name in junit-jupiter-api junit-jupiter-engine junit-jupiter-params junit-platform-commons junit-platform-engine \
    junit-platform-launcher opentest4j assertj-core apiguardian-api byte-buddy error_prone_annotations; do
    case $name in
      junit-jupiter-*) version=$junit ;;
      junit-platform-*) version=${junit/#5./1.} ;;
      *) version='[0-9]*' ;;
    esac
    jar=$(find "$repository" -name "$name-$version.jar" | sort -V | tail -1)
    [ -n "$jar" ] || { echo "no $name in $repository; run mvn test-compile first, or set MAVEN_REPO" >&2; exit 2; }
    cp "$jar" "$target/lib/"
  done
  for name in classes test-classes jmh/checked; do
    [ -d "$root/kernels/target/$name" ] || { echo "no kernels/target/$name; run mvn test-compile first" >&2; exit 2; }
    mkdir -p "$target/$name"
    cp -r "$root/kernels/target/$name/." "$target/$name/"
  done
  "${JAVA_HOME:?set JAVA_HOME to a JDK 25}/bin/javac" -cp "$target/lib/*" -d "$target/test-classes" "$here/RunTests.java"
  rm -rf "$target/jre"
  "$JAVA_HOME/bin/jlink" --add-modules java.base,java.logging,jdk.incubator.vector,jdk.unsupported --vm server \
    --no-header-files --no-man-pages --strip-debug --output "$target/jre"
  tar cJf "$target/jre.tar.xz" -C "$target" jre
  rm -rf "$target/jre"
  cp "$here/run-on-gpu.sh" "$here/torch_peer.py" "$root/conf/jvm.options" "$target/"
}

java() {
  local home=${TMPDIR:-/tmp}/spark-moe-jre
  [ -d "$home/jre" ] || { mkdir -p "$home"; tar xJf "$here/jre.tar.xz" -C "$home"; }
  "${sanitizer[@]}" "$home/jre/bin/java" "@$here/jvm.options" -Xmx16g \
    -cp "$here/test-classes:$here/classes:$here/jmh/checked:$here/lib/*" "$@"
}

tests() {
  java RunTests org.sparkmoe.kernels.experts.CudaExpertKernelTest org.sparkmoe.kernels.experts.CudaFusedExpertsTest \
    org.sparkmoe.kernels.experts.CudaGatingTest org.sparkmoe.kernels.layer.CudaPreparedLayerTest
}

# Over the fused experts and a router for each type of vectors, which launch every kernel: minutes otherwise.
sanitize() {
  local tool
  for tool in memcheck racecheck; do
    sanitizer=(compute-sanitizer --tool "$tool" --error-exitcode 1)
    java RunTests org.sparkmoe.kernels.experts.CudaFusedExpertsTest \
      org.sparkmoe.kernels.experts.CudaGatingTest#vectorsMayBeNarrow
  done
  sanitizer=()
}

bench() {
  local ours peer cases=${CASES:-olmoe:4096 olmoe:32768 qwen3-30b-a3b:4096 qwen3-30b-a3b:32768 gpt-oss-20b:4096 \
    gpt-oss-20b:32768 mixtral:4096 mixtral:32768 deepseek-v3-64:4096 deepseek-v3-64:32768}
  ours=$(mktemp) peer=$(mktemp)
  # shellcheck disable=SC2086 # words
  java org.sparkmoe.kernels.bench.GpuBenchmark $cases | tee "$ours"
  # shellcheck disable=SC2086
  python3 "$here/torch_peer.py" $cases | tee "$peer"
  grep '^#' "$ours" "$peer" | sed 's/^[^#]*#/-/'
  echo '| bf16 | T | products ms | TFLOP/s | PyTorch products ms | ratio | layer on the GPU ms | TFLOP/s | PyTorch eager ms | compiled ms | ratio to the better | host to host, f32, ms | bf16, ms |'
  echo '|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|'
  awk -F, '!/^#/ && NR == FNR { at[$1 "," $2] = $0; next }
    !/^#/ { split(at[$1 "," $2], a, ","); best = $4 < $5 ? $4 : $5
      if (a[3] != "")
        printf "| %s | %d | %.3f | %.0f | %.3f | %.2f | %.3f | %.0f | %.3f | %.3f | %.2f | %.2f | %.2f |\n", $1, $2, a[3], a[5], $3, $3 / a[3], a[7], a[5] * a[3] / a[7], $4, $5, best / a[7], a[4], a[6] }' \
    "$ours" "$peer"
}

sanitizer=()
if [ "${1:-}" = pack ]; then
  pack "${2:?pack DIR}"
elif [ $# = 0 ]; then
  tests && sanitize && bench
else
  for part in "$@"; do
    case $part in
      tests | sanitize | bench) "$part" ;;
      *) echo "unknown part $part; choose tests, sanitize or bench" >&2; exit 2 ;;
    esac
  done
fi
