// SPDX-License-Identifier: Apache-2.0
// Pictures and files of many: the first byte says which, the rest is the file. Without their magic
// numbers few inputs would come past them, so those are given.
#include <detente/data/image.h>
#include <detente/data/image_block.h>
#include <detente/data/image_codecs.h>
#include <detente/data/image_file.h>
#include <detente/data/image_rows.h>

#include "fuzz.h"

using namespace detente;

namespace {

constexpr std::size_t kMost = 1 << 20;  // larger ones take time and show nothing else

void check_image(const data::Image& image) {
  fuzz::expect(image.values.size() == image.shape.size(), "as many numbers as the shape says");
  fuzz::expect(image.shape.channels == 1 || image.shape.channels == 3, "grey or colours");
  fuzz::expect(image.shape.size() > 0, "an image has pixels");
  const data::Image small = data::resize_and_crop(image, 5, 7);
  fuzz::expect(small.values.size() == 35 * image.shape.channels, "the size asked for");
  fuzz::expect(data::with_channels(small, 3).values.size() == 105, "the channels asked for");
}

}  // namespace

FUZZ(data, size) {
  if (size == 0) return;
  const std::string rest(fuzz::text_of(data + 1, size - 1));
  switch (data[0] % 6) {
    case 0:
      fuzz::survive(
          [&] { check_image(data::decode_image("\x89PNG\r\n\x1a\n" + rest, "file", kMost)); });
      break;
    case 1:
      fuzz::survive([&] { check_image(data::decode_image("\xff\xd8\xff" + rest, "file", kMost)); });
      break;
    case 2: {
      const std::string bytes = std::string("\0\0\x08", 3) + rest;
      fuzz::survive([&] {
        const data::ImageBlock block = data::parse_idx_images(bytes, "file");
        fuzz::expect(block.values.size() == block.count * block.shape.size(), "all pixels");
        fuzz::expect(data::is_idx(bytes), "what reads is known");
      });
      fuzz::survive(
          [&] { fuzz::expect(!data::parse_idx_labels(bytes, "file").empty(), "labels"); });
      break;
    }
    case 3:
      fuzz::survive([&] {
        const data::LabelledBlock block = data::parse_cifar10(rest, "file");
        fuzz::expect(block.labels.size() == block.images.count, "a label each");
      });
      break;
    case 4: {
      const int orientation = data::exif_orientation(std::string("Exif\0\0", 6) + rest);
      fuzz::expect(orientation >= 1 && orientation <= 8, "one of the eight");
      break;
    }
    default:
      fuzz::survive([&] { data::parse_class_names(rest, "file"); });
      fuzz::survive([&] { check_image(data::decode_image(rest, "file", kMost)); });
  }
}
