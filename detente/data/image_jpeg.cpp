// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/image_codecs.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

// After <cstdio>, which they take for granted.
#include <jerror.h>
#include <jpeglib.h>

namespace detente::data {
namespace {

constexpr int kExifMarker = JPEG_APP0 + 1;
constexpr std::string_view kExifName("Exif\0\0", 6);

struct JpegErrors {
  jpeg_error_mgr base;  // first: the library gives it back as a pointer to this
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->jump, 1);
}

// For the library these are warnings, and it goes on with made-up pixels.
bool means_damage(int code) {
  return code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
         code == JWRN_BOGUS_PROGRESSION || code == JWRN_MUST_RESYNC;
}

void on_message(j_common_ptr info, int level) {
  if (level < 0 && means_damage(info->err->msg_code)) leave(info);
}

class JpegDecoder {
 public:
  explicit JpegDecoder(std::string_view bytes) : bytes_(bytes) {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = leave;
    errors_.base.emit_message = on_message;
  }
  ~JpegDecoder() {
    if (made_) jpeg_destroy_decompress(&info_);
  }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  bool read_header() {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_create_decompress(&info_);
    made_ = true;
    jpeg_mem_src(&info_,
                 reinterpret_cast<const unsigned char*>(bytes_.data()),
                 static_cast<unsigned long>(bytes_.size()));
    jpeg_save_markers(&info_, kExifMarker, 0xffff);
    jpeg_read_header(&info_, TRUE);
    return true;
  }
  bool read_pixels(std::uint8_t* values) {
    if (setjmp(errors_.jump) != 0) return false;
    info_.out_color_space = channels() == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&info_);
    const std::size_t line = static_cast<std::size_t>(info_.output_width) * channels();
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = values + info_.output_scanline * line;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  const jpeg_decompress_struct& info() const { return info_; }
  std::size_t channels() const { return info_.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3; }
  const char* message() const { return errors_.message; }
  int orientation() const {
    for (auto* marker = info_.marker_list; marker != nullptr; marker = marker->next) {
      const std::string_view block(reinterpret_cast<const char*>(marker->data),
                                   marker->data_length);
      if (marker->marker == kExifMarker && block.starts_with(kExifName)) {
        return exif_orientation(block);
      }
    }
    return 1;
  }

 private:
  std::string_view bytes_;
  JpegErrors errors_{};
  jpeg_decompress_struct info_{};
  bool made_ = false;
};

// Numbers of a TIFF block in its own byte order; 0 beyond its end.
struct Tiff {
  std::string_view bytes;
  bool big_endian = false;

  std::size_t number(std::size_t at, std::size_t width) const {
    if (at > bytes.size() || width > bytes.size() - at) return 0;
    std::size_t value = 0;
    for (std::size_t i = 0; i < width; ++i) {
      const std::size_t place = big_endian ? at + i : at + width - 1 - i;
      value = value << 8U | static_cast<unsigned char>(bytes[place]);
    }
    return value;
  }
};

}  // namespace

int exif_orientation(std::string_view block) {
  constexpr std::size_t kEntry = 12;
  constexpr std::size_t kOrientation = 0x0112;
  constexpr std::size_t kShort = 3;
  if (!block.starts_with(kExifName)) return 1;
  const std::string_view body = block.substr(kExifName.size());
  if (!body.starts_with("II") && !body.starts_with("MM")) return 1;
  const Tiff tiff{body, body.starts_with("MM")};
  const std::size_t directory = tiff.number(4, 4);
  const std::size_t entries = tiff.number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntry;
    if (entry >= body.size()) break;
    if (tiff.number(entry, 2) != kOrientation || tiff.number(entry + 2, 2) != kShort) continue;
    const std::size_t value = tiff.number(entry + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image decode_jpeg(std::string_view bytes, const std::string& source, std::size_t most) {
  JpegDecoder decoder(bytes);
  if (!decoder.read_header()) fail_damaged(source, decoder.message());
  const auto& info = decoder.info();
  check_image_size(info.image_height, info.image_width, source, most);
  DETENTE_CHECK(info.jpeg_color_space != JCS_CMYK && info.jpeg_color_space != JCS_YCCK,
                ErrorCode::kData,
                "[data::read_image] '{}' is a CMYK picture, made for printing; expected grey or "
                "RGB. Convert it.",
                source);
  const int orientation = decoder.orientation();  // the markers go with the last row
  Image image{{info.image_height, info.image_width, decoder.channels()}, {}};
  image.values.resize(image.shape.size());
  if (!decoder.read_pixels(image.values.data())) fail_damaged(source, decoder.message());
  return oriented(image, orientation);
}

}  // namespace detente::data
