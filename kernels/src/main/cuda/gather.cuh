// Rows that a product for compute capability 9.0 gathers itself, from where their tokens lie, as hopper.cuh's copy engine
// cannot: warps that multiply nothing bring them into the ring of stages.

#pragma once

#include "hopper.cuh"

namespace {

// Tokens, and which of them each row is; null where rows lie in their order.
template <typename T>
struct Tokens {
  const T* x;
  const int* tokenOfOrNull;
};

// 16 bytes of row `row`, rows lying `apart` bytes from each other. The address is no variable: a thread that gathers has
// registers for one at a time.
__device__ __forceinline__ void copyOfRow(uint32_t to, const void* from, int row, int apart) {
  asm volatile(
      "{\n.reg .b64 at;\nmad.wide.s32 at, %2, %3, %1;\n"
      "cp.async.cg.shared.global.L2::128B [%0], [at], 16;\n}\n" ::"r"(to),
      "l"(from), "r"(row), "r"(apart)
      : "memory");
}

// Brings the rows of all tiles from where their tokens lie. A thread has 16 bytes of every eighth row, and arrives at a
// stage's barrier when they do.
template <typename T>
__device__ __forceinline__ void gather(
    const Tokens<T>& tokens, Jobs jobs, int steps, int k, unsigned char* memory, uint32_t base, uint32_t full,
    uint32_t empty) {
  constexpr int kRows = kGatherers * 4;  // at once
  constexpr int kOwn = kTileRows / kRows;
  const int thread = threadIdx.x % (kGatherers * 32);
  const int chunk = thread & 7;
  const int row = thread >> 3;
  const uint32_t to = base + row * 128 + ((chunk ^ (row & 7)) << 4);
  // The tokens of this thread's rows, which it shares with those that have the other chunks: all in one warp.
  int* own = (int*)(memory + kTokensAt) + row * kOwn;
  const char* from = (const char*)tokens.x + chunk * 16;
  const int apart = k * (int)sizeof(T);
  const int block = blockOfCluster();
  Turn turn;
  for (Job whole = jobs.nextOfWarp(); whole.rows > 0; whole = jobs.nextOfWarp()) {
    const Job job = whole.ofBlock(block);
    const int last = whole.first + whole.rows - 1;
#pragma unroll
    for (int i = 0; i < kOwn; i += 8) {
      own[i + chunk] = __ldg(tokens.tokenOfOrNull + min(job.first + row + (i + chunk) * kRows, last));
    }
    __syncwarp();
    // A group of warps without rows multiplies none.
    const int rows = job.rows <= 0 ? 0 : job.rows <= kGroupRows ? kGroupRows : kTileRows;
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
      wait(empty + turn.stage * 8, turn.parity ^ 1);
      const uint32_t stage = to + turn.stage * kStageBytes;
#pragma unroll
      for (int i = 0; i < kOwn; i += 4) {
        if (i * kRows < rows) {
          const int4 four = *(const int4*)(own + i);
          copyOfRow(stage + i * kRows * 128, from + step * 128, four.x, apart);
          copyOfRow(stage + (i + 1) * kRows * 128, from + step * 128, four.y, apart);
          copyOfRow(stage + (i + 2) * kRows * 128, from + step * 128, four.z, apart);
          copyOfRow(stage + (i + 3) * kRows * 128, from + step * 128, four.w, apart);
        }
      }
      asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];\n" ::"r"(full + turn.stage * 8) : "memory");
      turn.next();
    }
    __syncwarp();
  }
}

}  // namespace
