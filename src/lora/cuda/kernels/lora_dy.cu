// The way back through a group's adapters, dY read once: dh = dY (sB) and dB = dY^T h; then dh into the tail of dY's buffer.
//
//   dy        bf16 [m, ldy], the columns of all segments
//   sb        bf16 [columns, ldw]: column K of W^; sB[n, r] with n and r counted over the whole group; a rank column of the tail
//             belongs to one segment at most
//   h         bf16 [m, ldh]: the tail of x's buffer, as lora_down left it
//   segments  int [count][8]: {column, columns, rank, ranks, offset, ld, 0, 0}, one a projection (several of one of more than 64
//             ranks): columns of dY, a multiple of 8, and their rank columns, multiples of 16; dB[n, r] of a segment goes to
//             offset + n ld + r of a partial (offset and ld even)
//   dh_partials   f32 [tiles][m][RANKS]: of tile t the sums over its columns; of lora_dy_16 a tile has 512 columns and RANKS is 16,
//             of lora_dy_64 256 and 64; tiles are counted over the segments in order, each segment beginning a new one
//   db_partials   f32 [row blocks][size]: of row block b the sums over its `rows` rows (a multiple of 32), without the scale,
//             which `reduce` applies
//   dh        bf16 [m, ldy]: column N of dY's buffer (lora_dh); columns of 0 .. tail that no segment has become 0
// Precision: products of bf16, all sums f32, dh rounded to bf16 once. Contract: =.
// Grid of lora_dy (tiles, ceil(m / rows)), block 256, shared 2 * 32 * (T + 8 + RANKS + 8) * 2 + T * (RANKS + 8) * 2 bytes: 94,208
// of lora_dy_16, 79,872 of lora_dy_64. sB of the tile stays in shared memory while 32 rows after another go by; sums of dB stay
// in registers (a warp has an eighth of the columns), those of dh are complete after each step. Beside dY's 2 bytes a number the
// partials move 8 ranks (1 / T + 1 / rows) more: a fifth to a quarter of dY at rank 16, rather more than dY at rank 64. One block for all
// columns would save those of dh and pay many times as much for those of dB.
// Grid of lora_dh ceil(m * (tail / 4) / 256), block 256, no shared memory: a thread has four ranks of a token.
// Matches: `Group::dh` and dB of `Plain::backward`, with sB and h rounded to bf16.
// Tolerance: dh: (N + tiles) 2^-23 sum |dY sB| + 2^-8 |dh|; dB: (rows + blocks + 1) 2^-23 sum |dY h|; with N the segment's columns.
#include "lora.cuh"

// The segment that has a tile, and which of its tiles it is.
DEVICE int find_tile(Segment& segment, const int* segments, int count, int tile, int width) {
  for (int i = 0; i < count; i++) {
    segment.read(segments, i);
    const int tiles = (segment.columns + width - 1) / width;
    if (tile < tiles) break;
    tile -= tiles;
  }
  return tile;
}

