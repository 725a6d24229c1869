// SPDX-License-Identifier: Apache-2.0
// Made-up pictures and the files that hold them, written by the format's own library.
#pragma once

#include <detente/core/rng.h>
#include <detente/data/image.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

// After <cstdio>, which it takes for granted.
#include <jpeglib.h>
#include <png.h>

namespace detente::test {

inline data::Image noise(std::size_t height, std::size_t width, std::size_t channels, int seed) {
  data::Image image{{height, width, channels}, {}};
  Rng rng(static_cast<std::uint64_t>(seed));
  for (std::size_t i = 0; i < image.shape.size(); ++i) {
    image.values.push_back(static_cast<std::uint8_t>(rng.below(256)));
  }
  return image;
}

struct PngForm {
  int color_type = PNG_COLOR_TYPE_GRAY;
  int bits = 8;
  bool interlaced = false;
  std::vector<png_color> palette;
};

// `rows`: the packed bytes of each line.
inline std::string png_file(std::size_t height,
                            std::size_t width,
                            const std::vector<std::uint8_t>& bytes,
                            const PngForm& form) {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  if (setjmp(png_jmpbuf(png)) != 0) std::abort();
  png_set_write_fn(
      png,
      &out,
      [](png_structp self, png_bytep data, std::size_t count) {
        static_cast<std::string*>(png_get_io_ptr(self))
            ->append(reinterpret_cast<const char*>(data), count);
      },
      nullptr);
  png_set_IHDR(png,
               info,
               static_cast<png_uint_32>(width),
               static_cast<png_uint_32>(height),
               form.bits,
               form.color_type,
               form.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (!form.palette.empty()) {
    png_set_PLTE(png, info, form.palette.data(), static_cast<int>(form.palette.size()));
  }
  png_write_info(png, info);
  const std::size_t line = bytes.size() / height;
  std::vector<png_bytep> rows;
  for (std::size_t y = 0; y < height; ++y) {
    rows.push_back(const_cast<png_bytep>(bytes.data()) + y * line);
  }
  png_write_image(png, rows.data());
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return out;
}

inline std::string png_file(const data::Image& image) {
  const int type = image.shape.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB;
  return png_file(image.shape.height, image.shape.width, image.values, {.color_type = type});
}

// `space`: JCS_GRAYSCALE, JCS_RGB or JCS_CMYK; `marker`: an APP1 block, or empty.
inline std::string jpeg_file(const data::Image& image,
                             J_COLOR_SPACE space,
                             bool progressive = false,
                             const std::string& marker = "") {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = static_cast<JDIMENSION>(image.shape.width);
  info.image_height = static_cast<JDIMENSION>(image.shape.height);
  info.input_components = static_cast<int>(image.shape.channels);
  info.in_color_space = space;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  if (progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  if (!marker.empty()) {
    jpeg_write_marker(&info,
                      JPEG_APP0 + 1,
                      reinterpret_cast<const JOCTET*>(marker.data()),
                      static_cast<unsigned>(marker.size()));
  }
  while (info.next_scanline < info.image_height) {
    auto* row = const_cast<JSAMPROW>(image.values.data() +
                                     info.next_scanline * image.shape.width * image.shape.channels);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string out(reinterpret_cast<const char*>(buffer), size);
  std::free(buffer);
  return out;
}

// idx: the sizes and the bytes.
inline std::string idx_file(const std::vector<std::uint32_t>& sizes, const std::string& bytes) {
  std::string out("\0\0\x08", 3);
  out += static_cast<char>(sizes.size());
  for (const std::uint32_t size : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xffU);
  }
  return out + bytes;
}

}  // namespace detente::test
