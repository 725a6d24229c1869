// SPDX-License-Identifier: Apache-2.0
// safetensors files. The first two bytes say how long the header is, which the fuzzer would hardly
// guess; what follows is header and numbers.
#include <detente/core/safetensors_layout.h>

#include <cstring>

#include "fuzz.h"

using namespace detente;

FUZZ(data, size) {
  if (size < 2) return;
  std::uint16_t header = 0;
  std::memcpy(&header, data, 2);
  const std::uint64_t length = header;
  std::string content(reinterpret_cast<const char*>(&length), 8);
  content += fuzz::text_of(data + 2, size - 2);
  fuzz::survive([&] {
    const SafetensorsLayout layout = read_safetensors_layout(content, "file");
    std::uint64_t end = 0;
    for (const SafetensorsEntry& entry : layout.entries) {
      fuzz::expect(entry.begin == end && entry.end >= entry.begin, "no overlap, no hole");
      end = entry.end;
      std::uint64_t bytes = entry.bytes;
      for (const std::int64_t n : entry.shape) bytes *= static_cast<std::uint64_t>(n);
      fuzz::expect(bytes == entry.end - entry.begin, "places fit shapes");
    }
    fuzz::expect(layout.numbers + end == content.size(), "places end with the file");
  });
  fuzz::survive([&] { read_safetensors_layout(fuzz::text_of(data, size), "file", false); });
}
