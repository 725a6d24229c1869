// SPDX-License-Identifier: Apache-2.0
// The two decoders behind image_file.h. Both libraries report errors by longjmp, which passes by
// destructors: what is jumped over holds none.
#pragma once

#include <detente/data/image.h>

#include <string>
#include <string_view>

namespace detente::data {

Image decode_jpeg(std::string_view bytes, const std::string& source, std::size_t most);
Image decode_png(std::string_view bytes, const std::string& source, std::size_t most);

// kData for a picture without pixels or with more than `most`.
void check_image_size(std::size_t height,
                      std::size_t width,
                      const std::string& source,
                      std::size_t most);
// kData: the library's own words on a damaged file.
[[noreturn]] void fail_damaged(const std::string& source, const char* reason);

// 1 to 8 from an APP1 block ("Exif\0\0" and a TIFF header); 1 where it has none or is damaged.
int exif_orientation(std::string_view block);

}  // namespace detente::data
