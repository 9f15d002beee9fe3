// Products of matrices of codes, exact in 32 bits, and copies of their tiles. By a warp, with copies of 16 bytes, on
// every device; by a warpgroup, with copies in bulk and barriers that count their bytes, on sm_90a only (WARPGROUPS).
//
// Tiles of codes in shared memory are rows of CHUNK bytes, 16-byte pieces of a row exchanged as swizzled() says, and
// begin at multiples of 1024: what a descriptor() describes.
#pragma once
#include <cstdint>

#include "device.cuh"

constexpr int CHUNK = 128;  // inputs that one step of a kernel multiplies; packed matrices are cut so
constexpr int PIECE = 16;   // bytes
constexpr int PIECES = CHUNK / PIECE;
constexpr int WARPGROUP = 128;

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define WARPGROUPS
#endif

// Where piece `piece` of row `row` of a tile lies.
inline __device__ int swizzled(int row, int piece) { return row * CHUNK + ((piece ^ (row % PIECES)) * PIECE); }

inline __device__ uint32_t shared_address(const void* at) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(at));
}

// Copies the first `bytes` of 16 bytes and writes zeros for the rest; both addresses are multiples of 16.
inline __device__ void copy_piece(uint32_t to_sh, const void* from_gl, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to_sh), "l"(from_gl), "r"(bytes) : "memory");
}

// A policy for what is read once: L2 gives it up first, and so keeps what every layer needs, code among it. It is made
// where it is used, which costs next to nothing, as keeping it takes registers.
inline __device__ uint64_t read_once() {
  uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

// Copies, and loads, 16 bytes by a policy.
inline __device__ void copy_by(uint64_t policy, uint32_t to_sh, const void* from_gl) {
  asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2;" ::"r"(to_sh), "l"(from_gl), "l"(policy)
               : "memory");
}
inline __device__ uint4 load_by(uint64_t policy, const void* from_gl) {
  uint4 piece;
  asm volatile("ld.global.L2::cache_hint.v4.u32 {%0,%1,%2,%3}, [%4], %5;"
               : "=r"(piece.x), "=r"(piece.y), "=r"(piece.z), "=r"(piece.w)
               : "l"(from_gl), "l"(policy)
               : "memory");
  return piece;
}

inline __device__ void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits for this thread's copies, but for those before the last `ends` calls of end_copies.
template <int ENDS>
__device__ void await_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(ENDS) : "memory");
}

// A product of a warp, sums[16][8] += a[16][32] * b[8][32]^T. Lane l has sums[2 r + c] of row 8 r + l / 4, column
// 2 (l % 4) + c; a[2 h + r] of row 8 r + l / 4, inputs 16 h + 4 (l % 4) ...; b[h] of column l / 4, the same inputs.
inline __device__ void add_product(int (&sums)[4], const int* a, int b_0, int b_1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b_0), "r"(b_1));
}

// Four matrices of 8 rows of 16 bytes: a lane gives the address of row lane % 8 of matrix lane / 8, and gets bytes
// 4 (lane % 4) ... of row lane / 4 of each.
inline __device__ void load_pieces(int (&four)[4], uint32_t row_sh) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(four[0]), "=r"(four[1]), "=r"(four[2]), "=r"(four[3])
               : "r"(row_sh)
               : "memory");
}

// Four codes of which the first `count` exist, an even number; zeros for the others.
inline __device__ int load_four(const signed char* at, int count) {
  if (count >= 4) return *reinterpret_cast<const int*>(at);
  return count == 2 ? *reinterpret_cast<const unsigned short*>(at) : 0;
}

#ifdef WARPGROUPS

// ---------------------------------------------------------------- barriers and bulk copies

