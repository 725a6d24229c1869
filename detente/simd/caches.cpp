// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/whole_number.h>
#include <detente/simd/caches.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <string>

namespace detente::simd {
namespace {

std::string first_line(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

// "48K", "2M", "2048"; 0 when it is none of these.
std::int64_t bytes_of(const std::string& text) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || number <= 0 || number > (std::int64_t{1} << 40)) return 0;
  if (rest == end) return number;
  if (rest + 1 != end) return 0;
  return *rest == 'K' ? number << 10 : *rest == 'M' ? number << 20 : 0;
}

// How many processors "0-3,8" names; 1 when it names none.
std::int64_t count_of(const std::string& list) {
  std::int64_t count = 0;
  const char* at = list.data();
  const char* end = at + list.size();
  while (at < end) {
    std::int64_t first = 0;
    const auto one = std::from_chars(at, end, first);
    if (one.ec != std::errc()) break;
    std::int64_t last = first;
    at = one.ptr;
    if (at < end && *at == '-') {
      const auto other = std::from_chars(at + 1, end, last);
      if (other.ec != std::errc()) break;
      at = other.ptr;
    }
    if (last < first) break;
    count += last - first + 1;
    if (at < end && *at == ',') ++at;
  }
  return std::max<std::int64_t>(count, 1);
}

void take_if_known(std::int64_t bytes, std::int64_t& size) {
  if (bytes > 0) size = bytes;
}

}  // namespace

Caches read_caches(const std::filesystem::path& folder) {
  Caches found;
#ifdef _SC_LEVEL1_DCACHE_SIZE
  take_if_known(sysconf(_SC_LEVEL1_DCACHE_SIZE), found.l1d);
  take_if_known(sysconf(_SC_LEVEL2_CACHE_SIZE), found.l2);
#endif
  for (int index = 0; index < 8; ++index) {
    const std::filesystem::path one = folder / ("index" + std::to_string(index));
    const std::string level = first_line(one / "level");
    if (level.empty() || first_line(one / "type") == "Instruction") continue;
    const std::int64_t size = bytes_of(first_line(one / "size"));
    // Two threads of one core are not expected to need it at once.
    if (level == "1") take_if_known(size, found.l1d);
    if (level == "2") take_if_known(size, found.l2);
    if (level == "3") take_if_known(size / count_of(first_line(one / "shared_cpu_list")), found.l3);
  }
  return found;
}

Caches with_override(Caches found, const char* l2_kb) {
  if (l2_kb == nullptr || *l2_kb == '\0') return found;
  const std::int64_t number = whole_number<std::int64_t>(l2_kb).value_or(0);
  DETENTE_CHECK(number >= 16 && number <= (1 << 20),
                ErrorCode::kInvalidArgument,
                "[simd::caches] DETENTE_L2_KB='{}' is no size of a cache: expected a number of KB "
                "from 16 to 1048576. Leave the variable away for what the processor has.",
                l2_kb);
  found.l2 = number << 10;
  return found;
}

const Caches& caches() {
  static const Caches one = with_override(read_caches("/sys/devices/system/cpu/cpu0/cache"),
                                          std::getenv("DETENTE_L2_KB"));
  return one;
}

}  // namespace detente::simd