template <int RANKS, int COLUMNS>
DEVICE void lora_dy(const bf16* dy, const bf16* sb, const bf16* h, const int* segments, float* dh_partials, float* db_partials, int m,
                    int count, int rows, int ldy, int ldw, int ldh, int size) {
  enum {
    ROWS = 32, LD = COLUMNS + PAD, LDR = RANKS + PAD, STAGE = ROWS * (LD + LDR),
    OWN = COLUMNS / 8,           // columns a warp has of dB
    TURNS = (RANKS / 8 + 3) / 4,  // blocks of 8 ranks a warp has of dh
    UNROLLED = RANKS == 16 ? 4 : 1  // as registers for two blocks a multiprocessor allow
  };
  SHARED(shared);
  bf16* tiles = (bf16*)shared;
  bf16* sb_tile = tiles + 2 * STAGE;
  Segment segment;
  const int column0 = find_tile(segment, segments, count, blockIdx.x, COLUMNS) * COLUMNS;
  const int ranks = segment.ranks, columns = min(COLUMNS, segment.columns - column0);
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  const int row0 = blockIdx.y * rows, last = min(m, row0 + rows);
  const int dh_row = (warp & 1) * 16, dh_rank = (warp >> 1) * 8, own = warp * OWN;
  dy += segment.column + column0, sb += (u64)(segment.column + column0) * ldw + segment.rank, h += segment.rank;
  dh_partials += (u64)blockIdx.x * m * RANKS;

  copy_tile<COLUMNS, RANKS>(sb_tile, sb, ldw, columns, ranks, COLUMNS, ranks);  // in the pipeline's first group
  float db[OWN / 16][RANKS / 8][4] = {};
  auto load = [&](int stage, int step) {
    const int row = row0 + step * ROWS;
    copy_tile<ROWS, COLUMNS>(tiles + stage * STAGE, dy + (u64)row * ldy, ldy, last - row, columns);
    copy_tile<ROWS, RANKS>(tiles + stage * STAGE + ROWS * LD, h + (u64)row * ldh, ldh, last - row, ranks, ROWS, ranks);
  };
  auto product = [&](int stage, int step) {
    const bf16* dy_tile = tiles + stage * STAGE;
    const bf16* h_tile = dy_tile + ROWS * LD;
    if (own < columns) {
#pragma unroll
      for (int r = 0; r < ROWS; r += 16) {
        u32 dy_part[OWN / 16][4], h_part[4];
#pragma unroll
        for (int i = 0; i < OWN / 16; i++) load_matrices_transposed(dy_part[i], left_transposed<LD>(dy_tile + r * LD + own + i * 16));
#pragma unroll
        for (int j = 0; j < RANKS / 16; j++) {
          if (j * 16 >= ranks) break;
          load_matrices_transposed(h_part, right_transposed<LDR>(h_tile + r * LDR + j * 16));
#pragma unroll
          for (int i = 0; i < OWN / 16; i++) {
            multiply(db[i][2 * j], dy_part[i], h_part[0], h_part[1]);
            multiply(db[i][2 * j + 1], dy_part[i], h_part[2], h_part[3]);
          }
        }
      }
    }
    if (dh_rank >= ranks) return;
    float dh[TURNS][2][4] = {};  // even and odd blocks of 16 columns apart: two chains of sums
#pragma unroll UNROLLED
    for (int c = 0; c < COLUMNS; c += 32) {
      u32 even[4], odd[4], sb_part[4];
      load_matrices(even, left<LD>(dy_tile + dh_row * LD + c));
      load_matrices(odd, left<LD>(dy_tile + dh_row * LD + c + 16));
#pragma unroll
      for (int i = 0; i < TURNS; i++) {
        const int rank = dh_rank + i * 32;
        if (rank >= ranks) break;
        load_matrices_transposed(sb_part, sb_tile + (c + lane) * LDR + rank);  // 32 columns x 8 ranks
        multiply(dh[i][0], even, sb_part[0], sb_part[1]);
        multiply(dh[i][1], odd, sb_part[2], sb_part[3]);
      }
    }
    const int row = row0 + step * ROWS + dh_row + (lane >> 2);
#pragma unroll
    for (int i = 0; i < TURNS; i++) {
      const int rank = dh_rank + i * 32;
      if (rank >= ranks) break;
      float* at = dh_partials + (u64)row * RANKS + rank + (lane & 3) * 2;
      if (row < last) *(float2*)at = {dh[i][0][0] + dh[i][1][0], dh[i][0][1] + dh[i][1][1]};
      if (row + 8 < last) *(float2*)(at + 8 * RANKS) = {dh[i][0][2] + dh[i][1][2], dh[i][0][3] + dh[i][1][3]};
    }
  };
  pipeline<2>((last - row0 + ROWS - 1) / ROWS, load, [](int, int) {}, product);

  float* out = db_partials + (u64)blockIdx.y * size + segment.offset;
#pragma unroll
  for (int i = 0; i < OWN / 16; i++) {
    const int column = own + i * 16 + (lane >> 2);
#pragma unroll
    for (int j = 0; j < RANKS / 8; j++) {
      if (j * 8 >= ranks) break;
      float* at = out + (u64)(column0 + column) * segment.ld + j * 8 + (lane & 3) * 2;
      if (column < columns) *(float2*)at = {db[i][j][0], db[i][j][1]};
      if (column + 8 < columns) *(float2*)(at + (u64)8 * segment.ld) = {db[i][j][2], db[i][j][3]};
    }
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
lora_dy_16(const bf16* dy, const bf16* sb, const bf16* h, const int* segments, float* dh_partials, float* db_partials, int m,
           int count, int rows, int ldy, int ldw, int ldh, int size) {
  lora_dy<16, 512>(dy, sb, h, segments, dh_partials, db_partials, m, count, rows, ldy, ldw, ldh, size);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
lora_dy_64(const bf16* dy, const bf16* sb, const bf16* h, const int* segments, float* dh_partials, float* db_partials, int m,
           int count, int rows, int ldy, int ldw, int ldh, int size) {
  lora_dy<64, 256>(dy, sb, h, segments, dh_partials, db_partials, m, count, rows, ldy, ldw, ldh, size);
}

extern "C" __global__ void __launch_bounds__(THREADS)
lora_dh(const float* dh_partials, const int* segments, bf16* dh, int m, int count, int tile, int width, int ldy, int tail) {
  const u64 at = (u64)blockIdx.x * THREADS + threadIdx.x;
  const int row = (int)(at / (tail / 4)), rank = (int)(at % (tail / 4)) * 4;
  if (row >= m) return;
  float4 sum = {0.0f, 0.0f, 0.0f, 0.0f};
  for (int i = 0, first = 0; i < count; i++) {
    Segment segment;
    segment.read(segments, i);
    const int tiles = (segment.columns + tile - 1) / tile, inside = rank - segment.rank;
    if (inside >= 0 && inside < segment.ranks) {
      for (int t = first; t < first + tiles; t++) {
        const float4 part = *(const float4*)(dh_partials + ((u64)t * m + row) * width + inside);
        sum.x += part.x, sum.y += part.y, sum.z += part.z, sum.w += part.w;
      }
      break;
    }
    first += tiles;
  }
  *(uint2*)(dh + (u64)row * ldy + rank) = {pack(sum.x, sum.y), pack(sum.z, sum.w)};
}
