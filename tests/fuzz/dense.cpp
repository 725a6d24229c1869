// SPDX-License-Identifier: Apache-2.0
// Containers of images with maps: any bytes, and a header that says a few pixels with any bytes behind it.
#include <detente/data/dense_augmentation.h>
#include <detente/data/dense_file.h>
#include <detente/data/dense_source.h>
#include <detente/data/dense_targets.h>

#include <cmath>

#include "fuzz.h"

using namespace detente;

namespace {

void check_maps(const data::DenseMaps& maps) {
  const std::size_t pixels = maps.count * maps.shape.pixels();
  fuzz::expect(pixels > 0, "an image has pixels");
  fuzz::expect(maps.image.size() == pixels * maps.shape.channels, "all of the images");
  fuzz::expect(maps.label.size() == pixels, "a class a pixel");
  fuzz::expect(maps.depth.empty() == maps.normal.empty(), "depth and normals together");
  fuzz::expect(maps.depth.empty() || maps.depth.size() == pixels, "a depth a pixel");
  fuzz::expect(maps.normal.empty() || maps.normal.size() == 3 * pixels, "a normal a pixel");
  for (const std::int16_t id : maps.label) fuzz::expect(id >= -1 && id < 255, "a class or none");
  for (const float side : maps.normal) fuzz::expect(std::abs(side) <= 1.001F, "at most length 1");
  const std::span label = std::span(maps.label).first(maps.shape.pixels());
  data::DenseAugmentation augmentation{{1, 1.5, 16}, true};
  Rng rng(maps.count);
  const data::DenseChange change = augmentation.draw(maps.shape, rng);
  const auto changed = data::changed_label(label, maps.shape, change);
  fuzz::expect(data::edges_of(changed, maps.shape).size() == label.size(), "a map as large");
}

}  // namespace

FUZZ(data, size) {
  const std::string bytes(fuzz::text_of(data, size));
  fuzz::survive([&] { check_maps(data::parse_dense(bytes, "file")); });
  if (size < 4) return;
  // The first four bytes choose a small shape; the file is cut or filled up to one of its sizes.
  const std::size_t count = 1 + data[0] % 3;
  const std::size_t height = 1 + data[1] % 8;
  const std::size_t width = 1 + data[2] % 8;
  const std::size_t channels = data[3] % 2 == 0 ? 1 : 3;
  std::string whole = "DNS1";
  for (const std::size_t value : {count, height, width, channels}) {
    whole += static_cast<char>(value) + std::string(3, '\0');
  }
  std::string body = bytes.substr(4);
  body.resize(count * height * width * (channels + (data[3] % 4 < 2 ? 1 : 6)), '\x7f');
  bool read = false;
  fuzz::survive([&] {
    check_maps(data::parse_dense(whole + body, "file"));
    read = true;
  });
  fuzz::expect(read, "what fits its header is read");
}
