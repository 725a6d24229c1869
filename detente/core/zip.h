// SPDX-License-Identifier: Apache-2.0
// ZIP archives in memory, as numpy.savez and savez_compressed write them: members stored or deflated,
// zip64 or not. No encryption, no archives in several parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace detente {

struct ZipMember {
  std::string name;
  std::size_t size = 0;     // unpacked
  std::string_view packed;  // a part of the archive
  bool deflated = false;
  std::uint32_t crc = 0;
};

// The members in the order of the archive's directory, folders left out. Throws kData, naming `source`
// and the member: no archive or a cut one, places outside it, a name twice, a way of packing that is
// neither of the two.
std::vector<ZipMember> list_zip(std::string_view archive, const std::string& source);

// What a member holds. Throws kData: damaged (its CRC-32), more or less than its entry says.
std::string unpack(const ZipMember& member, const std::string& source);

}  // namespace detente