inline __device__ void init_barrier(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Makes initialized barriers visible to copies, too; a barrier of the block must follow.
inline __device__ void publish_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

inline __device__ void arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Arrives, and lets the phase wait for this many bytes of bulk copies.
inline __device__ void arrive_expecting(uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

// Arrives once this thread's copies so far are done. Who waits for that publishes the tile.
inline __device__ void arrive_copied(uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}

// Waits for the end of the phase of this parity.
inline __device__ void await(uint32_t barrier, int parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// Copies bytes, a multiple of 16, between addresses that are such; the barrier counts them.
inline __device__ void copy_bulk(uint32_t to_sh, const void* from_gl, int bytes, uint32_t barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to_sh),
               "l"(from_gl), "r"(bytes), "r"(barrier)
               : "memory");
}

// A barrier of one warpgroup, or of some; `name` is 1 to 15, 0 is that of __syncthreads.
template <int GROUPS = 1>
__device__ void sync_warpgroup(int name) {
  asm volatile("bar.sync %0, %1;" ::"r"(name), "n"(GROUPS * WARPGROUP) : "memory");
}

// The same, and whether `value` is true in all threads.
inline __device__ bool all_of_warpgroup(int name, bool value) {
  int all;
  asm volatile(
      "{\n"
      ".reg .pred mine, all;\n"
      "setp.ne.s32 mine, %2, 0;\n"
      "bar.red.and.pred all, %1, 128, mine;\n"
      "selp.s32 %0, 1, 0, all;\n"
      "}\n"
      : "=r"(all)
      : "r"(name), "r"(static_cast<int>(value))
      : "memory");
  return all != 0;
}

// A barrier of so many threads, of which some wait for all and the others only arrive.
inline __device__ void sync_named(int name, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(name), "r"(threads) : "memory");
}

inline __device__ void arrive_named(int name, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(name), "r"(threads) : "memory");
}

// What this thread wrote to shared memory before, or copied and awaited, may be read by wgmma after a barrier.
inline __device__ void publish_tile() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

template <int REGISTERS>
__device__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

template <int REGISTERS>
__device__ void leave_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

// ---------------------------------------------------------------- clusters

inline __device__ int rank_in_cluster() {
  uint32_t rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return static_cast<int>(rank);
}

// A barrier of all threads of a cluster, which orders accesses of its shared memories; its halves come in turns.
inline __device__ void arrive_in_cluster() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }

// The first half of such a barrier, for blocks that only show each other published barriers: the other one also waits
// for all copies of this thread.
inline __device__ void appear_in_cluster() { asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory"); }

inline __device__ void await_cluster() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }

inline __device__ void sync_cluster() {
  arrive_in_cluster();
  await_cluster();
}

inline __device__ void store_piece(uint32_t to_sh, const int4& four) {
  asm volatile("st.shared.v4.s32 [%0], {%1,%2,%3,%4};" ::"r"(to_sh), "r"(four.x), "r"(four.y), "r"(four.z), "r"(four.w)
               : "memory");
}

// Where the block of this rank has what this block has at `at_sh`.
inline __device__ uint32_t address_at(int rank, uint32_t at_sh) {
  uint32_t there;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(at_sh), "r"(rank));
  return there;
}

// Arrives at a barrier of another block.
inline __device__ void arrive_there(uint32_t barrier_there) {
  asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(barrier_there) : "memory");
}

// Writes 16 bytes to another block, whose barrier counts them.
inline __device__ void store_there(uint32_t there, const int* four, uint32_t barrier_there) {
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.s32 [%0], {%1,%2,%3,%4}, [%5];" ::"r"(there),
               "r"(four[0]), "r"(four[1]), "r"(four[2]), "r"(four[3]), "r"(barrier_there)
               : "memory");
}

// The same, which a barrier of the cluster makes seen.
inline __device__ void store_there(uint32_t there, float value) {
  asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(there), "f"(value) : "memory");
}
inline __device__ void store_there(uint32_t there, const float (&four)[4]) {
  asm volatile("st.shared::cluster.v4.f32 [%0], {%1,%2,%3,%4};" ::"r"(there), "f"(four[0]), "f"(four[1]),
               "f"(four[2]), "f"(four[3])
               : "memory");
}

// 16 bytes of another block.
inline __device__ int4 load_there(uint32_t there) {
  int4 four;
  asm volatile("ld.shared::cluster.v4.s32 {%0,%1,%2,%3}, [%4];"
               : "=r"(four.x), "=r"(four.y), "=r"(four.z), "=r"(four.w)
               : "r"(there)
               : "memory");
  return four;
}

// ---------------------------------------------------------------- products

// Of a swizzled tile: its address, 1024 bytes from 8 rows to the next 8, swizzle of 128 bytes. 32 inputs further on is
// 2 more.
inline __device__ uint64_t descriptor(uint32_t tile_sh) {
  return static_cast<uint64_t>(tile_sh >> 4 & 0x3fff) | 1ull << 16 | 64ull << 32 | 1ull << 62;
}

// Before the first product, and after registers of one were written.
inline __device__ void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

inline __device__ void end_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits for products, but for those before the last `ENDS` calls of end_products.
template <int ENDS>
__device__ void await_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(ENDS) : "memory");
}

