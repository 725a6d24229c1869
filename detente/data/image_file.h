// SPDX-License-Identifier: Apache-2.0
// JPEG and PNG files. What a file is, its first bytes say, not its name.
//
//   JPEG  grey and colour (YCbCr or RGB), baseline and progressive; turned as EXIF's orientation says
//   PNG   every kind: grey, colour, palette, 1 to 16 bits (16 are cut to 8), interlaced; what is
//         transparent is laid over black
//
// The numbers are the file's own: neither gamma nor colour profiles are applied.
#pragma once

#include <detente/data/image.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace detente::data {

inline constexpr std::size_t kMostPixels = std::size_t{1} << 26U;

// 1 or 3 channels. Throws kData, naming `source`: another format, a damaged or cut file, CMYK, more
// than `most` pixels (by the header, before there is memory for them).
Image decode_image(std::string_view bytes,
                   const std::string& source,
                   std::size_t most = kMostPixels);
// The same from a file; also throws kIo (missing, unreadable).
Image read_image(const std::filesystem::path& path);

// By the ending: .jpg, .jpeg or .png in any case.
bool has_image_name(const std::filesystem::path& path);

}  // namespace detente::data
