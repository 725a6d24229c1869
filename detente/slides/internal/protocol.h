// SPDX-License-Identifier: Apache-2.0
// What a process and its slide worker say to each other over the worker's socket. Messages begin with a
// MessageHead; `size` bytes follow. Orders are done in their order; an answer repeats the ticket of its order.
//
//   to it    'M' memory for pictures: its descriptor comes with this, its size (u64)
//            'O' what is this slide? the file's name
//            'R' a region: PictureOrder, the file's name
//            'A' a picture beside the slide: PictureOrder (out_width, out_height: its size), the length of its
//                name (u32), its name, the file's name
//   from it  'H' hello: JSON {protocol, openslide, library, shared_cache, confined}, or {protocol, problem} (unasked,
//                ticket 0)
//            'I' JSON of a SlideInfo (info_json.h)
//            'D' done, the pixels lie in the memory: u32, 1 where the slide was open before
//            'N' the slide cannot be read: why
//            'W' the order is wrong, the slide is not: why
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace detente::slides::internal {

inline constexpr int kProtocol = 1;
inline constexpr std::size_t kLongestMessage = std::size_t{1} << 23;
inline constexpr std::int64_t kLongestOutSide = std::int64_t{1} << 16;
inline constexpr std::int64_t kMostOutPixels = std::int64_t{1} << 26;
inline constexpr std::int64_t kMostRegionPixels = std::int64_t{1} << 40;

struct MessageHead {
  std::uint32_t kind = 0;
  std::uint32_t size = 0;
  std::uint64_t ticket = 0;
};

struct PictureOrder {
  std::int64_t x = 0;
  std::int64_t y = 0;
  std::int64_t level = 0;
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::int64_t out_width = 0;
  std::int64_t out_height = 0;
  std::uint64_t offset = 0;  // of the memory
};

template <class T>
std::string bytes_of(const T& value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// The first bytes of `text` as a T, and cut from it; false where there are too few.
template <class T>
bool take_from(std::string_view& text, T& value) {
  if (text.size() < sizeof value) return false;
  std::memcpy(&value, text.data(), sizeof value);
  text.remove_prefix(sizeof value);
  return true;
}

inline std::string message(char kind, std::uint64_t ticket, std::string_view text) {
  std::string bytes = bytes_of(MessageHead{.kind = static_cast<std::uint32_t>(kind),
                                           .size = static_cast<std::uint32_t>(text.size()),
                                           .ticket = ticket});
  return bytes.append(text);
}

}  // namespace detente::slides::internal
