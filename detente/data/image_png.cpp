// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/image_codecs.h>
#include <png.h>

#include <csetjmp>
#include <cstring>
#include <new>
#include <vector>

namespace detente::data {
namespace {

class PngDecoder {
 public:
  explicit PngDecoder(std::string_view bytes) : bytes_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
    png_set_read_fn(png_, this, on_read);
  }
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  bool read_header() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_info(png_, info_);
    return true;
  }
  // 8 bits, grey or RGB, with alpha where there is any.
  bool ask_for_bytes() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_scale_16(png_);
    png_set_expand(png_);  // palettes, 1 to 4 bits, transparent colours
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }
  bool read_pixels(png_bytepp rows) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_image(png_, rows);
    png_read_end(png_, nullptr);
    return true;
  }

  std::size_t height() const { return png_get_image_height(png_, info_); }
  std::size_t width() const { return png_get_image_width(png_, info_); }
  std::size_t channels() const { return png_get_channels(png_, info_); }
  const char* message() const { return message_; }

 private:
  static void on_error(png_structp png, png_const_charp message) {
    auto* self = static_cast<PngDecoder*>(png_get_error_ptr(png));
    std::strncpy(self->message_, message, sizeof(self->message_) - 1);
    png_longjmp(png, 1);
  }
  static void on_warning(png_structp /*png*/, png_const_charp /*message*/) {}
  static void on_read(png_structp png, png_bytep out, std::size_t count) {
    auto* self = static_cast<PngDecoder*>(png_get_io_ptr(png));
    if (count > self->bytes_.size() - self->at_) png_error(png, "it ends too early");
    std::memcpy(out, self->bytes_.data() + self->at_, count);
    self->at_ += count;
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
  char message_[256] = "";
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

// The last channel of each pixel is how much of it covers the black below.
Image over_black(const Image& image) {
  const std::size_t channels = image.shape.channels - 1;
  Image result{{image.shape.height, image.shape.width, channels}, {}};
  result.values.reserve(result.shape.size());
  for (std::size_t i = 0; i < image.shape.pixels(); ++i) {
    const std::uint8_t* pixel = image.values.data() + i * (channels + 1);
    const unsigned alpha = pixel[channels];
    for (std::size_t c = 0; c < channels; ++c) {
      result.values.push_back(static_cast<std::uint8_t>((pixel[c] * alpha + 127U) / 255U));
    }
  }
  return result;
}

}  // namespace

Image decode_png(std::string_view bytes, const std::string& source, std::size_t most) {
  PngDecoder decoder(bytes);
  if (!decoder.read_header()) fail_damaged(source, decoder.message());
  check_image_size(decoder.height(), decoder.width(), source, most);
  if (!decoder.ask_for_bytes()) fail_damaged(source, decoder.message());
  Image image{{decoder.height(), decoder.width(), decoder.channels()}, {}};
  image.values.resize(image.shape.size());
  std::vector<png_bytep> rows;
  for (std::size_t y = 0; y < image.shape.height; ++y) {
    rows.push_back(image.values.data() + y * image.shape.width * image.shape.channels);
  }
  if (!decoder.read_pixels(rows.data())) fail_damaged(source, decoder.message());
  return image.shape.channels % 2 == 0 ? over_black(image) : image;
}

}  // namespace detente::data
