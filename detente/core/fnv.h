// SPDX-License-Identifier: Apache-2.0
// FNV-1a of 64 bits (Fowler, Noll, Vo; RFC 9923): tells contents apart, the same in every build and on every machine,
// so files may keep it. It withstands nobody who wants two contents to have one hash.
#pragma once

#include <cstdint>
#include <string_view>

namespace detente {

inline constexpr std::uint64_t kFnvStart = 0xcbf29ce484222325ULL;

// Goes on from `hash`: fnv1a(b, fnv1a(a)) is that of a and b in one piece.
constexpr std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash = kFnvStart) {
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3ULL;
  }
  return hash;
}

}  // namespace detente
