// Eight texts at a time, of one block each: a lane is a text. Longer ones take one lane.
#include "evaluation/blake2b.hpp"

#include <cstring>
#include <string>

#include "common/lanes.hpp"

namespace ce {
namespace {

constexpr int64_t kBlock = 128;  // bytes
constexpr int kTexts = 8;
constexpr uint64_t kIv[8] = {0x6a09e667f3bcc908ull, 0xbb67ae8584caa73bull, 0x3c6ef372fe94f82bull, 0xa54ff53a5f1d36f1ull,
                             0x510e527fade682d1ull, 0x9b05688c2b3e6c1full, 0x1f83d9abfb41bd6bull, 0x5be0cd19137e2179ull};
constexpr uint64_t kParameters = 0x01010008;  // digests of 8 bytes, no key, no tree
constexpr uint8_t kOrder[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

// A word of each text: one number, or eight of them.
typedef uint64_t Words __attribute__((vector_size(8 * kTexts)));

template <class Word>
struct State {
  Word h[8], block[16], counted;

  void begin() {
    for (int i = 0; i < 8; ++i) h[i] = Word{} + (kIv[i] ^ (i == 0 ? kParameters : 0));
  }
};

template <int right, class Word>
CE_INLINE void rotate(Word& x) {
  x = (x >> right) | (x << (64 - right));
}

template <class Word>
CE_INLINE void mix(Word& a, Word& b, Word& c, Word& d, const Word& x, const Word& y) {
  a += b + x, d ^= a;
  rotate<32>(d);
  c += d, b ^= c;
  rotate<24>(b);
  a += b + y, d ^= a;
  rotate<16>(d);
  c += d, b ^= c;
  rotate<63>(b);
}

template <class Word>
CE_CLONES void compress(State<Word>& s, bool last) {
  Word v[16];
  for (int i = 0; i < 8; ++i) v[i] = s.h[i], v[8 + i] = Word{} + kIv[i];
  v[12] ^= s.counted;
  if (last) v[14] = ~v[14];
#pragma GCC unroll 12
  for (int round = 0; round < 12; ++round) {
    const uint8_t* at = kOrder[round % 10];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      mix(v[i], v[4 + i], v[8 + i], v[12 + i], s.block[at[2 * i]], s.block[at[2 * i + 1]]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      mix(v[i], v[4 + (i + 1) % 4], v[8 + (i + 2) % 4], v[12 + (i + 3) % 4], s.block[at[8 + 2 * i]],
          s.block[at[9 + 2 * i]]);
  }
  for (int i = 0; i < 8; ++i) s.h[i] ^= v[i] ^ v[8 + i];
}

uint64_t of_long(const std::string& text) {
  State<uint64_t> s;
  s.begin();
  const int64_t size = int64_t(text.size());
  for (int64_t from = 0; from < size; from += kBlock) {
    const int64_t here = size - from < kBlock ? size - from : kBlock;
    for (uint64_t& word : s.block) word = 0;
    std::memcpy(s.block, text.data() + from, size_t(here));
    s.counted = uint64_t(from + here);
    compress(s, from + here == size);
  }
  return s.h[0];
}

}  // namespace

void blake2b_64(Text prefix, const Text* texts, int64_t n, uint64_t* digests) {
  State<Words> s = {};
  int64_t at[kTexts];
  int used = 0;
  const auto finish = [&] {
    s.begin();
    compress(s, true);
    for (int l = 0; l < used; ++l) digests[at[l]] = s.h[0][l];
    used = 0;
  };
  for (int64_t i = 0; i < n; ++i) {
    const int64_t size = prefix.size + texts[i].size;
    if (size > kBlock) {
      digests[i] = of_long(std::string(prefix.bytes, size_t(prefix.size)).append(texts[i].bytes, size_t(texts[i].size)));
      continue;
    }
    uint64_t words[16] = {};
    char* bytes = reinterpret_cast<char*>(words);
    std::memcpy(bytes, prefix.bytes, size_t(prefix.size));
    std::memcpy(bytes + prefix.size, texts[i].bytes, size_t(texts[i].size));
    for (int w = 0; w < 16; ++w) s.block[w][used] = words[w];
    s.counted[used] = uint64_t(size);
    at[used++] = i;
    if (used == kTexts) finish();
  }
  if (used) finish();
}

}  // namespace ce