// Keeps the compiler from moving uses of registers across products that are under way.
template <int COUNT>
__device__ void pin(int (&registers)[COUNT]) {
#pragma unroll
  for (int i = 0; i < COUNT; i++) asm volatile("" : "+r"(registers[i])::"memory");
}

// Products of a warpgroup, sums[64][COLUMNS] += a[64][32] * b[COLUMNS][32]^T, or = if it does not accumulate. Warp w
// has rows 16 w ... of a and sums; of those, lane l has in sums[4 j + 2 r + c] row 8 r + l / 4, column
// 8 j + 2 (l % 4) + c. a is a descriptor, or four registers as add_product has them.
template <int COLUMNS>
struct Product;

#define TEN(tens) \
  "%" #tens "0,%" #tens "1,%" #tens "2,%" #tens "3,%" #tens "4,%" #tens "5,%" #tens "6,%" #tens "7,%" #tens "8,%" \
      #tens "9,"
#define NAMES_16 TEN() "%10,%11,%12,%13,%14,%15"
#define NAMES_32 TEN() TEN(1) TEN(2) "%30,%31"
#define NAMES_48 TEN() TEN(1) TEN(2) TEN(3) "%40,%41,%42,%43,%44,%45,%46,%47"
#define NAMES_64 TEN() TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) "%60,%61,%62,%63"
#define NAMES_80 \
  TEN() TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) "%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"
#define NAMES_96 \
  TEN() TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) "%90,%91,%92,%93,%94,%95"
#define NAMES_128 \
  TEN() TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9) TEN(10) TEN(11) \
  "%120,%121,%122,%123,%124,%125,%126,%127"

#define EACH_8(i) \
  "+r"(sums[i]), "+r"(sums[i + 1]), "+r"(sums[i + 2]), "+r"(sums[i + 3]), "+r"(sums[i + 4]), "+r"(sums[i + 5]), \
      "+r"(sums[i + 6]), "+r"(sums[i + 7])
#define EACH_16(i) EACH_8(i), EACH_8(i + 8)
#define EACH_32(i) EACH_16(i), EACH_16(i + 16)
#define EACH_48(i) EACH_32(i), EACH_16(i + 32)
#define EACH_64(i) EACH_32(i), EACH_32(i + 32)
#define EACH_80(i) EACH_64(i), EACH_16(i + 64)
#define EACH_96(i) EACH_64(i), EACH_32(i + 64)
#define EACH_128(i) EACH_64(i), EACH_64(i + 64)

#define PRODUCT(COLUMNS, NAMES, EACH, N0, N1, N2, N3, N4, N5) \
  template <> \
  struct Product<COLUMNS> { \
    static constexpr int SUMS = COLUMNS / 2; \
    static __device__ void add(int (&sums)[SUMS], uint64_t a, uint64_t b, int accumulates) { \
      asm volatile( \
          "{\n.reg .pred p;\nsetp.ne.b32 p, " N2 ", 0;\n" \
          "wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k32.s32.s8.s8 {" NAMES "}, " N0 ", " N1 ", p;\n}\n" \
          : EACH(0) \
          : "l"(a), "l"(b), "r"(accumulates)); \
    } \
    static __device__ void add(int (&sums)[SUMS], const int* a, uint64_t b, int accumulates) { \
      asm volatile( \
          "{\n.reg .pred p;\nsetp.ne.b32 p, " N5 ", 0;\n" \
          "wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k32.s32.s8.s8 {" NAMES "}, {" N0 "," N1 "," N2 "," N3 "}, " N4 \
          ", p;\n}\n" \
          : EACH(0) \
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulates)); \
    } \
  };

PRODUCT(32, NAMES_16, EACH_16, "%16", "%17", "%18", "%19", "%20", "%21")
PRODUCT(64, NAMES_32, EACH_32, "%32", "%33", "%34", "%35", "%36", "%37")
PRODUCT(96, NAMES_48, EACH_48, "%48", "%49", "%50", "%51", "%52", "%53")
PRODUCT(128, NAMES_64, EACH_64, "%64", "%65", "%66", "%67", "%68", "%69")
PRODUCT(160, NAMES_80, EACH_80, "%80", "%81", "%82", "%83", "%84", "%85")
PRODUCT(192, NAMES_96, EACH_96, "%96", "%97", "%98", "%99", "%100", "%101")
PRODUCT(256, NAMES_128, EACH_128, "%128", "%129", "%130", "%131", "%132", "%133")

#endif
