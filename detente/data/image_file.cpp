// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/image_codecs.h>
#include <detente/data/image_file.h>

namespace detente::data {
namespace {

const char* known_format(std::string_view bytes) {
  if (bytes.starts_with("GIF8")) return "GIF";
  if (bytes.starts_with("BM")) return "BMP";
  if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) return "WebP";
  if (bytes.starts_with("II*") || bytes.starts_with(std::string_view("MM\0*", 4))) return "TIFF";
  if (bytes.substr(0, 12).ends_with("ftypavif")) return "AVIF";
  if (bytes.substr(0, 11).ends_with("ftyphei")) return "HEIF";
  return nullptr;
}

}  // namespace

void check_image_size(std::size_t height,
                      std::size_t width,
                      const std::string& source,
                      std::size_t most) {
  DETENTE_CHECK(height > 0 && width > 0 && width <= most / height,
                ErrorCode::kData,
                "[data::read_image] '{}' says it has {} x {} pixels; expected at least one and at "
                "most {} in all. Make it smaller.",
                source,
                height,
                width,
                most);
}

void fail_damaged(const std::string& source, const char* reason) {
  fail(ErrorCode::kData,
       "[data::read_image] '{}' is damaged or cut short: {}. Fetch it again or leave it out.",
       source,
       reason);
}

Image decode_image(std::string_view bytes, const std::string& source, std::size_t most) {
  if (bytes.starts_with("\xff\xd8\xff")) return decode_jpeg(bytes, source, most);
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return decode_png(bytes, source, most);
  const char* format = known_format(bytes);
  DETENTE_CHECK(format == nullptr,
                ErrorCode::kData,
                "[data::read_image] '{}' is {}; expected JPEG or PNG. Convert it.",
                source,
                format == nullptr ? "" : format);
  fail(ErrorCode::kData,
       "[data::read_image] '{}' {}; expected JPEG or PNG.",
       source,
       bytes.empty() ? "is empty" : "is no picture (by its first bytes)");
}

Image read_image(const std::filesystem::path& path) {
  return decode_image(read_file(path), path.string());
}

bool has_image_name(const std::filesystem::path& path) {
  const std::string ending = lower_ascii(path.extension().string());
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

}  // namespace detente::data
