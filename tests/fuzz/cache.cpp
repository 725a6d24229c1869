// SPDX-License-Identifier: Apache-2.0
// The cache of encoded sentences, with a checksum that fits: what a stranger could write.
#include <detente/core/file.h>
#include <detente/data/encoding_cache.h>

#include "fuzz.h"

using namespace detente;

FUZZ(data, size) {
  std::string content = "DTNTIDS1";
  content.append("\x07\0\0\0\0\0\0\0", 8);  // the key
  content += fuzz::text_of(data, size);
  const std::uint32_t checksum = crc32c(content);
  content.append(reinterpret_cast<const char*>(&checksum), 4);
  fuzz::survive([&] { data::read_encoding(fuzz::file_with("cache.ids", content), 7); });
}
