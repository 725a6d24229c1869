// SPDX-License-Identifier: Apache-2.0
// Reading of files that are taken as they were written or not at all (answers.h, looks.h): what
// does not fit throws Damaged.
#pragma once

#include <detente/core/json.h>
#include <detente/report/answers.h>
#include <detente/report/pixels.h>
#include <detente/report/run_record.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace detente::report::internal {

inline constexpr std::uint64_t kMostCount = 1ULL << 53U;

// What reading a damaged file throws at itself.
struct Damaged {};

inline void demand(bool holds) {
  if (!holds) throw Damaged{};
}

inline const Json& entry_at(const Json& object, const char* key) {
  demand(object.is_object());
  const auto found = object.find(key);
  demand(found != object.end());
  return *found;
}

inline const Json* optional_at(const Json& object, const char* key) {
  demand(object.is_object());
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

inline std::uint64_t whole_from(const Json& value, std::uint64_t most = kMostCount) {
  demand(value.is_number_unsigned() && value.get<std::uint64_t>() <= most);
  return value.get<std::uint64_t>();
}

inline std::uint64_t whole_at(const Json& object,
                              const char* key,
                              std::uint64_t most = kMostCount) {
  return whole_from(entry_at(object, key), most);
}

inline double real_from(const Json& value) {
  if (value.is_null()) return kNoNumber;
  demand(value.is_number() && std::isfinite(value.get<double>()));
  return value.get<double>();
}

inline double real_at(const Json& object, const char* key) {
  return real_from(entry_at(object, key));
}

inline double share_at(const Json& object, const char* key) {
  const double value = real_at(object, key);
  demand(value >= 0 && value <= 1);
  return value;
}

inline std::string name_from(const Json& value) {
  demand(value.is_string());
  auto text = value.get<std::string>();
  demand(text.size() <= kMostName);
  return text;
}

inline const Json& list_at(const Json& object, const char* key, std::size_t most) {
  const Json& list = entry_at(object, key);
  demand(list.is_array() && list.size() <= most);
  return list;
}

// PNG in base64, or nothing. `used` sums up the pictures of a file, which has `most` bytes of them.
inline std::string picture_at(const Json& object,
                              const char* key,
                              std::size_t& used,
                              std::size_t most) {
  const Json& value = entry_at(object, key);
  demand(value.is_string());
  auto text = value.get<std::string>();
  used += text.size();
  demand(used <= most && (text.empty() || is_png_text(text)));
  return text;
}

}  // namespace detente::report::internal
